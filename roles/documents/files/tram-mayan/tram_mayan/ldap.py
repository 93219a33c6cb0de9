"""People of the province's directory log in by the password they have there (role directory)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

TOKENS = "mayan.apps.authentication_attempts.authentication_classes.LoginAttemptTokenAuthentication"


def settings(ldap_of_role: dict[str, Any], rest: dict[str, Any]) -> dict[str, Any]:
    """Settings of django-auth-ldap. The connection is TLS by the province's CA, or a local socket; nothing else."""
    import ldap  # noqa: PLC0415
    from django_auth_ldap.config import LDAPSearch  # noqa: PLC0415

    checked = [
        "tram_mayan.ldap_login.TokenOfPeople" if name == TOKENS else name
        for name in rest["DEFAULT_AUTHENTICATION_CLASSES"]
    ]
    return {
        "AUTHENTICATION_BACKENDS": [
            "django.contrib.auth.backends.ModelBackend",
            "tram_mayan.ldap_login.DirectoryPeople",
        ],
        "REST_FRAMEWORK": {**rest, "DEFAULT_AUTHENTICATION_CLASSES": tuple(checked)},
        "TRAM_LDAP_DOMAIN": ldap_of_role["domain"],
        "TRAM_AGENCIES": ldap_of_role["agencies"],
        "AUTH_LDAP_SERVER_URI": ldap_of_role["url"],
        "AUTH_LDAP_BIND_DN": ldap_of_role["bind_dn"],
        "AUTH_LDAP_BIND_PASSWORD": Path("/etc/mayan/ldap").read_text(encoding="utf-8").strip(),
        "AUTH_LDAP_USER_SEARCH": LDAPSearch(ldap_of_role["base"], ldap.SCOPE_SUBTREE, ldap_of_role["filter"]),
        # The whole name where it is shown first: họ goes before tên, which Mayan would turn round.
        "AUTH_LDAP_USER_ATTR_MAP": {"first_name": "cn", "email": "mail"},
        "AUTH_LDAP_ALWAYS_UPDATE_USER": True,
        "AUTH_LDAP_CONNECTION_OPTIONS": {
            ldap.OPT_NETWORK_TIMEOUT: 10,
            ldap.OPT_TIMEOUT: 10,
            ldap.OPT_REFERRALS: 0,
        },
        "AUTH_LDAP_GLOBAL_OPTIONS": {
            ldap.OPT_X_TLS_CACERTFILE: ldap_of_role["ca"],
            ldap.OPT_X_TLS_REQUIRE_CERT: ldap.OPT_X_TLS_DEMAND,
        },
    }
