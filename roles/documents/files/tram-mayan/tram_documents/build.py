"""Builds a release beside the others: its own Python environment, the scripts of its pages, its static files."""

from __future__ import annotations

import re
import shutil
import tarfile
import tempfile
from pathlib import Path

from . import fetch
from .place import CACHE, CURRENT, ETC, STATE, manage, read, release, run, write

STAMP = ".complete"
FONT = re.compile(r"@import\s+url\([^)]*//fonts\.[^)]*\)\s*;")

MAP = re.compile(r"^//# sourceMappingURL=(\S+)\s*$", re.MULTILINE)


def is_built(name: str) -> bool:
    """Whether a release is there, whole."""
    return (release(name) / STAMP).exists()


def build(name: str) -> None:
    """Build a release. One that a run was killed in is begun anew; no other one is touched.

    Raises Trouble when a file is missing or does not fit.
    """
    top = release(name)
    shutil.rmtree(top, ignore_errors=True)
    top.mkdir(parents=True)
    run(["/usr/bin/python3", "-m", "venv", str(top / "venv")], what="python3 -m venv")
    pip = [
        str(top / "venv/bin/python"),
        "-m",
        "pip",
        "--disable-pip-version-check",
        "install",
        "--no-index",
        "--no-deps",
    ]
    pip += ["--find-links", str(CACHE), "--no-cache-dir", "--quiet"]
    run([*pip, "--require-hashes", "-r", str(ETC / "requirements.txt")], what="pip install")
    packages = next((top / "venv/lib").glob("python3.*")) / "site-packages"
    borrow_ldap(packages)
    for script in fetch.scripts():
        lay(script, packages / "mayan/apps" / script.place)
    without_foreign_font(packages)
    without_missing_maps(packages)
    static_files(name, top)
    (top / STAMP).touch()


def borrow_ldap(packages: Path) -> None:
    """Let the environment use Debian's python3-ldap: compiled, and mended by Debian."""
    for path in Path("/usr/lib/python3/dist-packages").iterdir():
        if path.name.startswith(("_ldap.", "ldap", "ldif.py", "ldapurl.py")) and not path.name.startswith("ldap3"):
            (packages / path.name).symlink_to(path)


def lay(script: fetch.Script, place: Path) -> None:
    """Unpack scripts where Mayan looks for them, as files and directories and nothing else."""
    place.mkdir(parents=True, exist_ok=True)
    with tarfile.open(script.named.here()) as archive:
        for member in archive.getmembers():
            _, _, inside = member.name.partition("/")
            if not member.isfile() or not inside or ".." in Path(inside).parts:
                continue
            target = place / inside
            target.parent.mkdir(parents=True, exist_ok=True)
            content = archive.extractfile(member)
            assert content is not None
            target.write_bytes(content.read())


def without_foreign_font(packages: Path) -> None:
    """No page asks anyone else for a font: browsers take their own."""
    themes = packages / "mayan/apps/appearance_bootstrap/static/appearance_bootstrap/node_modules/bootswatch"
    for sheet in themes.rglob("*.css"):
        text = sheet.read_text(encoding="utf-8")
        if FONT.search(text):
            sheet.write_text(FONT.sub("", text), encoding="utf-8")


def without_missing_maps(packages: Path) -> None:
    """Scripts do not name a map for debuggers that they came without: Django looks for every file that is named."""
    for script in packages.glob("mayan/apps/*/static/*/node_modules/**/*.js"):
        if not script.is_file():
            continue
        text = script.read_text(encoding="utf-8", errors="surrogateescape")
        named = MAP.search(text)
        if named and not (script.parent / named[1]).exists():
            script.write_text(MAP.sub("", text), encoding="utf-8", errors="surrogateescape")


def static_files(name: str, top: Path) -> None:
    """Collect what nginx serves, as Mayan's user in an empty place: neither data nor database is touched."""
    static = top / "static"
    with tempfile.TemporaryDirectory(prefix="tram-mayan-") as room:
        for path in (static, Path(room)):
            path.mkdir(exist_ok=True)
            shutil.chown(path, "mayan", "mayan")
        empty = {
            "MAYAN_CONFIGURATION_FILEPATH": f"{room}/none.yml",
            "MAYAN_MEDIA_ROOT": room,
            "MAYAN_STATIC_ROOT": str(static),
        }
        manage(name, "appearance_prepare_static", "--noinput", **empty)
    run(["chown", "-R", "root:root", str(static)], what="chown")
    run(["chmod", "-R", "u+rwX,go+rX,go-w", str(static)], what="chmod")


def activate(name: str) -> None:
    """Let the units run this release from their next start on."""
    new = CURRENT.with_name(".current.new")
    new.unlink(missing_ok=True)
    new.symlink_to(release(name))
    new.rename(CURRENT)
    write("active", f"{name} {read('translation')}")


def tidy(keep: set[str]) -> None:
    """Take away releases and fetched files that nothing needs any more."""
    for path in release("x").parent.glob("*"):
        if path.name not in keep:
            shutil.rmtree(path, ignore_errors=True)
    if (STATE / "active").exists():
        shutil.rmtree(CACHE)
        CACHE.mkdir(mode=0o700)
