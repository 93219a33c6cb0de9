"""What Mayan asks when somebody logs in: the directory, then its own accounts (administrator, probe)."""

from __future__ import annotations

from mayan.apps.authentication.authentication_backends import AuthenticationBackendModelUsernamePassword


class DirectoryFirst(AuthenticationBackendModelUsernamePassword):
    """Mayan's own form and session, with the directory before its own accounts."""

    django_authentication_backend_paths = (
        "django_auth_ldap.backend.LDAPBackend",
        "django.contrib.auth.backends.ModelBackend",
    )
