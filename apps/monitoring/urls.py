"""Addresses of this room."""

from django.urls import path

from apps.monitoring import views

app_name = "monitoring"
urlpatterns = [
    path("", views.dashboard, name="dashboard"),
    path("search/", views.search, name="search"),
    path("monitoring/", views.overview, name="overview"),
    path("metrics", views.scrape, name="metrics"),
]
