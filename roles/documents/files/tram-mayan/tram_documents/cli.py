"""tram-mayan: what is to be done, and doing it."""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
import sys

from . import build, database, fetch, rest, translation
from .place import CURRENT, ETC, LIB, STATE, Trouble, manage, read, release, wanted, write


def state() -> dict[str, str]:
    """What is in place."""
    return {
        "wanted": wanted(),
        "built": "yes" if build.is_built(wanted()) else "no",
        "current": CURRENT.resolve().name if CURRENT.exists() else "none",
        "database": read("database") or "none",
        "translation": "as on disk" if translation.is_compiled() else "older",
        "accounts": "as on disk" if read("accounts") == accounts_word() else "older",
        "practice": "as on disk" if read("practice") == practice_word() else "older",
    }


def practice_word() -> str:
    """The tables of the practice (tram_practice), in a word."""
    files = sorted((LIB / "tram_practice/migrations").glob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def accounts_word() -> str:
    """The accounts the role makes and what they may, in a word (the file and the word are root's alone)."""
    what = LIB / "tram_mayan/management/commands/tram_accounts.py"
    return hashlib.sha256((ETC / "accounts.json").read_bytes() + what.read_bytes()).hexdigest()


def is_done() -> bool:
    """Whether there is nothing to do."""
    now, name = state(), wanted()
    right = {"built": "yes", "current": name, "database": name, "translation": "as on disk", "accounts": "as on disk"}
    right["practice"] = "as on disk"
    same = read("active") == f"{name} {read('translation')}".strip()
    return same and not database.UNFINISHED.exists() and all(now[key] == value for key, value in right.items())


def apply() -> bool:
    """Do what is to be done; whether anything was.

    Raises Trouble with what could not be done; what is there goes on as it is.
    """
    if is_done():
        return False
    name = wanted()
    if not build.is_built(name):
        fetch.fetch_all()
        build.build(name)
    if not translation.is_compiled():
        translation.compile_all()
    database.recover()
    old = read("database")
    if not old:
        database.set_up(name)
    elif old != name:
        database.upgrade(old, name)
    if read("accounts") != accounts_word():
        manage(name, "tram_accounts", stdin=(ETC / "accounts.json").read_text(encoding="utf-8"))
        write("accounts", accounts_word())
    if read("practice") != practice_word():
        manage(name, "migrate", "--no-input", "tram_practice")
        write("practice", practice_word())
    build.activate(name)
    build.tidy({name, old})
    return True


def main() -> int:
    """Run a command; 0, or 1 with what is wrong on stderr."""
    words = sys.argv[1:]
    try:
        if words[:1] == ["state"]:
            print("\n".join(f"{key} {value}" for key, value in state().items()))
        elif words[:1] == ["apply"]:
            if "--check" in words:
                print("changed" if not is_done() else "nothing to do")
                return 0
            with (STATE / "lock").open("w") as lock:
                # Two runs at once would build over one another.
                fcntl.flock(lock, fcntl.LOCK_EX)
                print("changed" if apply() else "nothing to do")
        elif words == ["dump"]:
            database.hand_out()
        elif words == ["load"]:
            with (STATE / "lock").open("w") as lock, open(0, "rb", buffering=0, closefd=False) as given:
                fcntl.flock(lock, fcntl.LOCK_EX)
                database.take_back(given)
                apply()
        elif words[:1] == ["rest"]:
            return rest.main()
        elif words[:1] == ["manage"] and len(words) > 1:
            print(manage(read("database"), *words[1:]), end="")
        else:
            print(
                "tram-mayan state | apply [--check] | dump >SQL | load <SQL | rest <BATCH.json | manage COMMAND...",
                file=sys.stderr,
            )
            return 2
    except Trouble as error:
        print(f"tram-mayan: {error}", file=sys.stderr)
        if words[:1] in (["apply"], ["load"]):
            start_again()
        return 1
    return 0


def start_again() -> None:
    """Whatever failed, what ran before runs again."""
    if CURRENT.exists() and read("database") == CURRENT.resolve().name and release(read("database")).exists():
        subprocess.run(["systemctl", "start", "mayan-web.service"], check=False)
        for unit in ("all", "fast", "slow", "ocr"):
            name = f"mayan-worker-{unit}.service"
            enabled = subprocess.run(["systemctl", "is-enabled", "--quiet", name], check=False)
            if enabled.returncode == 0:
                subprocess.run(["systemctl", "start", name], check=False)


if __name__ == "__main__":
    sys.exit(main())
