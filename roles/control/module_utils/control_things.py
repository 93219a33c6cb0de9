"""What a control can manage on a host: each thing tells its state, can be changed, and can be put back to a state."""

from __future__ import annotations

import base64
import contextlib
import grp
import os
import pwd
import re
import stat
import subprocess
from collections.abc import Callable
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

State = dict[str, Any]
Validate = Callable[[str, Path], None]
# Kinds of things from files that build on this one.
OTHERS: dict[str, Callable[[str], Thing]] = {}


class Impossible(Exception):
    """The thing cannot be made so; the words say why."""


def replace(path: Path, content: bytes, state: State, check: Callable[[Path], None] | None = None) -> None:
    """Put new content in place of a file: whole, on the disk, checked beside its place first."""
    new = path.with_name(f".{path.name}.tram-new")  # a name that cron, sudo and every *.conf pass over
    new.unlink(missing_ok=True)
    try:
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            os.fchown(handle, state["uid"], state["gid"])
            os.fchmod(handle, int(state["mode"], 8))
            file.flush()
            os.fsync(handle)
        if check is not None:
            check(new)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


class Thing:
    """One thing of a host. `name` is for people, `key` for the record."""

    kind = ""

    def __init__(self, name: str, item: dict[str, Any] | None = None) -> None:
        self.name = name
        self.item = item or {}
        self.refused = ""

    @property
    def key(self) -> str:
        """What the record knows it by."""
        return f"{self.kind}:{self.name}"

    @staticmethod
    def of(key: str) -> Thing:
        """The thing that a record tells of."""
        kind, _, name = key.partition(":")
        if kind == "line":
            path, _, match = name.partition(":")
            return Line(path, {"match": match})
        return {"package": Package, "file": Node, "rights": Rights, "sysctl": Sysctl, **OTHERS}[kind](name)

    def now(self) -> State:
        """The state it is in."""
        raise NotImplementedError

    def done(self, state: State) -> bool:
        """Whether a state is what is asked for."""
        raise NotImplementedError

    def change(self, validate: Validate) -> None:
        """Make it what is asked for. Raises: Impossible."""
        raise NotImplementedError

    def restore(self, state: State) -> None:
        """Put it back. Raises: Impossible."""
        raise NotImplementedError

    def is_state(self, state: State) -> bool:
        """Whether it is in this state now."""
        return self.now() == {key: value for key, value in state.items() if key != "off"}

    def make_room(self) -> list[str]:
        """Make the directories that are missing above it; returns those it made."""
        return []


class Node(Thing):
    """A file, a link, or that there is nothing."""

    kind = "file"

    @property
    def path(self) -> str:
        """Where it is."""
        return self.name

    def now(self) -> State:
        path = Path(self.name)
        try:
            found = path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return {"kind": "absent"}
        if stat.S_ISLNK(found.st_mode):
            return {"kind": "link", "target": str(path.readlink())}
        if not stat.S_ISREG(found.st_mode):
            raise Impossible(f"{self.name} is neither a file nor a link")
        content = base64.b64encode(path.read_bytes()).decode()
        return {"kind": "file", "content": content, **rights(found)}

    def _wanted(self) -> State:
        if self.item.get("absent"):
            return {"kind": "absent"}
        if "link" in self.item:
            return {"kind": "link", "target": self.item["link"]}
        content = base64.b64encode(str(self.item["content"]).encode()).decode()
        return {"kind": "file", "content": content, "mode": mode_of(self.item), **owners(self.item)}

    def done(self, state: State) -> bool:
        return state == self._wanted() or (state["kind"] == "absent" and bool(self.item.get("if_there")))

    def make_room(self) -> list[str]:
        made = []
        for parent in reversed(Path(self.name).parents):
            if not parent.is_dir() and not self.item.get("absent"):
                parent.mkdir(mode=0o755)
                parent.chmod(0o755)
                made.append(str(parent))
        return made

    def change(self, validate: Validate) -> None:
        command = self.item.get("validate")
        self._put(self._wanted(), (lambda path: validate(command, path)) if command else None)

    def restore(self, state: State) -> None:
        self._put(state, None)

    def _put(self, state: State, check: Callable[[Path], None] | None) -> None:
        path = Path(self.name)
        if state["kind"] == "absent":
            path.unlink(missing_ok=True)
        elif state["kind"] == "link":
            new = path.with_name(f".{path.name}.tram-new")
            new.unlink(missing_ok=True)
            new.symlink_to(state["target"])
            new.replace(path)
        elif path.parent.is_dir():  # otherwise whatever it belonged to is gone as a whole
            content = base64.b64decode(state["content"])
            replace(path, content, state, check)


class Rights(Thing):
    """Mode and owner of something that is there; its content is somebody else's."""

    kind = "rights"

    def __init__(self, item: dict[str, Any] | str) -> None:
        super().__init__(item if isinstance(item, str) else item["path"], None if isinstance(item, str) else item)

    def now(self) -> State:
        try:
            return {"kind": "rights", **rights(Path(self.name).stat())}
        except (FileNotFoundError, NotADirectoryError):
            return {"kind": "absent"}

    def done(self, state: State) -> bool:
        if state["kind"] == "absent":
            return bool(self.item.get("if_there"))
        asked = {"uid": "owner", "gid": "group"}
        wanted = {key: value for key, value in owners(self.item).items() if asked[key] in self.item}
        if "mode" in self.item:
            wanted["mode"] = mode_of(self.item)
        return all(state[key] == value for key, value in wanted.items())

    def change(self, validate: Validate) -> None:  # noqa: ARG002
        if not Path(self.name).exists():
            raise Impossible(f"{self.name} is not there")
        want = owners(self.item)
        mode = int(mode_of(self.item), 8) if "mode" in self.item else None
        settle(
            self.name, want["uid"] if "owner" in self.item else -1, want["gid"] if "group" in self.item else -1, mode
        )

    def restore(self, state: State) -> None:
        if state["kind"] == "rights" and Path(self.name).exists():
            settle(self.name, state["uid"], state["gid"], int(state["mode"], 8))

    def is_state(self, state: State) -> bool:
        return state["kind"] == "absent" or super().is_state(state)


class Line(Thing):
    """The lines of a file that match: one of ours instead, or none."""

    kind = "line"

    def __init__(self, path: str, item: dict[str, Any]) -> None:
        super().__init__(path, item)
        line = item.get("line")
        if line is not None and ("\n" in line or not re.search(item["match"], line)):
            raise Impossible(
                f"{path}: the line {line!r} does not match {item['match']!r}, so it could not be found again"
            )

    @property
    def key(self) -> str:
        return f"line:{self.name}:{self.item['match']}"

    def _texts(self) -> list[str]:
        return Path(self.name).read_text(encoding="utf-8", errors="surrogateescape").split("\n")

    def now(self) -> State:
        if not Path(self.name).is_file():
            return {"kind": "absent"}
        texts = self._texts()
        found = [[at, text] for at, text in enumerate(texts) if re.search(self.item["match"], text)]
        return {"kind": "lines", "lines": found, "original": texts}

    def done(self, state: State) -> bool:
        if state["kind"] == "absent":
            return bool(self.item.get("if_there"))
        return [text for _, text in state["lines"]] == ([self.item["line"]] if "line" in self.item else [])

    def change(self, validate: Validate) -> None:
        if not Path(self.name).is_file():
            raise Impossible(f"{self.name} is not there")
        texts = self._texts()
        found = [at for at, text in enumerate(texts) if re.search(self.item["match"], text)]
        kept = [text for at, text in enumerate(texts) if at not in found]
        if "line" in self.item:
            kept.insert(found[0] if found else self._place(kept), self.item["line"])
        if kept[-1] != "":
            kept.append("")
        self._write(kept, validate)

    def _place(self, texts: list[str]) -> int:
        """Where a new line goes: after the last match of `after`, before the first of `before`, else at the end."""
        if "after" in self.item and (at := [i for i, text in enumerate(texts) if re.search(self.item["after"], text)]):
            return at[-1] + 1
        if "before" in self.item and (
            at := [i for i, text in enumerate(texts) if re.search(self.item["before"], text)]
        ):
            return at[0]
        return len(texts) - (texts[-1] == "")

    def restore(self, state: State) -> None:
        if state["kind"] == "absent" or not Path(self.name).is_file():
            return
        original: list[str] = state["original"]
        texts = [text for text in self._texts() if not re.search(self.item["match"], text)]
        # Where lines of the original stand in the file as it is now, whatever came or went meanwhile.
        blocks = SequenceMatcher(None, original, texts, autojunk=False).get_matching_blocks()
        places = {block.a + i: block.b + i for block in blocks for i in range(block.size)}
        for at, text in state["lines"]:
            place = max((now for was, now in places.items() if was < at), default=-1) + 1
            texts.insert(place, text)
            places = {was: now + (now >= place) for was, now in places.items()} | {at: place}
        if original[-1] != "" and texts[-1] == "":
            texts.pop()
        elif original[-1] == "" and texts[-1:] != [""]:
            texts.append("")
        self._write(texts, None)

    def is_state(self, state: State) -> bool:
        now = self.now()
        if now["kind"] == "absent" or state["kind"] == "absent":
            return True
        return [text for _, text in now["lines"]] == [text for _, text in state["lines"]]

    def _write(self, texts: list[str], validate: Validate | None) -> None:
        path, command = Path(self.name).resolve(), self.item.get("validate")
        check = (lambda new: validate(command, new)) if command and validate else None
        content = "\n".join(texts).encode(errors="surrogateescape")
        replace(path, content, rights(path.stat()), check)


FORWARDING = ("net.ipv4.ip_forward", "net.ipv4.conf.all.forwarding")


class Sysctl(Thing):
    """A value in the running kernel (sysctl(8): dots in the name are slashes under /proc/sys)."""

    kind = "sysctl"
    root = Path("/proc/sys")

    def __init__(self, name: str, value: str = "") -> None:
        super().__init__(name)
        self.value = " ".join(value.split())

    @property
    def _path(self) -> Path:
        return self.root / (self.name if "/" in self.name else self.name.replace(".", "/"))

    def now(self) -> State:
        try:
            return {"kind": "value", "value": " ".join(self._path.read_text().split())}
        except OSError as error:
            self.refused = "the kernel has no such key" if error.errno == 2 else str(error.strerror)
            return {"kind": "absent"}

    def done(self, state: State) -> bool:
        if state["kind"] == "absent" or state["value"] == self.value:
            return True
        if not os.access(self._path, os.W_OK):
            self.refused = "it cannot be written here"
        return bool(self.refused)

    def change(self, validate: Validate) -> None:  # noqa: ARG002
        self._set(self.value)

    def restore(self, state: State) -> None:
        if state["kind"] == "value":
            self._set(state["value"])

    def is_state(self, state: State) -> bool:
        return state["kind"] == "absent" or super().is_state(state)

    def _set(self, value: str) -> None:
        # As forwarding ends the kernel takes redirects again (ip-sysctl.rst): that is not what was asked for.
        beside = self.root / "net/ipv4/conf/all/accept_redirects" if self.name in FORWARDING else None
        kept = beside.read_text() if beside and beside.exists() else ""
        try:
            self._path.write_text(f"{value}\n")
            if beside and kept and beside.read_text() != kept:
                beside.write_text(kept)
        except OSError as error:
            self.refused = f"it refuses {value}: {error.strerror}"
            raise Impossible(f"{self.name}: {self.refused}") from None


class Package(Thing):
    """Whether a package is installed. Changing that is the role's."""

    kind = "package"

    def now(self) -> State:
        command = ["dpkg-query", "--show", "--showformat=${db:Status-Status}", self.name]
        told = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        return {"kind": "package" if told == "installed" else "no package"}

    def done(self, state: State) -> bool:
        return bool(state["kind"] == "package")

    def change(self, validate: Validate) -> None:
        """Nothing: the role installs."""

    def restore(self, state: State) -> None:
        """Nothing: the role purges."""


def settle(name: str, uid: int, gid: int, mode: int | None) -> None:
    """Give a file other rights. A link is followed only where root alone could have laid it. Raises: Impossible."""
    path = Path(name)
    if path.is_symlink():
        if any(one.stat().st_uid != 0 or one.stat().st_mode & 0o022 for one in path.parents):
            raise Impossible(f"{name} is a link that others than root could have laid")
        path = path.resolve()
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:  # exchanged in this very moment
        raise Impossible(f"{name}: {error.strerror}") from None
    try:
        os.fchown(handle, uid, gid)
        if mode is not None:
            os.fchmod(handle, mode)
    finally:
        os.close(handle)


def rights(found: os.stat_result) -> State:
    """Mode (octal text), owner and group."""
    return {"mode": f"{stat.S_IMODE(found.st_mode):04o}", "uid": found.st_uid, "gid": found.st_gid}


def mode_of(item: dict[str, Any]) -> str:
    """The mode asked for, as octal text."""
    return f"{int(str(item.get('mode', '0644')), 8):04o}"


def owners(item: dict[str, Any]) -> State:
    """Owner and group asked for, as numbers; -1 for one that is not there (yet)."""
    uid = gid = -1
    with contextlib.suppress(KeyError):
        uid = pwd.getpwnam(item.get("owner", "root")).pw_uid
    with contextlib.suppress(KeyError):
        gid = grp.getgrnam(item.get("group", "root")).gr_gid
    return {"uid": uid, "gid": gid}
