"""Python packages for hosts that reach no index: fetched at the centre by exact hash, served by the hub's mirror."""

from __future__ import annotations

import html
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from tram.act.come import come
from tram.act.key import CentreKey
from tram.act.stage import MIRROR_PORT, with_function
from tram.act.staging import do, name_all, put
from tram.act.target import targets
from tram.core.errors import BadInput
from tram.core.run import run
from tram.register import Host, Province

FOLDER = "/var/lib/tram-mirror/wheels"

# Python and the C library of each release: what a wheel there may be built for. Source: packages python3, libc6.
_SUITES = {"bookworm": ("3.11", 36), "trixie": ("3.13", 41)}
_OLDEST_GLIBC = 5
_WHEEL = re.compile(
    r"(?P<project>[A-Za-z0-9](?:[A-Za-z0-9._]*[A-Za-z0-9])?)-[A-Za-z0-9_.!+]+(?:-[A-Za-z0-9_.]+){3,4}\.whl"
)
_FOLDER = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+@-]{0,200}")
_FETCHED = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Shelf:
    """The wheels of one file of requirements: sizes by name, bytes sent to the hub, address of the index."""

    url: str
    files: Mapping[str, int]
    sent: int


def fill_folder(province: Province, key: CentreKey, folder: Path, name: str, *, dry: bool = False) -> Shelf:
    """Have the files of a folder (not of those in it) on the hub's mirror, below wheels/<name>/, by their names.

    Raises: BadInput for a name or files that cannot be served; NotReached, StepFailed.
    """
    if not _FOLDER.fullmatch(name) or name in ("simple", "files"):
        raise BadInput(
            f"{name}: cannot name a folder of the mirror", hint="letters a-z, digits and -; not simple, files"
        )
    if not folder.is_dir():
        raise BadInput(f"{folder}: is no folder")
    files = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}
    strange = [one for one in files if not _FILE.fullmatch(one)]
    if strange or not files:
        reason = f"{strange[0]}: cannot be served by that name" if strange else f"{folder}: has no files"
        raise BadInput(reason, hint="letters, digits and . _ + @ -; no . at the beginning")
    store, shelf = store_of(province), _empty(province, name, files)
    if dry:
        return shelf
    paths = {f"{name}/{one}": data for one, data in files.items()}
    with come(targets(province, [store.inventory_name])[0], key) as session:
        sent = put(session, FOLDER, paths)
        name_all(session, FOLDER, f"folder-{name}", paths)
    return replace(shelf, sent=sent)


def _empty(province: Province, name: str, files: Mapping[str, bytes]) -> Shelf:
    """A shelf nothing was sent to yet."""
    url = f"https://mirror.{province.domain}:{MIRROR_PORT}/wheels/{name}"
    return Shelf(url, {one: len(data) for one, data in files.items()}, 0)


def store_of(province: Province) -> Host:
    """The hub's host that serves wheels.

    Raises: BadInput when there is none.
    """
    store = with_function(province.hub, "mirror")
    if store is None:
        raise BadInput(
            f"{province.folder}: the hub has no host with the function mirror",
            hint=f"add it in sites/{province.hub.code}.yml, then run playbooks/antivirus.yml",
        )
    return store


def fill_shelf(
    province: Province,
    key: CentreKey,
    requirements: Path,
    suite: str,
    *,
    beside: Sequence[Path] = (),
    dry: bool = False,
) -> Shelf:
    """Have every requirement on the hub's mirror; wheels in the folders `beside` are taken, too.

    Raises: BadInput for requirements without hashes, or what is not to be had as a wheel; NotReached, StepFailed.
    """
    store = store_of(province)
    with TemporaryDirectory(prefix="tram-wheels-") as made:
        folder = Path(made)
        download(requirements, suite, folder, beside)
        wheels = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
    shelf = _empty(province, "simple", wheels)
    if dry:
        return shelf
    paths = {f"files/{sha256(data).hexdigest()}/{name}": data for name, data in wheels.items()}
    with come(targets(province, [store.inventory_name])[0], key) as session:
        sent = put(session, FOLDER, paths)
        there = do(session, f"cd {FOLDER} && find files -name '*.whl'").split()
        put(session, FOLDER, pages(there))
        name_all(session, FOLDER, f"{requirements.stem}-{suite}", [*paths, *pages(paths)])
    return replace(shelf, sent=sent)


def download(requirements: Path, suite: str, folder: Path, beside: Sequence[Path] = ()) -> None:
    """Fetch the wheels a host of this release would take, as pip itself chooses and checks them.

    Raises: BadInput with pip's reason.
    """
    if suite not in _SUITES:
        raise BadInput(f"{suite}: is no release hosts may have", hint=f"there are: {', '.join(_SUITES)}")
    if not requirements.is_file():
        raise BadInput(
            f"{requirements}: is no file", hint="make one with name==version --hash=sha256:…, e.g. by pip-compile"
        )
    python, glibc = _SUITES[suite]
    platforms = ["linux_x86_64", "manylinux1_x86_64", "manylinux2010_x86_64", "manylinux2014_x86_64"]
    platforms += [f"manylinux_2_{minor}_x86_64" for minor in range(_OLDEST_GLIBC, glibc + 1)]
    words = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
    # Who names hashes names everything; what Debian has instead is left out on purpose.
    words += [
        "--require-hashes",
        "--no-deps",
        "--only-binary",
        ":all:",
        "--implementation",
        "cp",
        "--python-version",
        python,
    ]
    words += [word for name in platforms for word in ("--platform", name)]
    words += [word for one in beside for word in ("--find-links", str(one))]
    words += ["--dest", str(folder), "--requirement", str(requirements)]
    ran = run(words, check=False, timeout=_FETCHED)
    if ran.code != 0:
        lines = [line.removeprefix("ERROR: ") for line in ran.stderr.splitlines() if line.startswith("ERROR: ")]
        raise BadInput(
            f"{requirements}: {(lines or ran.stderr.strip().splitlines() or ['pip failed'])[0]}",
            hint="each line is name==version with --hash=sha256:…; what has no wheel for "
            f"Python {python} must be built there first and given with --find-links",
        )
    strange = [path.name for path in folder.iterdir() if not _WHEEL.fullmatch(path.name)]
    if strange:
        raise BadInput(f"{strange[0]}: is no wheel")


def pages(paths: Iterable[str]) -> dict[str, bytes]:
    """The index of these wheels (files/<sha256>/<name>): a page a project. Source: PEP 503."""
    projects: dict[str, list[str]] = {}
    for path in sorted(paths, key=lambda path: path.rpartition("/")[2]):
        _files, digest, name = path.split("/")
        if found := _WHEEL.fullmatch(name):
            project = re.sub(r"[-_.]+", "-", found["project"]).lower()
            link = f"../../files/{digest}/{html.escape(name)}#sha256={digest}"
            projects.setdefault(project, []).append(f'<a href="{link}">{html.escape(name)}</a><br>')
    head = '<!DOCTYPE html>\n<html><head><meta name="pypi:repository-version" content="1.0"></head><body>\n'
    return {
        f"simple/{project}/index.html": f"{head}{chr(10).join(links)}\n</body></html>\n".encode()
        for project, links in sorted(projects.items())
    }
