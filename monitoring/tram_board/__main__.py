"""`tram-board serve|person|prepare`: the board on a host, as `tram board` is at the centre, with few packages."""

from __future__ import annotations

import argparse
import sys
from getpass import getpass
from pathlib import Path

from tram.core.errors import BadInput, TramError
from tram_board.access import OPERATOR, VIEWER, Person
from tram_board.people import make_person, prepare, remove_account
from tram_board.province import read_register
from tram_board.settings import Settings, read_settings

DEFAULT = Path("/etc/tram-board/board.toml")


def main(words: list[str] | None = None) -> int:
    """The command. 0: done; 1 and 2 as in `tram.core.errors`, with one line that says why."""
    given = _parser().parse_args(words)
    try:
        _do(given, read_settings(given.settings))
    except TramError as error:
        print(f"{error.message} ({error.hint})" if error.hint else error.message, file=sys.stderr)
        return error.exit_code
    return 0


def _do(given: argparse.Namespace, settings: Settings) -> None:
    if given.what == "prepare":
        print("changed" if prepare(settings.folder) else "ready")
    elif given.what == "person":
        if given.remove:
            remove_account(settings.accounts, given.name)
            print(f"{given.name}: đã xóa · is gone")
            return
        known = [site.code for site in read_register(settings.register).sites]
        password = asked() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
        make_person(settings.folder, known, Person(given.name, given.role or "", given.site), password)
        print(f"{given.name}: đăng nhập được · can log in")
    else:
        from tram_board.serving import serve  # noqa: PLC0415 a whole web server: not for an account

        serve(settings)


def asked() -> str:
    """The password, typed twice.

    Raises: BadInput.
    """
    first = getpass("Mật khẩu · Password: ")
    if first != getpass("Nhập lại · Again: "):
        raise BadInput("the two are not the same", hint="nothing was changed")
    return first


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tram-board")
    parser.add_argument("--settings", type=Path, default=DEFAULT)
    what = parser.add_subparsers(dest="what", required=True)
    what.add_parser("serve", help="phục vụ · serve until ended")
    what.add_parser("prepare", help="tạo khóa · make the key and an empty file of accounts")
    person = what.add_parser("person", help="tạo tài khoản · make an account; its password from standard input")
    person.add_argument("name")
    person.add_argument("--role", choices=(OPERATOR, VIEWER))
    person.add_argument("--site")
    person.add_argument("--remove", action="store_true", help="xóa tài khoản · take the account away")
    return parser


if __name__ == "__main__":
    sys.exit(main())
