"""Local accounts: who may log in, by a file that only root and the board can read.

{"version": 1, "people": {"truc": {"role": "operator", "password": "$argon2id$…"},
                          "vanthu": {"role": "viewer", "site": "huong-khe", "password": "$argon2id$…"}}}
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import stat
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHash, VerificationError

from tram.core.errors import BadInput
from tram_board.access import OPERATOR, VIEWER, Person

SHORTEST_PASSWORD = 12
ACCOUNTS, KEY = "people.json", "session.key"
_NAME = re.compile(r"[a-z][a-z0-9._-]{0,31}")
_hasher = PasswordHasher()
# One at a time: each costs 64 MB, and a crowd of wrong passwords is not to cost more.
_one = Lock()
# What a name nobody has is checked against, so that it takes as long as a real one.
_NOBODY = _hasher.hash(secrets.token_hex(16))


class AccountsUnreadable(BadInput):
    """The file of accounts is not there, not as it should be, or open to others."""


@dataclass(frozen=True, slots=True)
class Account:
    """A person and the hash of his password."""

    person: Person
    password: str

    @property
    def version(self) -> str:
        """Changes with the password: a session of the old one is over."""
        return sha256(self.password.encode()).hexdigest()[:16]


def read_accounts(path: Path) -> dict[str, Account]:
    """The accounts by name.

    Raises: AccountsUnreadable.
    """
    try:
        with path.open(encoding="utf-8") as file:
            if os.fstat(file.fileno()).st_mode & (stat.S_IRWXO | stat.S_IWGRP):
                raise AccountsUnreadable(f"{path}: others can read or change it", hint=f"chmod 0640 {path}")
            people: Mapping[str, Mapping[str, Any]] = json.load(file)["people"]
        return {name: _account(name, one) for name, one in people.items()}
    except OSError as error:
        hint = "make the first account: tram board person NAME --role operator"
        raise AccountsUnreadable(f"{path}: {error.strerror}", hint=hint) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise AccountsUnreadable(f"{path}: is no file of accounts: {error}", hint="docs/contracts/board.md") from error


def _account(name: str, one: Mapping[str, Any]) -> Account:
    role, site = one["role"], one.get("site")
    if not _NAME.fullmatch(name):
        raise ValueError(f'"{name}" is no name of an account')
    if role not in (OPERATOR, VIEWER) or (role == VIEWER) != bool(site):
        raise ValueError(f"{name}: the role is operator, or viewer with a site")
    if not str(one["password"]).startswith("$argon2id$"):
        raise ValueError(f"{name}: the password is no argon2id hash")
    return Account(Person(name, role, site), str(one["password"]))


def check(accounts: Mapping[str, Account], name: str, password: str) -> Account | None:
    """The account when name and password fit; None otherwise, after the same time."""
    account = accounts.get(name)
    with _one:
        try:
            _hasher.verify(account.password if account else _NOBODY, password)
        except (VerificationError, InvalidHash):
            return None
    return account


def write_account(path: Path, person: Person, password: str) -> None:
    """Add or replace one account; the file stays of mode 0640 and of its owner.

    Raises: BadInput for a name or password that will not do; AccountsUnreadable.
    """
    if len(password) < SHORTEST_PASSWORD:
        raise BadInput(f"the password has {len(password)} characters", hint=f"at least {SHORTEST_PASSWORD}")
    try:
        account = _account(person.name, {"role": person.role, "site": person.site, "password": _hasher.hash(password)})
    except ValueError as error:
        raise BadInput(str(error), hint="docs/contracts/board.md") from error
    with _alone(path):
        _write(path, (read_accounts(path) if path.exists() else {}) | {person.name: account})


def remove_account(path: Path, name: str) -> None:
    """Take an account away; who is logged in with it is so no longer.

    Raises: BadInput for a name nobody has; AccountsUnreadable.
    """
    read_accounts(path)  # says what is wrong where there is no such file or folder
    with _alone(path):
        accounts = read_accounts(path)
        if name not in accounts:
            raise BadInput(f'nobody is called "{name}"', hint=f"there are: {', '.join(sorted(accounts)) or 'none'}")
        del accounts[name]
        _write(path, accounts)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One who writes at a time: of two operators at once both accounts are there."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _write(path: Path, accounts: Mapping[str, Account]) -> None:
    people = {
        name: {"role": one.person.role, "site": one.person.site, "password": one.password}
        for name, one in sorted(accounts.items())
    }
    write_private(path, json.dumps({"version": 1, "people": people}, indent=2) + "\n")


def make_person(folder: Path, sites: Collection[str], person: Person, password: str) -> None:
    """Make an account of the board whose files are in `folder`, or give one a new password.

    Raises: BadInput.
    """
    if person.role == VIEWER and person.site not in sites:
        raise BadInput(f'a viewer needs a site of the register, not "{person.site or ""}"', hint="tram sites list")
    if person.role != VIEWER and (person.role != OPERATOR or person.site):
        raise BadInput("the role is operator, or viewer with a site", hint="tram board person --help")
    folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    write_account(folder / ACCOUNTS, person, password)


def prepare(folder: Path) -> bool:
    """Make what a board cannot start without, where it is missing: a key, and accounts of nobody. Says whether it did.

    Raises: AccountsUnreadable.
    """
    missing = [name for name in (ACCOUNTS, KEY) if not (folder / name).exists()]
    if ACCOUNTS in missing:
        _write(folder / ACCOUNTS, {})
    read_accounts(folder / ACCOUNTS)
    read_secret(folder / KEY)
    return bool(missing)


def write_private(path: Path, text: str) -> None:
    """Write a file of mode 0640 in one step; it keeps the owner and group it had, or takes the folder's group."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    like = path.stat() if path.exists() else None
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            os.fchown(file.fileno(), like.st_uid if like else -1, like.st_gid if like else path.parent.stat().st_gid)
            os.fchmod(file.fileno(), 0o640)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def read_secret(path: Path) -> str:
    """The key sessions are signed with; made when there is none.

    Raises: AccountsUnreadable.
    """
    try:
        if not path.exists():
            write_private(path, secrets.token_urlsafe(48) + "\n")
        if path.stat().st_mode & (stat.S_IRWXO | stat.S_IWGRP):
            raise AccountsUnreadable(f"{path}: others can read or change it", hint=f"chmod 0640 {path}")
        text = path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise AccountsUnreadable(f"{path}: {error.strerror}", hint="the board's own user must read it") from error
    if len(text) < 32:
        raise AccountsUnreadable(f"{path}: is too short for a key", hint="remove it, and a new one is made")
    return text
