"""A release is tried by ClamAV itself before anybody gets it: it loads, it finds what it should, and nothing else.

Bounded by systemd in memory and time, also when this program is killed: an old hub has mail to serve meanwhile.
"""

from __future__ import annotations

import base64
import glob
import hashlib
import os
import shutil
import subprocess
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

from .compiled import EICAR, File
from .place import Place
from .words import Refused

# What no signature may ever find: without these no host works.
ESSENTIAL = (
    *("/bin/sh", "/bin/bash", "/bin/ls", "/bin/cat", "/bin/cp", "/bin/systemctl", "/usr/bin/sudo", "/usr/bin/python3"),
    *("/usr/bin/perl", "/usr/bin/apt", "/usr/bin/dpkg", "/usr/bin/ssh", "/usr/sbin/sshd", "/usr/sbin/nft"),
    *(
        "/usr/bin/clamscan",
        "/lib/systemd/systemd",
        "/etc/passwd",
        "/etc/hosts",
        "/etc/services",
        "/etc/ssl/openssl.cnf",
    ),
    *("/lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/libc.so.6", "/lib/x86_64-linux-gnu/libcrypto.so.3"),
)
CORPUS = (
    *("/usr/bin/*", "/usr/sbin/*", "/usr/lib/*", "/usr/lib/*-linux-gnu/*", "/usr/lib/python3*/*", "/usr/lib/systemd/*"),
    *("/usr/share/doc/*/*", "/usr/share/perl5/*/*", "/usr/share/perl/*/*", "/etc/*"),
)
CORPUS_FILE_BYTES = 1_500_000


@dataclass(frozen=True, slots=True)
class Sample:
    """A file at hand: what the new signature is for, or what must not be found."""

    path: Path
    found: bool


def tried(place: Place, files: list[File], serial: int, canary: str, samples: tuple[Sample, ...]) -> None:
    """Try the files of a release.

    Raises: Refused, with what ClamAV said.
    """
    sets, room = place.work / "sets", place.work / "trial"
    for directory in (sets, room):
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
    for file in files:
        (sets / file.name).write_bytes(file.content)
    loads(place, sets, room, {"canary": (canary.encode(), f"Tram.Canary.{serial}"), "eicar": (EICAR, "Tram.")})
    wanted, clean = set(), [*documents(room), *corpus(place)]
    for number, sample in enumerate(samples):
        link = room / f"sample-{number}"
        os.link(sample.path, link)
        wanted |= {str(link)} if sample.found else set()
        clean += [] if sample.found else [link]
    listed = [*wanted, *map(str, clean)]
    found = finds(scan(place, sets, listed))
    if wrong := sorted(path for path in found if path not in wanted):
        path, name = wrong[0], found[wrong[0]]
        raise Refused(
            f"chữ ký {name} báo nhầm {len(wrong)} tệp sạch, ví dụ {path}: không phát hành",
            f"signature {name} finds {len(wrong)} clean files, e.g. {path}: not published",
        )
    if wanted - set(found):
        raise Refused("chữ ký không tìm ra tệp mẫu: không phát hành", "the sample is not found by it: not published")


def loads(place: Place, sets: Path, room: Path, wanted: dict[str, tuple[bytes, str]]) -> None:
    """Let ClamAV load the sets with next to nothing to scan, so that whatever it complains of is the sets'.

    Raises: Refused.
    """
    for name, (content, _) in wanted.items():
        (room / name).write_bytes(content)
    done = scan(place, sets, [str(room / name) for name in wanted])
    lines = (done.stderr + done.stdout).replace(f"{sets}/", "").splitlines()
    if broken := [line for line in lines if line.startswith(("LibClamAV Error:", "LibClamAV Warning:", "ERROR:"))]:
        said = broken[0].partition(": ")[2].strip()
        raise Refused(f"ClamAV không đọc được chữ ký: {said}", "ClamAV cannot read the signature")
    found = finds(done)
    for name, (_, virus) in wanted.items():
        if not found.get(str(room / name), "").startswith(virus):
            raise Refused(
                f"ClamAV không tìm ra {name} bằng bản này: không phát hành", f"ClamAV does not find {name} by it"
            )


def bounded(memory_bytes: int, seconds: int) -> list[str]:
    """What a command is run under. The limit of data is for where systemd cannot bound memory: a container's hub."""
    scope = [
        "systemd-run",
        "--quiet",
        "--scope",
        "--collect",
        "-p",
        f"MemoryMax={memory_bytes}",
        "-p",
        "MemorySwapMax=0",
    ]
    return [*scope, "-p", f"RuntimeMaxSec={seconds}", "nice", "-n", "5", "prlimit", f"--data={memory_bytes}"]


def scan(place: Place, sets: Path, listed: list[str]) -> subprocess.CompletedProcess[str]:
    """Run clamscan on files, bounded.

    Raises: Refused.
    """
    names = place.work / "list"
    names.write_text("".join(f"{path}\n" for path in listed), encoding="utf-8")
    command = bounded(place.trial_memory_bytes, place.trial_seconds)
    command += ["clamscan", f"--database={sets}"]
    command += ["--infected", "--stdout", f"--tempdir={place.work}", "--max-filesize=200M", "--max-scansize=400M"]
    command += ["--max-scantime=20000", f"--file-list={names}"]
    began = time.monotonic()
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", check=False, timeout=place.trial_seconds + 30
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Refused(f"không thử được bản này ({error})", "the release could not be tried") from error
    if done.returncode not in (0, 1, 2) or "Can't allocate memory" in done.stderr:
        seconds = time.monotonic() - began
        raise Refused(
            f"ClamAV không qua được lần thử, dừng sau {seconds:.0f} giây (giới hạn {place.trial_seconds} giây, "
            f"{place.trial_memory_bytes} byte bộ nhớ)",
            f"ClamAV did not live through the trial (exit {done.returncode} after {seconds:.0f} s; bounds: "
            f"{place.trial_seconds} s, {place.trial_memory_bytes} bytes)",
        )
    return done


def finds(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """What clamscan found: path to name."""
    lines = [line.removesuffix(" FOUND") for line in done.stdout.splitlines() if line.endswith(" FOUND")]
    return {path: name.removesuffix(".UNOFFICIAL") for path, _, name in (line.rpartition(": ") for line in lines)}


def documents(room: Path) -> list[Path]:
    """Make plain documents of the kinds offices write: none of them may be found."""
    text = "Cộng hòa xã hội chủ nghĩa Việt Nam\nĐộc lập - Tự do - Hạnh phúc\n\nCông văn số 12: lịch họp giao ban.\n"
    letter = "From: van-thu@example\nSubject: Cong van\nMIME-Version: 1.0\nContent-Type: application/octet-stream\n"
    letter += f"Content-Transfer-Encoding: base64\n\n{base64.b64encode(text.encode()).decode()}\n"
    plain = {
        "plain.txt": text,
        "plain.html": f"<!DOCTYPE html><html><body><p>{text}</p></body></html>",
        "plain.csv": "Ngày,Số,Trích yếu\n22/11,12,Lịch họp\n",
        "plain.eml": letter,
        "plain.rtf": "{\\rtf1\\ansi Cong van so 12}",
        "plain.pdf": "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj"
        "\ntrailer<</Root 1 0 R>>\n%%EOF\n",
        "plain.bin": "\0" * 4096,
    }
    for name, content in plain.items():
        (room / name).write_text(content, encoding="utf-8")
    packed = {
        "plain.docx": ("[Content_Types].xml", "word/document.xml"),
        "plain.xlsx": ("[Content_Types].xml", "xl/workbook.xml"),
        "plain.odt": ("mimetype", "content.xml"),
        "plain.zip": ("công văn.txt",),
    }
    for name, members in packed.items():
        with zipfile.ZipFile(room / name, "w", zipfile.ZIP_DEFLATED) as archive:
            for member in members:
                archive.writestr(member, f"<x>{text}</x>")
    return [room / name for name in [*plain, *packed]]


def corpus(place: Place) -> list[Path]:
    """Clean files of this host: what every host lives on, and a sample of the rest, the same each time."""
    chosen: dict[str, None] = {}
    room = place.trial_corpus_bytes
    others = [path for pattern in CORPUS for path in glob.iglob(pattern)]  # noqa: PTH207  (thousands of them)
    others.sort(key=lambda path: hashlib.sha256(path.encode(errors="surrogateescape")).digest())
    for number, path in enumerate([*ESSENTIAL, *others]):
        essential = number < len(ESSENTIAL)
        if not essential and (len(chosen) >= place.trial_corpus_files or room <= 0):
            break
        try:
            real = os.path.realpath(path)
            status = os.stat(real)  # noqa: PTH116  (thousands of them)
            real.encode("utf-8")
        except (OSError, UnicodeEncodeError):
            continue
        if not os.path.isfile(real) or not status.st_size or "\n" in real or real in chosen:  # noqa: PTH113
            continue
        if not essential and (status.st_size > min(CORPUS_FILE_BYTES, room)):
            continue
        chosen[real] = None
        room -= status.st_size
    return [Path(path) for path in chosen]
