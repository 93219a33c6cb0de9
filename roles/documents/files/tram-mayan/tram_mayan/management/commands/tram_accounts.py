"""The accounts the role makes: the administrator, and one that proves the service and may do little else."""

from __future__ import annotations

import json
import sys
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.contrib.contenttypes.models import ContentType
from django.core.management.base import BaseCommand
from django.db import transaction
from mayan.apps.acls.models import AccessControlList
from mayan.apps.autoadmin.models import AutoAdminSingleton
from mayan.apps.documents.models import DocumentType
from mayan.apps.permissions.classes import Permission
from mayan.apps.permissions.models import Role

ADMINISTRATOR = "quan-tri"
PROBE = "kiem-tra"
TYPE = "Kiểm tra hệ thống"
MAY = [
    "documents_types.document_type_view",
    "documents.document_create", "documents.document_view", "documents.document_trash",
    "documents.document_delete",
    "documents.document_file_view", "documents.document_version_view", "documents.document_file_new",
    "ocr.ocr_content_view", "document_parsing.content_view",
]  # fmt: skip
"""What the probe may do, with documents of its own type only (namespace.name of Mayan's permissions)."""


class Command(BaseCommand):
    """`tram_accounts < accounts.json`: {"administrator": password, "probe": password}."""

    help = __doc__ or ""

    @transaction.atomic
    def handle(self, *_args: Any, **_options: Any) -> None:
        """Make what is missing and set what differs."""

        passwords = json.load(sys.stdin)
        # Mayan keeps the first administrator's password in the clear and shows it on the login page.
        AutoAdminSingleton.objects.all().delete()
        user(ADMINISTRATOR, passwords["administrator"], superuser=True)
        probe = user(PROBE, passwords["probe"], superuser=False)
        allow(probe)


def user(name: str, password: str, *, superuser: bool) -> Any:
    """An account with this password."""
    found, _ = get_user_model().objects.get_or_create(username=name)
    found.is_superuser = found.is_staff = superuser
    found.is_active = True
    if not found.check_password(password):
        found.set_password(password)
    found.save()
    return found


def allow(probe: Any) -> None:
    """Let the probe work with documents of its type, and with no others."""

    kind, _ = DocumentType.objects.get_or_create(label=TYPE)
    group, _ = Group.objects.get_or_create(name=PROBE)
    group.user_set.add(probe)
    role, _ = Role.objects.get_or_create(label=PROBE)
    role.groups.add(group)
    entry, _ = AccessControlList.objects.get_or_create(
        content_type=ContentType.objects.get_for_model(kind), object_id=kind.pk, role=role
    )
    entry.permissions.set([Permission.get(pk=name).stored_permission for name in MAY])
