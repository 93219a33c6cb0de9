"""The command `tram-signatures`, for root on the hub."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from . import carry, change, official, place, publication, seal, seen, shelf
from .publication import Result
from .words import Refused, both

CONFIG = Path("/etc/tram-signatures/config.json")


def main(argv: list[str] | None = None) -> int:
    """Run a command. Exit code: 0 done, 1 refused and nothing changed, 2 wrong words."""
    options = arguments().parse_args(argv)
    try:
        return int(options.run(place.read(options.config), options))
    except Refused as error:
        print(f"tram-signatures: {error}", file=sys.stderr)
        return 1


def _add(where: place.Place, options: argparse.Namespace) -> int:
    with publication.alone(where):
        return told(change.add(where, options), options)


def _allow(where: place.Place, options: argparse.Namespace) -> int:
    with publication.alone(where):
        return told(change.allow(where, options), options)


def _remove(where: place.Place, options: argparse.Namespace) -> int:
    with publication.alone(where):
        return told(change.remove(where, options.name, options.note), options)


def _publish(where: place.Place, options: argparse.Namespace) -> int:
    with publication.alone(where):
        result = publication.publish(
            where, note=options.note, sweep=options.sweep, again=options.again, dry=options.dry
        )
    return told(result, options)


def _rollback(where: place.Place, options: argparse.Namespace) -> int:
    with publication.alone(where):
        return told(publication.rolled_back(where, options.serial), options)


def _announce(where: place.Place, _options: argparse.Namespace) -> int:
    with publication.alone(where):
        publication.settle(where)
        wrong = publication.announce(where)
        seen.kept(where)
    if wrong:
        print(f"<4>DNS: {wrong}", file=sys.stderr)
    return 1 if wrong else 0


def _official(where: place.Place, options: argparse.Namespace) -> int:
    with publication.alone(where):
        if options.fetch == (options.directory is not None):
            raise Refused("cần một thư mục, hoặc --fetch", "a directory is needed, or --fetch")
        taken = official.take(where, official.fetch(where) if options.fetch else options.directory)
        print("\n".join(taken.good), end="\n" if taken.good else "")
        print("\n".join(taken.bad), end="\n" if taken.bad else "", file=sys.stderr)
        if official.versions(where):
            told(publication.publish(where, note=both("bộ chữ ký ClamAV", "ClamAV's own sets")), options)
    return 1 if taken.bad else 0


def _export(where: place.Place, options: argparse.Namespace) -> int:
    with publication.alone(where):
        publication.settle(where)
        serial = carry.export(where, options.directory, sets=not options.no_official)
    print(both(f"đã ghi bản {serial} vào {options.directory}", f"release {serial} written to {options.directory}"))
    return 0


def _status(where: place.Place, _options: argparse.Namespace) -> int:
    print(json.dumps(publication.status(where), ensure_ascii=False))
    return 0


def _key(where: place.Place, _options: argparse.Namespace) -> int:
    public = seal.public_half(where.key)
    if not public:
        raise Refused(
            "chưa có khóa; chạy lại vai trò antivirus_mirror", "there is no key yet: run role antivirus_mirror"
        )
    print(public)
    return 0


def _list(where: place.Place, options: argparse.Namespace) -> int:
    entries = publication.entries_now(where)
    kept = shelf.releases(where.releases)
    published = publication.published_serial(where)
    if options.json:
        releases = [{key: release.told[key] for key in ("serial", "made", "note", "sweep")} for release in kept]
        shown = [json.loads(entry.line()) for entry in entries]
        print(json.dumps({"serial": published, "entries": shown, "releases": releases}, ensure_ascii=False))
        return 0
    for entry in entries:
        value = entry.value if entry.kind != "yara" else "…"
        print(f"{entry.when or '-':20}  {entry.kind:6}  {entry.name:30}  {value[:64]}  {entry.note}".rstrip())
    print(both(f"bản đang phát hành: {published or '-'}", f"published: {published or 'nothing'}"))
    for release in reversed(kept):
        print(f"  {release.serial}  {release.told['made']}  {release.told['note']}".rstrip())
    return 0


def _seen(where: place.Place, options: argparse.Namespace) -> int:
    with publication.alone(where):
        hosts = seen.kept(where)
    serial = options.serial or publication.published_serial(where)
    if options.json:
        print(json.dumps({"serial": serial, "hosts": hosts}, ensure_ascii=False))
        return 0
    for host, what in sorted(hosts.items()):
        good = what.get("active", 0) >= serial
        print(
            f"{'✓' if good else '·'} {host:50} {what.get('active', '-'):>10}  {what.get('active_at', ''):20}  "
            f"{what.get('state', '')}"
        )
    return 0


def told(result: Result | None, options: argparse.Namespace) -> int:
    """Say what a command came to."""
    if result is None:
        print(both("thử xong, không phát hành gì", "tried, nothing published"))
        return 0
    release = result.release.told
    if options.json:
        shown: dict[str, Any] = {key: release[key] for key in ("serial", "made", "note", "sweep")}
        print(json.dumps({**shown, "new": result.new, "announced": not result.not_announced}, ensure_ascii=False))
    elif result.new:
        print(both(f"đã phát hành bản {release['serial']}", f"published release {release['serial']}"))
    else:
        print(both(f"không có gì mới, vẫn là bản {release['serial']}", f"nothing new: it is still {release['serial']}"))
    if result.not_announced:
        said = both("DNS chưa báo tin, sẽ thử lại", "DNS was not told; it is tried again")
        print(f"{said}: {result.not_announced}", file=sys.stderr)
    return 0


def arguments() -> argparse.ArgumentParser:
    """The commands."""
    parser = argparse.ArgumentParser(prog="tram-signatures", description=__doc__)
    parser.add_argument("--config", type=Path, default=CONFIG, help=argparse.SUPPRESS)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Any, what: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=what, description=what)
        made.set_defaults(run=run)
        made.add_argument("--json", action="store_true", help="in ra JSON · print JSON")
        return made

    add = command("add", _add, "thêm chữ ký và phát hành · add a signature and publish")
    what = add.add_mutually_exclusive_group(required=True)
    what.add_argument("--sha256", metavar="HASH")
    what.add_argument("--md5", metavar="HASH")
    what.add_argument("--file", metavar="PATH", help="tệp mẫu; - là stdin · the sample itself; - is stdin")
    what.add_argument("--ndb", metavar="LINE", help="Name:Target:Offset:Hex")
    what.add_argument("--yara", metavar="FILE", help="luật YARA; - là stdin · YARA rules; - is stdin")
    add.add_argument("--size", type=int, metavar="BYTES")
    allow = command("allow", _allow, "tệp này không phải vi-rút · a file that is no virus")
    which = allow.add_mutually_exclusive_group(required=True)
    which.add_argument("--sha256", metavar="HASH")
    which.add_argument("--file", metavar="PATH")
    for made in (add, allow):
        made.add_argument("--name", required=True, metavar="NAME")
        made.add_argument("--who", default=os.environ.get("SUDO_USER", "root"), help=argparse.SUPPRESS)
    add.add_argument("--sweep", action="store_true", help="các máy quét đĩa ngay · hosts search their disks at once")
    command("remove", _remove, "bỏ chữ ký và phát hành · remove and publish").add_argument("name")
    publish = command("publish", _publish, "phát hành những gì có trong sources · publish what the sources say")
    publish.add_argument("--sweep", action="store_true")
    publish.add_argument("--again", action="store_true", help="kể cả khi không có gì mới · also when nothing is new")
    publish.add_argument("--dry", action="store_true", help="chỉ thử · only try")
    for name in ("add", "allow", "remove", "publish"):
        commands.choices[name].add_argument("--note", default="", metavar="TEXT")
    back = command("rollback", _rollback, "quay lại bản trước · go back to an earlier release")
    back.add_argument("serial", nargs="?", type=int)
    command("list", _list, "có những gì · what there is")
    looked = command("seen", _seen, "máy nào đã có bản nào · which host has which release in effect")
    looked.add_argument("--serial", type=int)
    sets = command("official", _official, "nhận bộ chữ ký của ClamAV · take ClamAV's own sets")
    sets.add_argument("directory", nargs="?", type=Path, metavar="DIR")
    sets.add_argument("--fetch", action="store_true", help="tải từ internet bằng freshclam · by freshclam")
    carried = command("export", _export, "ghi ra thẻ USB · write it to a stick")
    carried.add_argument("directory", type=Path, metavar="DIR")
    carried.add_argument("--no-official", action="store_true", help="không kèm bộ của ClamAV · without ClamAV's sets")
    command("announce", _announce, "báo lại qua DNS nếu cần · announce again where DNS has lost it")
    command("status", _status, "đang thế nào; không đổi gì · how it stands; changes nothing")
    command("key", _key, "khóa công khai · the public half of the key that signs")
    return parser
