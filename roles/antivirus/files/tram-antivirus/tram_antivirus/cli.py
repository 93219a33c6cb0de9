"""The command. Ends with 0; 1 failed; 2 wrong usage; 3 something was found; 65 refused; 75 the hub is not reached."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from tram_antivirus.settings import Failed, Settings

SETTINGS = Path("/etc/tram-antivirus/settings.json")


def main() -> None:
    """Do what is asked; each part is imported only when it is, so that what watches stays small."""
    options = _arguments()
    try:
        sys.exit(_do(options, Settings(Path(options.settings))))
    except Failed as error:
        code = {"Refused": 65, "Unreachable": 75}.get(type(error).__name__, 1)
        if not getattr(options, "quiet", False):
            print(f"tram-antivirus: {error}", file=sys.stderr)
        sys.exit(code)
    except PermissionError as error:
        print(f"tram-antivirus: {error}: run it as root", file=sys.stderr)
        sys.exit(1)


def _do(options: argparse.Namespace, settings: Settings) -> int:
    # ruff: noqa: PLC0415
    if options.command == "watch":
        from tram_antivirus import watch

        watch.watch(settings)
    elif options.command == "fetch":
        from tram_antivirus import update

        if options.spread:
            time.sleep(int.from_bytes(os.urandom(2), "big") / 65536 * settings.spread_seconds)
        update.fetch(settings)
    elif options.command == "import":
        from tram_antivirus import update

        update.take_in(settings, Path(options.directory))
    elif options.command == "official":
        from tram_antivirus import official, update

        update.become(settings.user)
        official.bring(settings)
    elif options.command == "scan":
        return _scan(options, settings)
    elif options.command == "quarantine":
        return _quarantine(options, settings)
    else:
        return _status(options, settings)
    return 0


def _scan(options: argparse.Namespace, settings: Settings) -> int:
    from tram_antivirus import scan

    flag = settings.release / "sweep"
    kind = next((kind for kind in ("sweep", "night", "proof") if getattr(options, kind)), "asked")
    began = flag.stat().st_mtime_ns if options.sweep and flag.exists() else None
    default = settings.sweep_paths if options.sweep else settings.scan_paths
    tally = scan.scan(settings, [str(Path(path).absolute()) for path in options.path] or default, kind=kind)
    if began is not None and flag.exists() and flag.stat().st_mtime_ns == began:
        # Only now: a sweep that was cut off is done again.
        flag.unlink()
    for one in tally.found:
        print(f"{one['action']}: {_plain(one['path'])}: {one['name']}{' ' + one['id'] if one['id'] else ''}")
    print(
        f"{tally.files} files, {tally.bytes} bytes scanned, {tally.unchanged} unchanged, {tally.unscanned} not to be "
        f"looked into, {tally.findings} found{', broken off' if tally.interrupted else ''}"
    )
    return 3 if tally.findings else 0


def _quarantine(options: argparse.Namespace, settings: Settings) -> int:
    from tram_antivirus import quarantine, state

    room = settings.quarantine
    if options.what == "list":
        import json

        if options.json:
            print(json.dumps(quarantine.listed(room), ensure_ascii=False))
            return 0
        for one in quarantine.listed(room):
            print(f"{one['id']}  {one['name']}  {one['bytes']} bytes  {_plain(one['path'])}")
        return 0
    act = quarantine.restore if options.what == "restore" else quarantine.delete
    import syslog

    path = quarantine.shown(act(room, options.id))
    state.journal(syslog.LOG_NOTICE, event=f"quarantine-{options.what}", id=options.id, path=path)
    print(f"{options.what}: {_plain(path)}")
    if options.what == "restore":
        print("The next scan finds it again unless the hub allows it: tram-signatures allow --sha256 …")
    return 0


def _status(options: argparse.Namespace, settings: Settings) -> int:
    import json

    from tram_antivirus import status

    seen = status.status(settings)
    if options.json:
        print(json.dumps(seen, ensure_ascii=False))
    else:
        for key, value in seen.items():
            if key != "findings":
                print(f"{key}: {'-' if value is None else value}")
        for one in seen["findings"][-10:]:
            print(f"found: {one['at']} {one['name']} {one['action']} {_plain(one['path'])}")
    return 0


def _plain(path: str) -> str:
    """A path on one line of a terminal."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in path)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tram-antivirus", description="Antivirus of this host.", epilog=__doc__)
    parser.add_argument("--settings", default=SETTINGS, help=argparse.SUPPRESS)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("watch", help="hear announcements, bring releases (the service)")
    fetch = commands.add_parser("fetch", help="ask the hub now")
    fetch.add_argument("--spread", action="store_true", help="not all hosts at the same moment")
    official = commands.add_parser("official", help="bring ClamAV's own sets from the hub now")
    for each in (fetch, official):
        each.add_argument("--quiet", action="store_true", help="the journal and the status are enough")
    taken = commands.add_parser("import", help="take a release from a stick")
    taken.add_argument("directory", metavar="DIR")
    scan = commands.add_parser("scan", help="search files")
    scan.add_argument("path", nargs="*", metavar="PATH", help="default: what the nightly scan searches")
    scan.add_argument("--sweep", action="store_true", help="what an outbreak is searched in first")
    scan.add_argument("--night", action="store_true", help="end with the hours of the nightly scan")
    scan.add_argument("--proof", action="store_true", help="a test: what is found is neither kept nor told")
    kept = commands.add_parser("quarantine", help="what was taken away").add_subparsers(dest="what", required=True)
    kept.add_parser("list", help="what is there").add_argument("--json", action="store_true")
    for name, meaning in (("restore", "put back"), ("delete", "delete for good")):
        kept.add_parser(name, help=meaning).add_argument("id", metavar="ID")
    status = commands.add_parser("status", help="how this host is protected")
    status.add_argument("--json", action="store_true")
    return parser.parse_args()
