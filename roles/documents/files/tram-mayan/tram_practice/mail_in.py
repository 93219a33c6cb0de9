"""Letters to an agency's dispatch mailbox become registered incoming documents, each once, whatever is retried."""

from __future__ import annotations

import hashlib
import io
import logging
import re
from collections.abc import Iterable
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from email.utils import parseaddr
from typing import Any

from django.core.files.base import ContentFile
from django.db import transaction
from django.utils import timezone
from mayan.apps.documents.models.document_models import Document
from mayan.apps.documents.models.document_type_models import DocumentType
from PIL import Image, ImageDraw, ImageFont

from . import letters, mailbox, people, steps
from .models import Letter, Unread

logger = logging.getLogger("tram_practice.mail_in")
TITLE = 255
MOST_LINES = 450
FONT = "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"


def take_all() -> int:
    """Every mailbox; how many letters became documents. A mailbox that fails does not stop the others."""
    count = 0
    for agency, box in mailbox.boxes().items():
        try:
            count += take(agency, box)
        except OSError as error:
            logger.error("%s: hộp thư không đọc được · the mailbox cannot be read: %s", box["user"], error)
        except mailbox.imaplib.IMAP4.error as error:
            logger.error("%s: máy chủ thư từ chối · the mail server refuses: %s", box["user"], error)
    return count


class Tries:
    """What is remembered of an agency's letters that could not be taken: letters.Memory in the database."""

    def __init__(self, agency: str) -> None:
        self._all = Unread.objects.filter(agency=agency)
        self._agency = agency
        self.of(0)

    def of(self, validity: int) -> None:
        """Ask and tell of this build of the mailbox."""
        self._validity = validity
        self._rows = self._all.filter(validity=validity)

    def due(self, uid: int) -> bool:
        """Not before the span after the last try is over."""
        return not self._rows.filter(uid=uid, due__gt=timezone.now()).exists()

    def failed(self, uid: int, why: str) -> int:
        """Remember when to try again."""
        row, _ = Unread.objects.get_or_create(agency=self._agency, validity=self._validity, uid=uid)
        row.tries += 1
        row.why, row.due = why.replace("\0", ""), timezone.now() + letters.wait(row.tries)
        row.save()
        return int(row.tries)

    def keep(self, uids: Iterable[int]) -> None:
        """Forget what is not in the mailbox any more, or taken, or of a mailbox that was."""
        self._all.exclude(validity=self._validity).delete()
        self._rows.exclude(uid__in=list(uids)).delete()


def take(agency: str, box: dict[str, Any]) -> int:
    """The letters of one mailbox that are not taken yet."""
    with mailbox.reading(box) as imap:
        return letters.take(imap, box["user"], Tries(agency), lambda raw: letter(agency, raw))


def letter(agency: str, raw: bytes) -> int:
    """One letter: 1 if it became a document now, 0 if it was one already.

    Who it is, is its Message-ID with the digest of what was written: headers that servers add do not count. Document,
    number and memory are one transaction; files come after it, each only if it is not there yet.
    """
    message = BytesParser(policy=policy.default).parsebytes(raw)
    files = contents(message)
    digest = hashlib.sha256(b"\0".join(part.get_payload(decode=True) or b"" for part in message.walk())).hexdigest()
    name = str(message["Message-ID"] or "").replace("\0", "").strip()[:512]
    with transaction.atomic():
        known, new = Letter.objects.get_or_create(agency=agency, message=name, digest=digest, defaults={"document": 0})
        if new:
            known.document = register(agency, message).pk
            known.save()
    if not known.complete:
        document = Document.objects.filter(pk=known.document).first()
        if document is not None:
            keep(document, files)
        known.complete = True
        known.save()
    return int(new)


def contents(message: EmailMessage) -> list[tuple[str, bytes]]:
    """What was written, then what was attached; names begin with their place, so that each is one of a kind."""
    text = message.get_body(preferencelist=("plain", "html"))
    found = []
    if text is not None:
        found.append(("00-thu.pdf", page(letters.words(text))))
    for place, part in enumerate(message.iter_attachments(), 1):
        name = re.sub(r"[/\0]", "_", part.get_filename() or "dinh-kem")[-120:]
        found.append((f"{place:02}-{name}", part.get_payload(decode=True) or bytes(part)))
    return found


def page(text: str) -> bytes:
    """A letter's text as pages: Mayan shows plain text with an office suite only, which a server does not have."""
    lines = letters.lines(text, MOST_LINES)
    font = ImageFont.truetype(FONT, 24)
    sheets = []
    for start in range(0, max(len(lines), 1), 45):
        sheet = Image.new("L", (1240, 1754), 255)
        ImageDraw.Draw(sheet).multiline_text((100, 100), "\n".join(lines[start : start + 45]), 0, font, spacing=10)
        sheets.append(sheet)
    held = io.BytesIO()
    sheets[0].save(held, "PDF", save_all=True, append_images=sheets[1:])
    return held.getvalue()


def register(agency: str, message: EmailMessage) -> Any:
    """The document with its fields, in its flow, with its number. Runs in the caller's transaction.

    Raises LookupError when the practice has no type for it.
    """
    types = people.practice().get("types", {})
    label = next((name for name, one in types.items() if one["agency"] == agency and one.get("by_mail")), None)
    if label is None:
        raise LookupError(f"{agency}: the practice has no type of document that comes by mail")
    kind = types[label]
    # A database takes no NUL.
    subject = " ".join(str(message["Subject"] or "(không có trích yếu)").replace("\0", " ").split())
    document = Document(document_type=DocumentType.objects.get(label=label), label=subject[:TITLE])
    document.save()
    for name, value in {
        "trich_yeu": subject,
        "co_quan": " ".join(filter(None, parseaddr(str(message["From"])))).replace("\0", " "),
    }.items():
        steps.note(document, name, value)
    for flow in document.document_type.workflows.all():
        flow.launch_for(document=document)
        instance = document.workflows.get(workflow=flow)
        numbered = people.practice()["flows"][kind["flow"]]
        for step in instance.state_active.origin_transitions.all():
            if numbered.get(step.label, {}).get("number"):
                instance.do_transition(transition=step, comment="Thư đến · by mail")
                break
    return document


def keep(document: Any, files: list[tuple[str, bytes]]) -> None:
    """Add the files it lacks; one that carries malware is not kept, and the document says so."""
    from mayan.apps.converter.exceptions import OfficeConversionError  # noqa: PLC0415
    from tram_mayan.clamd import Infected  # noqa: PLC0415

    there = set(document.files.values_list("filename", flat=True))
    for name, body in files:
        if name in there or not body:
            continue
        action = "append" if document.files.exists() else "replace"
        try:
            document.files_upload(file_object=ContentFile(body, name=name), filename=name, action_name=action)
        except Infected as found:
            remark(document, f"Tệp “{name}” bị bỏ: mã độc {found}")
        except OfficeConversionError:
            # Kept, and nobody can turn its pages here: it is downloaded.
            if not document.files.filter(filename=name).exists():
                raise
            remark(document, f"Tệp “{name}” không xem được trên trang, hãy tải về")


def remark(document: Any, said: str) -> None:
    """Say it on the document."""
    document.description = f"{document.description}\n{said}".strip()
    document.save()
