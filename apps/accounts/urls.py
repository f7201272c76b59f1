"""Addresses about people."""

from django.contrib.auth.views import LogoutView
from django.urls import path

from apps.accounts import admin_views, login_views, notice_views, people_views, security_views, share_views, views

app_name = "accounts"
urlpatterns = [
    path("login/", login_views.LoginView.as_view(), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("password/", login_views.PasswordChangeView.as_view(), name="password_change"),
    path("reset/", login_views.PasswordResetView.as_view(), name="password_reset"),
    path("reset/<uidb64>/<token>/", login_views.PasswordResetConfirmView.as_view(), name="password_reset_confirm"),
    path("language/", views.language, name="language"),
    path("theme/", views.theme, name="theme"),
    path("profile/", views.profile, name="profile"),
    path("security/", security_views.security, name="security"),
    path("security/devices/<int:pk>/end/", security_views.device_end, name="device_end"),
    path("security/end-all/", security_views.log_out_everywhere, name="log_out_everywhere"),
    path("tokens/", security_views.tokens, name="tokens"),
    path("tokens/<int:pk>/revoke/", security_views.token_revoke, name="token_revoke"),
    path("secrets/", security_views.secrets, name="secrets"),
    path("secrets/<int:pk>/delete/", security_views.secret_delete, name="secret_delete"),
    path("share/<slug:word>/<int:pk>/", share_views.shares, name="shares"),
    path("share/<slug:word>/<int:pk>/<int:share>/delete/", share_views.share_delete, name="share_delete"),
    path("notices/", notice_views.notices, name="notices"),
    path("notices/poll/", notice_views.notices_poll, name="notices_poll"),
    path("notices/read/", notice_views.notices_read_all, name="notices_read_all"),
    path("notices/<int:pk>/read/", notice_views.notice_read, name="notice_read"),
    path("people/", people_views.people, name="people"),
    path("people/<int:pk>/", people_views.person, name="person"),
    path("people/<int:pk>/leave/", admin_views.leave, name="leave"),
    path("people/<int:pk>/unlock/", admin_views.unlock, name="unlock"),
    path("people/<int:pk>/end-all/", admin_views.end_all, name="end_all"),
    path("groups/", admin_views.group_list, name="groups"),
    path("groups/new/", admin_views.group_edit, name="group_create"),
    path("groups/<int:pk>/", admin_views.group_edit, name="group"),
    path("groups/<int:pk>/delete/", admin_views.group_delete, name="group_delete"),
    path("audit/", admin_views.audit, name="audit"),
    path("audit/verify/", admin_views.audit_verify, name="audit_verify"),
    path("audit/export/", admin_views.audit_export, name="audit_export"),
    path("invitations/<int:pk>/revoke/", people_views.invitation_revoke, name="invitation_revoke"),
    path("join/<str:secret>/", people_views.join, name="join"),
]
