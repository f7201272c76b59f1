"""Addresses of the strategies."""

from django.urls import path

from apps.strategies import trial_views, views

app_name = "strategies"
urlpatterns = [
    path("", views.strategies, name="list"),
    path("gallery/", views.gallery, name="gallery"),
    path("gallery/<slug:key>/use/", views.use_example, name="use_example"),
    path("new/", views.create, name="create"),
    path("<int:pk>/trials/", trial_views.trials, name="trials"),
    path("<int:pk>/", views.detail, name="detail"),
    path("<int:pk>/edit/", views.edit, name="edit"),
    path("<int:pk>/edit/changes/", views.changes, name="changes"),
    path("<int:pk>/diff/", views.diff, name="diff"),
    path("<int:pk>/copy/", views.copy, name="copy"),
    path("<int:pk>/archive/", views.archive, name="archive"),
]
