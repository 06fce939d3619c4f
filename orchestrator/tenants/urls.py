"""Addresses outside any tenant: the root, signing in and out, the theme; and of the tenant's API keys and settings."""

from __future__ import annotations

from django.urls import path

from orchestrator.tenants import (
    account_pages,
    audit_pages,
    factor_pages,
    invitation_pages,
    join_pages,
    member_pages,
    setting_pages,
    sso_account,
    sso_pages,
    sso_setting_pages,
    token_pages,
    views,
)

urlpatterns = [
    path("", views.root, name="root"),
    path("sign-in/", views.SignIn.as_view(), name="sign-in"),
    path("sign-in/code/", views.sign_in_code, name="sign-in-code"),
    path("sign-out/", views.SignOut.as_view(), name="sign-out"),
    path("join/<str:token>/", join_pages.join, name="join"),
    path("account/", account_pages.account, name="account"),
    path("account/password/", account_pages.password, name="account-password"),
    path("account/sessions/end/", account_pages.end_sessions, name="account-sessions"),
    path("account/second-factor/", factor_pages.second_factor, name="account-factor"),
    path("account/sso/", sso_account.account_sso, name="account-sso"),
    path("sso/", sso_pages.sso, name="sso"),
    path("sso/<slug:tenant>/", sso_pages.sso_tenant, name="sso-tenant"),
    path("sso/<slug:tenant>/callback/", sso_pages.sso_callback, name="sso-callback"),
    path("theme/", views.theme, name="theme"),
    path("w/<slug:tenant>/developers/keys/", token_pages.api_keys, name="api-keys"),
    path("w/<slug:tenant>/developers/keys/<int:pk>/revoke/", token_pages.api_key_revoke, name="api-key-revoke"),
    path("w/<slug:tenant>/settings/", setting_pages.general, name="settings"),
    path("w/<slug:tenant>/settings/members/", member_pages.members, name="members"),
    path("w/<slug:tenant>/settings/members/<int:pk>/role/", member_pages.member_role, name="member-role"),
    path("w/<slug:tenant>/settings/members/<int:pk>/remove/", member_pages.member_take_out, name="member-remove"),
    path("w/<slug:tenant>/settings/members/<int:pk>/factor/", factor_pages.member_factor, name="member-factor"),
    path("w/<slug:tenant>/settings/factor/", factor_pages.required, name="settings-factor"),
    path("w/<slug:tenant>/settings/invitations/", invitation_pages.invitations, name="invitations"),
    path(
        "w/<slug:tenant>/settings/invitations/<int:pk>/revoke/",
        invitation_pages.invitation_take_back,
        name="invitation-revoke",
    ),
    path("w/<slug:tenant>/settings/sso/", sso_setting_pages.single_sign_on, name="settings-sso"),
    path("w/<slug:tenant>/settings/sso/require/", sso_setting_pages.required, name="settings-sso-required"),
    path("w/<slug:tenant>/settings/sso/remove/", sso_setting_pages.removed, name="settings-sso-remove"),
    path("w/<slug:tenant>/settings/audit/", audit_pages.audit_log, name="audit-log"),
    path("w/<slug:tenant>/settings/audit/export/", audit_pages.audit_file, name="audit-export"),
]
