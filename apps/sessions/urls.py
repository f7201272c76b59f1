"""Addresses of this room."""

from django.urls import URLPattern, path

from apps.sessions import capsule_views, compare_views, label_views, metric_views, report_views, verify_views, views

app_name = "sessions"
urlpatterns: list[URLPattern] = [
    path("", views.sessions, name="list"),
    path("compare/", compare_views.compare, name="compare"),
    path("metric/", metric_views.metric, name="metric"),
    path("start/", views.start, name="start"),
    path("<int:pk>/", views.detail, name="detail"),
    path("<int:pk>/fragments/<slug:name>/", views.fragment, name="fragment"),
    path("<int:pk>/curves/", views.curves, name="curves"),
    path("<int:pk>/capsule.json", capsule_views.capsule, name="capsule"),
    path("<int:pk>/verify/", verify_views.verify, name="verify"),
    path("<int:pk>/verifications/", verify_views.verifications, name="verifications"),
    path("<int:pk>/labels/", label_views.labels, name="labels"),
    path("<int:pk>/again/", label_views.again, name="again"),
    path("<int:pk>/delete/", label_views.delete, name="delete"),
    path("<int:pk>/clone/", views.clone, name="clone"),
    path("<int:pk>/log/", views.log, name="log"),
    path("<int:pk>/log/download/", views.log_download, name="log_download"),
    path("<int:pk>/report/", report_views.report, name="report"),
    path("reports/compare/", report_views.report_compare, name="report_compare"),
    path("<int:pk>/report.html", report_views.report_file, name="report_file"),
    path("<int:pk>/tables/<slug:name>.<slug:form>", report_views.report_table, name="report_table"),
    path("<int:pk>/report.json", report_views.report_json, name="report_json"),
    path("<int:pk>/trades.csv", report_views.trades_csv, name="trades_csv"),
    path("<int:pk>/equity.csv", report_views.equity_csv, name="equity_csv"),
    path("<int:pk>/<slug:command>/confirm/", views.confirm, name="confirm"),
    path("<int:pk>/commands/<slug:command>/", views.command, name="command"),
]
