"""Whether a PDF can be read at all: who sends one that cannot is told at once, not by a document without pages."""

from __future__ import annotations

import contextlib
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

LOCKED = (
    "Tệp “{file}” có mật khẩu nên không đọc được, không tìm được chữ bên trong. Tệp không được lưu. Hãy bỏ mật "
    "khẩu rồi gửi lại. · The file wants a password and was not kept. Take the password off and send it again."
)
BROKEN = (
    "Tệp “{file}” bị hỏng hoặc bị cắt giữa chừng, không mở được. Tệp không được lưu. Hãy quét hoặc xuất lại rồi gửi. "
    "· The file is damaged or cut off and was not kept. Scan or export it anew and send it again."
)
TOO_LONG = (
    "Tệp “{file}” có {pages} trang, nhiều hơn {limit} trang. Tệp không được lưu. Hãy chia thành nhiều tệp rồi gửi lại. "
    "· The file has {pages} pages, more than {limit}, and was not kept. Send it in parts."
)
BUSY = (
    "Tệp “{file}” chưa kiểm tra được: máy chủ đang bận. Tệp không được lưu. Hãy gửi lại sau ít phút. "
    "· The file could not be looked at in time and was not kept. Send it again in a few minutes."
)
SECONDS = 60
HOW: dict[str, Any] = {"capture_output": True, "text": True, "errors": "replace"}
PAGES = re.compile(r"^Pages:\s+(\d+)$", re.MULTILINE)


class Busy(Exception):
    """Nobody knows: it could not be looked at in time. For who sent it."""


def complaint(file: BinaryIO, name: str, limit: int) -> str:
    """What is wrong with a PDF, for who sent it; empty for one that opens, and for whatever is no PDF.

    Raises Busy.
    """
    file.seek(0)
    is_pdf = b"%PDF-" in file.read(1024)
    file.seek(0)
    if not is_pdf:
        return BROKEN.format(file=name) if name.lower().endswith(".pdf") else ""
    with on_disk(file) as path:
        try:
            done = subprocess.run(["pdfinfo", path], check=False, timeout=SECONDS, **HOW)
        except subprocess.TimeoutExpired as error:
            raise Busy(BUSY.format(file=name)) from error
    file.seek(0)
    if "Incorrect password" in done.stderr:
        return LOCKED.format(file=name)
    found = PAGES.search(done.stdout)
    pages = int(found[1]) if found else 0
    if done.returncode != 0 or pages == 0:
        return BROKEN.format(file=name)
    return TOO_LONG.format(file=name, pages=pages, limit=limit) if pages > limit else ""


@contextlib.contextmanager
def on_disk(file: Any) -> Iterator[str]:
    """Where a program finds it: Django keeps large uploads in files, small ones in memory."""
    if hasattr(file, "temporary_file_path"):
        yield file.temporary_file_path()
        return
    with tempfile.NamedTemporaryFile(suffix=".pdf") as copy:
        while piece := file.read(1 << 18):
            copy.write(piece)
        copy.flush()
        yield str(Path(copy.name))
