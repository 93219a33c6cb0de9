"""Issued documents leave by mail from the agency's dispatch mailbox; people are reminded of what is due."""

from __future__ import annotations

import logging
import smtplib
from datetime import date, timedelta
from email.message import EmailMessage
from email.utils import formatdate
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured, ObjectDoesNotExist
from django.db import transaction
from django.utils import timezone
from mayan.apps.documents.models.document_models import Document

from . import mail_in, mailbox, people, report
from .models import Dispatch, Number, Reminder

logger = logging.getLogger("tram_practice.mail_out")
NO_LETTER = (ImproperlyConfigured, ObjectDoesNotExist, ValueError, LookupError, AttributeError)
"""It cannot even be written; Python's mail package raises the last three for words that are no header."""
CANNOT = (OSError, smtplib.SMTPException, *NO_LETTER)
"""What holds up this letter and no other."""
LARGEST = 15_000_000
"""Bytes of a file that still goes along; a larger one is offered by its address."""


def address(document: int) -> str:
    """Where a document is in the browser."""
    from django.conf import settings  # noqa: PLC0415

    return f"https://{settings.ALLOWED_HOSTS[0]}/#/documents/documents/{document}/preview/"


def send_all() -> int:
    """What waits; how many left. Each row is locked while it is sent, so that two runs do not send one twice."""
    count = 0
    boxes = mailbox.boxes()
    refused: dict[int, list[str]] = {}
    for pk in list(Dispatch.objects.filter(sent=None).values_list("pk", flat=True)):
        with transaction.atomic():
            row = Dispatch.objects.select_for_update(skip_locked=True).filter(pk=pk, sent=None).first()
            if row is None:
                continue
            try:
                box = boxes.get(row.agency)
                if box is None:
                    raise ImproperlyConfigured("đơn vị chưa có hộp thư · the agency has no dispatch mailbox")
                refused[row.document] = mailbox.send(box, letter(box, row))
                row.sent, row.trouble = timezone.now(), ", ".join(refused[row.document])[:500]
                count += 1
            except CANNOT as error:
                row.trouble = str(error)[:500]
                logger.error("văn bản %s chưa gửi được · not sent yet: %s", row.document, error)
            row.save()
    tell_refused(refused)
    return count


def tell_refused(refused: dict[int, list[str]]) -> None:
    """Who did not get a letter that others got is said on the document: it does not leave again by itself."""
    for pk, addresses in refused.items():
        document = Document.objects.filter(pk=pk).first() if addresses else None
        if document is not None:
            logger.error("văn bản %s: địa chỉ bị từ chối · refused: %s", pk, ", ".join(addresses))
            mail_in.remark(document, f"Không gửi được tới {', '.join(addresses)}: máy chủ thư từ chối địa chỉ")


def letter(box: dict[str, Any], row: Dispatch) -> EmailMessage:
    """The letter with the document's file. Its Message-ID is the document's: sent again, it is the same letter, and
    the province's mail keeps one."""
    document = Document.objects.get(pk=row.document)
    message = EmailMessage()
    message["From"], message["To"] = box["user"], ", ".join(part.strip() for part in row.to.split(","))
    message["Subject"] = document.label
    message["Date"] = formatdate(Number.objects.get(document=row.document).given.timestamp(), localtime=True)
    message["Message-ID"] = f"<van-ban-{document.uuid}@{box['user'].partition('@')[2]}>"
    file = document.files.order_by("-timestamp").first()
    link = f"\nVăn bản trên hệ thống · in the system: {address(document.pk)}\n"
    if file is None or (file.size or 0) > LARGEST:
        message.set_content(f"Gửi văn bản: {document.label}\n{link}")
        return message
    message.set_content(f"Gửi kèm văn bản: {document.label}\n{link}")
    main, _, sub = (file.mimetype or "application/octet-stream").partition("/")
    with file.open() as content:
        message.add_attachment(content.read(), maintype=main, subtype=sub, filename=file.filename)
    return message


def remind_all(today: date | None = None) -> int:
    """Whoever has work due soon or overdue is reminded once a day; how many letters went out."""
    today = today or timezone.localdate()
    soon = (today + timedelta(days=int(people.practice().get("remind_days", 2)))).isoformat()
    boxes, count = mailbox.boxes(), 0
    due = [one for one in report.open_work() if one["until"] and one["until"] <= soon and one["agency"] in boxes]
    for item in due:
        to = recipients(item)
        if not to:
            continue
        with transaction.atomic():
            _, new = Reminder.objects.get_or_create(document=item["document"], day=today)
            if not new:
                continue
            try:
                mailbox.send(boxes[item["agency"]], reminder(boxes[item["agency"]]["user"], to, item))
                count += 1
            except CANNOT as error:
                transaction.set_rollback(True)
                logger.error("không nhắc được văn bản %s · no reminder: %s", item["document"], error)
    return count


def recipients(item: dict[str, Any]) -> list[str]:
    """The person it is with; when he is gone or nobody has it, the agency's heads."""
    if item["person"] and not item["owner_gone"]:
        found = get_user_model().objects.filter(username=item["person"])
    else:
        found = people.members(item["agency"], "lanh-dao")
    return [one for one in found.values_list("email", flat=True) if one]


def reminder(sender: str, to: list[str], item: dict[str, Any]) -> EmailMessage:
    """What it says: which document, until when, where."""
    document = Document.objects.get(pk=item["document"])
    until = "/".join(reversed(item["until"].split("-")))
    word = "ĐÃ QUÁ HẠN · overdue" if item["overdue"] else "sắp đến hạn · due soon"
    message = EmailMessage()
    message["From"], message["To"] = sender, ", ".join(to)
    message["Subject"] = f"Nhắc việc: {document.label} (hạn {until}, {word})"
    message["Date"] = formatdate(localtime=True)
    gone = "\nNgười được giao không còn ở đơn vị: hãy phân công lại. · Its owner is gone: assign it again.\n"
    message.set_content(
        f"Văn bản: {document.label}\nTrạng thái: {item['state']}\nHạn xử lý: {until} ({word})\n"
        f"{gone if item['owner_gone'] else ''}\n{address(document.pk)}\n"
    )
    return message
