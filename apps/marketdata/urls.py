"""Addresses of this room."""

from django.urls import path

from apps.marketdata import (
    calendar_views,
    feature_views,
    feed_views,
    import_job_views,
    import_views,
    quote_views,
    report_views,
    views,
)

app_name = "marketdata"
urlpatterns = [
    path("", views.datasets, name="list"),
    path("quality/", report_views.quality, name="quality"),
    path("import/", import_views.import_page, name="import"),
    path("calendars/", calendar_views.calendars, name="calendars"),
    path("calendars/new/", calendar_views.calendar, name="calendar_new"),
    path("calendars/<slug:name>/", calendar_views.calendar, name="calendar"),
    path("calendars/<slug:name>/remove/", calendar_views.remove, name="calendar_remove"),
    path("imports/", import_job_views.imports, name="imports"),
    path("imports/<int:pk>/", import_job_views.import_job, name="import_job"),
    path("imports/<int:pk>/<slug:order>/", import_job_views.order, name="import_order"),
    path("features/", feature_views.explorer, name="features"),
    path("features/result/", feature_views.result, name="feature_result"),
    path("quotes/", quote_views.board, name="quotes"),
    path("feeds/", feed_views.feeds, name="feeds"),
    path("feeds/source/", feed_views.source, name="feed_source"),
    path("feeds/<int:pk>/", feed_views.feed, name="feed"),
    path("feeds/<int:pk>/start/", feed_views.start, name="feed_start"),
    path("feeds/<int:pk>/stop/", feed_views.stop, name="feed_stop"),
    path("feeds/<int:pk>/remove/", feed_views.remove, name="feed_remove"),
    path("<int:pk>/", views.dataset, name="detail"),
    path("<int:pk>/check/", views.check, name="check"),
    path("<int:pk>/fix/", views.fix, name="fix"),
    path("<int:pk>/labels/", views.labels, name="labels"),
    path("<int:pk>/adjust/", views.adjust, name="adjust"),
    path("<int:pk>/derive/", views.derive, name="derive"),
    path("<int:pk>/diff/", views.difference, name="diff"),
    path("<int:pk>/bars.json", views.bars, name="bars"),
    path("<int:pk>/bars.csv", views.download, name="download"),
]
