"""Addresses of this room."""

from django.urls import path

from apps.monitoring import machinery_views, views

app_name = "monitoring"
urlpatterns = [
    path("", views.dashboard, name="dashboard"),
    path("search/", views.search, name="search"),
    path("monitoring/", views.overview, name="overview"),
    path("monitoring/machinery/", machinery_views.machinery, name="machinery"),
    path("monitoring/machinery/workers/<int:pk>/drain/", machinery_views.drain, name="worker_drain"),
    path("monitoring/machinery/workers/<int:pk>/undrain/", machinery_views.undrain, name="worker_undrain"),
    path(
        "monitoring/machinery/connections/<str:connection_id>/close/",
        machinery_views.close_connection,
        name="connection_close",
    ),
    path("metrics", views.scrape, name="metrics"),
]
