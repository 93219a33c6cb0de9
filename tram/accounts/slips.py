"""A slip: one sheet of A4, folded in three and stapled, with the password inside. Vietnamese, English beside it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from fpdf import FPDF
from fpdf.enums import EncryptionMethod

from tram.accounts.issuing import Slip
from tram.core.errors import NotCapable

FONTS = Path("/usr/share/fonts/truetype/dejavu")
"""Debian's fonts-dejavu-core: has every Vietnamese letter, and a face in which no two signs look alike."""

_FACES = {
    ("sans", ""): "DejaVuSans.ttf",
    ("sans", "B"): "DejaVuSans-Bold.ttf",
    ("mono", "B"): "DejaVuSansMono-Bold.ttf",
}
_THIRD = 99.0
"""Millimetres from fold to fold: A4 has 297."""

_ELSEWHERE = "trang thư điện tử mà trung tâm đã báo · the mail page the centre told you"

_STEPS = (
    "1. Mở · Open: {page}",
    "2. Đăng nhập bằng địa chỉ và mật khẩu trên. · Log in with the address and password above.",
    "3. Vào Cài đặt, Đổi mật khẩu; đường truyền đang đứt thì làm sau. · Settings, Password; line down: later.",
    "4. Đặt mật khẩu mới của riêng mình, ít nhất 12 ký tự. · Choose your own, 12 characters at least.",
    "5. Hủy phiếu này. Không cho ai biết mật khẩu, kể cả quản trị viên.",
    "    Destroy this slip. Tell nobody your password, no administrator either.",
)


def draw_slips(agency: str, slips: Sequence[Slip], now: datetime, *, page: str = "", passphrase: str = "") -> bytes:
    """The PDF with one page a person, in the order given; locked by `passphrase` when there is one (AES-256). `page` is
    the agency's webmail, where there is one.

    Raises: NotCapable when the font is not installed.
    """
    pdf = FPDF(format="A4")
    pdf.set_auto_page_break(False)
    pdf.set_title(f"Phiếu tài khoản · {agency}")
    pdf.set_creation_date(now)
    for (family, style), file in _FACES.items():
        if not (FONTS / file).exists():
            raise NotCapable(f"{FONTS / file}: the font for slips is not there", hint="apt install fonts-dejavu-core")
        pdf.add_font(family, style, FONTS / file)
    if passphrase:
        pdf.set_encryption(
            owner_password=passphrase, user_password=passphrase, encryption_method=EncryptionMethod.AES_256
        )
    for slip in slips:
        _page(pdf, slip, page)
    return bytes(pdf.output())


def _page(pdf: FPDF, slip: Slip, page: str) -> None:
    entry = slip.entry
    pdf.add_page()
    pdf.set_draw_color(150)
    pdf.set_dash_pattern(2, 2)
    _text(pdf, _THIRD - 2, "gấp ra sau · fold back", 6)
    _text(pdf, 2 * _THIRD - 2, "gấp vào trong · fold inwards", 6)
    for fold in (_THIRD, 2 * _THIRD):
        pdf.line(0, fold, 210, fold)
    _text(pdf, 14, "PHIẾU TÀI KHOẢN · ACCOUNT SLIP", 9)
    _text(pdf, 34, entry.name, 16, style="B")
    _text(pdf, 44, " · ".join(filter(None, (entry.title, slip.agency))), 11)
    _text(pdf, 54, f"Mã cán bộ · Employee code: {entry.code}", 10)
    _text(pdf, 84, "Chỉ người có tên trên được mở · To be opened by the addressee only", 9, style="B")
    top = _THIRD
    _text(pdf, top + 16, "Địa chỉ thư · Mail address, user name", 9)
    _text(pdf, top + 25, entry.mail, 14, family="mono", style="B")
    _text(pdf, top + 46, "Mật khẩu lần đầu · Initial password", 9)
    _text(pdf, top + 56, slip.password, 20, family="mono", style="B")
    _text(
        pdf,
        top + 84,
        "Gấp theo hai đường, phần này nằm trong, rồi ghim lại · Fold twice, this part inside, then staple",
        8,
    )
    for number, step in enumerate(_STEPS):
        _text(pdf, 2 * _THIRD + 20 + 9 * number, step.format(page=page or _ELSEWHERE), 9)


def _text(pdf: FPDF, y: float, text: str, size: int, *, family: str = "sans", style: str = "") -> None:
    """A line at 25 mm from the left; one that is too long for the sheet is set smaller."""
    pdf.set_font(family, style, size)
    while pdf.get_string_width(text) > 165 and size > 5:
        size -= 1
        pdf.set_font(family, style, size)
    pdf.text(25, y, text)
