"""Where Mayan looks for ways to log in: it knows only those of modules of this name."""

from __future__ import annotations

from mayan.apps.authentication.authentication_backends import AuthenticationBackendModelUsernamePassword


class WithDirectory(AuthenticationBackendModelUsernamePassword):
    """Mayan's own form and session, for its own accounts and then for people (tram_mayan.ldap_login).

    Its own go first: they get in while the directory is silent.
    """

    django_authentication_backend_paths = (
        "django.contrib.auth.backends.ModelBackend",
        "tram_mayan.ldap_login.DirectoryPeople",
    )
