"""A letter with an agency's slips to its administrators. The PDF is locked; what opens it goes another way."""

from __future__ import annotations

from collections.abc import Sequence
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from pathlib import Path

from tram.accounts.directory import State
from tram.core.errors import BadInput
from tram.register.model import Province


def recipients(state: State, agency: str) -> tuple[str, ...]:
    """The addresses of an agency's administrators: the members of its group, as far as they have not left.

    Raises: BadInput when there is nobody.
    """
    group = f"{agency}-admins"
    members = {dn.lower() for dn in state.groups.get(group, ())}
    found = tuple(
        one.mail for one in state.people if one.dn.lower() in members and one.state != "disabled" and one.mail
    )
    if not found:
        raise BadInput(
            f"the group {group} of the directory has nobody who could be written to",
            hint="print the slips without --mail, or add somebody to the group",
        )
    return found


def letter(province: Province, agency: str, to: Sequence[str], slips: Path) -> str:
    """The message, with the file of slips as it is on the disk."""
    message = EmailMessage()
    message["From"] = f"postmaster@{province.domain}"
    message["To"] = ", ".join(to)
    message["Subject"] = f"Phiếu tài khoản: {agency}"
    message["Date"] = formatdate(localtime=True)
    message["Message-ID"] = make_msgid(domain=province.domain)
    message.set_content(
        "Tệp đính kèm có phiếu tài khoản của đơn vị, mỗi người một trang. Trung tâm sẽ cho biết mật khẩu mở tệp\n"
        "qua điện thoại. In ra, gấp kín, trao tận tay từng người, rồi xóa thư này.\n\n"
        "Attached are your agency's account slips, one page a person. The centre tells you by telephone what opens\n"
        "the file. Print them, fold them, hand each to its owner, then delete this message.\n"
    )
    message.add_attachment(slips.read_bytes(), maintype="application", subtype="pdf", filename=slips.name)
    return message.as_string()
