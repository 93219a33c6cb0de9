"""Who gets in: Mayan's own accounts (administrator, probe), then the people of the province's directory.

A person's account comes to be at the first login, or by `tram documents apply`, which alone gives rights (by groups of
posts). Its name is the address, its group the agency's code. Nothing of the password is kept here.
"""

from __future__ import annotations

import logging
import time
from typing import Any

import ldap
import ldap.filter
from django.conf import settings
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django_auth_ldap.backend import LDAPBackend, _LDAPUser, ldap_error
from mayan.apps.authentication_attempts.authentication_classes import LoginAttemptTokenAuthentication
from rest_framework.exceptions import AuthenticationFailed

logger = logging.getLogger("tram_mayan.ldap")

SILENT = (
    "Chưa đăng nhập được: danh bạ của tỉnh không trả lời, nên chưa kiểm tra được mật khẩu. "
    "Hãy thử lại sau ít phút, nếu vẫn vậy, báo cho quản trị viên. "
    "· The province's directory does not answer, so nobody can check the password. Try again in a few minutes."
)
KNOWS_NOTHING = (
    ldap.SERVER_DOWN,
    ldap.CONNECT_ERROR,
    ldap.TIMEOUT,
    ldap.TIMELIMIT_EXCEEDED,
    ldap.BUSY,
    ldap.UNAVAILABLE,
    ldap.LOCAL_ERROR,
    # Of a person it is caught before: what is left is our own account, which a half-filled replica does not know yet.
    ldap.INVALID_CREDENTIALS,
)
ASK_AGAIN = 300
"""Seconds for which who is in stays in without the directory being asked again."""
_asked: dict[int, float] = {}


class DirectoryPeople(LDAPBackend):
    """People by address; without the domain it is this site's. A directory that is silent says so, and not "wrong"."""

    def authenticate(self, request: Any, username: str | None = None, password: str | None = None, **more: Any) -> Any:
        """The person, or None. Raises ValidationError, which form and REST API show, when nobody knows."""
        name = (username or more.get("username") or "").strip().lower()
        if not name:
            return None
        return super().authenticate(request, address(name), password)

    def authenticate_ldap_user(self, ldap_user: Any, password: str) -> Any:
        """What the directory says of the password; then the account is as the directory has it."""
        user = super().authenticate_ldap_user(ldap_user, password)
        if user is not None:
            take(user, ldap_user)
        return user

    def get_user(self, user_id: int) -> Any:
        """Whose session it is, as long as the directory knows the person."""
        user = super().get_user(user_id)
        return user if user is not None and still_there(self, user) else None


class TokenOfPeople(LoginAttemptTokenAuthentication):
    """A program's token works as long as the directory knows the person."""

    def authenticate_credentials(self, key: str) -> Any:
        """The account and the token. Raises AuthenticationFailed."""
        user, token = super().authenticate_credentials(key)
        if not still_there(DirectoryPeople(), user):
            raise AuthenticationFailed("Tài khoản đã bị vô hiệu. · The account is disabled.")
        return user, token


def address(name: str) -> str:
    """What was typed, as an address."""
    return name if "@" in name else f"{name}@{settings.TRAM_LDAP_DOMAIN}"


def take(user: Any, ldap_user: Any) -> None:
    """The account as the directory has the person: it may be used, and belongs to one agency."""
    agencies = {value.lower() for value in ldap_user.attrs.get("tramAgency", [])}
    known = set(settings.TRAM_AGENCIES)
    for group in user.groups.filter(name__in=known - agencies):
        user.groups.remove(group)
    for code in agencies & known:
        user.groups.add(Group.objects.get_or_create(name=code)[0])
    if not user.is_active or user.has_usable_password():
        user.is_active = True
        # Made by `tram documents apply`: no password beside the directory's may ever be set anew by mail.
        user.set_unusable_password()
        user.save(update_fields=["is_active", "password"])
    _asked[user.pk] = time.monotonic()


def still_there(backend: LDAPBackend, user: Any) -> bool:
    """Whether an account may be used. One of the directory's is asked for now and then; who left is shut out for good.

    While the directory is silent who is in stays in: nothing is known against him.
    """
    if not user.is_active:
        return False
    if "@" not in user.username or time.monotonic() - _asked.get(user.pk, float("-inf")) < ASK_AGAIN:
        return True
    _asked[user.pk] = time.monotonic()
    person = _LDAPUser(backend, username=user.username)
    try:
        connection = person.connection
        found = connection.search_s(
            settings.AUTH_LDAP_USER_SEARCH.base_dn,
            ldap.SCOPE_SUBTREE,
            settings.AUTH_LDAP_USER_SEARCH.filterstr % {"user": ldap.filter.escape_filter_chars(user.username)},
            ["tramState"],
        )
    except ldap.LDAPError as error:
        logger.error("the directory did not say whether %s is still there: %s", user.username, error)
        return True
    states = [value for dn, said in found if dn for value in said.get("tramState", [])]
    if states and b"disabled" not in states:
        return True
    logger.error("%s is disabled in the directory: shut out", user.username)
    user.is_active = False
    user.save(update_fields=["is_active"])
    return False


def tell(sender: Any, context: str, request: Any, exception: Exception, **_more: Any) -> None:
    """A directory that could not be asked is said to who is at the form.

    Raises ValidationError; not for HTTP's own (Basic) login, which has nobody to show it to.
    """
    del sender
    logger.error("the directory could not be asked (%s): %s", context, exception)
    at_a_form = request is not None and "HTTP_AUTHORIZATION" not in request.META
    if context in ("authenticate", "search_for_user_dn") and isinstance(exception, KNOWS_NOTHING) and at_a_form:
        raise ValidationError(SILENT, code="directory_silent")


ldap_error.connect(tell, dispatch_uid="tram_mayan.ldap_login")
