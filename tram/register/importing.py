"""A spreadsheet into a register: all of it or nothing, and nothing that the sheet does not speak of is lost."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tram.core.errors import BadInput
from tram.register.columns import COLUMNS, normal
from tram.register.document import parse_document, read_document
from tram.register.grid import read_sheets
from tram.register.loading import Files, read_files, read_province
from tram.register.problem import Loc, Problem, RegisterInvalid
from tram.register.rows import Heard, Said, Words, hear
from tram.register.shape import SiteShape
from tram.register.verdict import judge, shown
from tram.register.writing import site_text

_SITE_LINE = re.compile(r"(?P<file>sites/(?P<code>[a-z0-9-]+)\.yml):(?P<line>\d+)")


@dataclass(frozen=True, slots=True)
class Change:
    """What an import does to one site; `hosts_gone` are those that the register has and the sheet has not."""

    code: str
    name: str
    what: Literal["new", "changed", "same"]
    hosts_gone: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did, or would do: `kept` are the sites the sheet does not name, `ignored` the unknown headings."""

    changes: tuple[Change, ...]
    kept: tuple[str, ...]
    ignored: tuple[str, ...]


def import_sheets(spreadsheet: Path, folder: Path, *, dry_run: bool) -> Imported:
    """Bring a spreadsheet's sites into the register in `folder`, which must have its province.yml.

    Sites and columns that the sheet has not keep what the register says; hosts that it has not, of a site that it has,
    go. A site file that already says the same is left as it is, comments and all.
    Raises: RegisterInvalid with every error of the sheet and of the register it would give; nothing is changed then.
    BadInput for what is no spreadsheet.
    """
    if not dry_run:
        _recover(folder)
    province = read_province(folder)
    sheets, problems = read_sheets(spreadsheet)
    before = _before(folder)
    tiers = {normal(text): code for code, tier in province.tiers.items() for text in (code, tier.name_vi, tier.name_en)}
    sites = {normal(str(data.get("name"))): code for code, data in before.items()}
    heard = hear(sheets, Words(tiers, sites))
    problems += heard.problems
    for said in heard.sites.values():
        _keep(said, before.get(said.data["code"], {}))
    # Beside the register, so that the finished folder can be put in place by renaming it.
    try:
        with tempfile.TemporaryDirectory(prefix=".import-", dir=None if dry_run else folder) as scratch:
            after = Path(scratch) / "after"
            files = _try(folder, after, heard, problems)
            changes = tuple(_change(folder, after, files, code, before.get(code)) for code in sorted(heard.sites))
            if not dry_run:
                _swap(after / "sites", folder / "sites", Path(scratch) / "before")
    except OSError as error:
        raise BadInput(f"{folder}: cannot be written: {error}", hint="check permissions and free space") from error
    return Imported(changes, tuple(sorted(set(before) - set(heard.sites))), tuple(heard.ignored))


def _before(folder: Path) -> dict[str, dict[str, Any]]:
    """The site files as they are, by code; one that cannot be read is reported when the whole is checked."""
    found = {path.stem: read_document(path, f"sites/{path.name}") for path in (folder / "sites").glob("*.yml")}
    return {code: document.data for code, (document, _) in found.items() if document.data}


def _keep(said: Said, before: Mapping[str, Any]) -> None:
    """Fill in, from the register, what the sheet has no column for."""
    present = {column.loc for column in said.columns}
    hosts = {host.get("name"): host for host in before.get("hosts") or () if isinstance(host, dict)}
    for column in COLUMNS:
        if column.loc in present or not column.exported:
            continue
        if column.of_host:
            for host in said.data.get("hosts", ()):
                _copy(hosts.get(host.get("name"), {}), host, column.loc[1:])
        else:
            _copy(before, said.data, column.loc)


def _copy(source: Any, target: dict[str, Any], loc: tuple[str, ...]) -> None:
    for key in loc[:-1]:
        source = source.get(key) if isinstance(source, dict) else None
    if not isinstance(source, dict) or source.get(loc[-1]) is None:
        return
    for key in loc[:-1]:
        target = target.setdefault(key, {})
    target[loc[-1]] = source[loc[-1]]


def _try(folder: Path, after: Path, heard: Heard, problems: list[Problem]) -> Files:
    """Write the register as it would be to `after` and check all of it.

    Raises: RegisterInvalid, with the cells of the sheet for places.
    """
    after.mkdir()
    shutil.copy2(folder / "province.yml", after)
    if (folder / "sites").is_dir():
        shutil.copytree(folder / "sites", after / "sites")
    (after / "sites").mkdir(exist_ok=True)
    for code, said in heard.sites.items():
        path, text = after / "sites" / f"{code}.yml", site_text(said.data)
        if not path.exists() or not _same(path, text):
            path.write_text(text, encoding="utf-8")
    try:
        files = read_files(after)
    except RegisterInvalid as error:
        lines = {f"sites/{code}.yml": _locs(after / "sites" / f"{code}.yml") for code in heard.sites}
        found = [_at_cell(problem, heard, lines) for problem in error.problems]
        raise RegisterInvalid([*problems, *(problem for problem in found if problem)]) from None
    if problems:
        raise RegisterInvalid(problems)
    return files


def _same(path: Path, text: str) -> bool:
    """Whether a site file means what `text` means, however it is written."""
    old, new = (
        judge(document, SiteShape)[0]
        for document, _ in (read_document(path, path.name), parse_document(text, path.name))
    )
    return old is not None and old == new


def _locs(path: Path) -> dict[int, Loc]:
    """What stands in each line of a site file."""
    document, _ = read_document(path, path.name)
    return {line: loc for loc, line in document.lines.items()}


def _at_cell(problem: Problem, heard: Heard, lines: Mapping[str, Mapping[int, Loc]]) -> Problem | None:
    """A problem of a site file at the cell that caused it; None when that cell, or its lacking column, is reported."""
    said = heard.sites.get(Path(problem.file).stem) if problem.file in lines else None
    if said is None:
        return problem
    keys = tuple(part for part in problem.loc if isinstance(part, str))
    present = {column.loc for column in said.columns}
    if any(c.required and c.loc not in present and c.loc[: len(keys)] == keys for c in COLUMNS):
        return None
    cell = said.cell(problem.loc)
    if cell.bad or any(near.bad for loc, near in said.cells.items() if loc[: len(problem.loc)] == problem.loc):
        return None
    message = problem.message.removeprefix(f'"{shown(problem.loc)}"').removeprefix(":").lstrip()

    def place(found: re.Match[str]) -> str:
        """The cell instead of the line of a file that is not there yet."""
        other = heard.sites.get(found["code"])
        return other.cell(lines[found["file"]][int(found["line"])]).place if other else found[0]

    return cell.problem(
        re.sub(r"(?P<file>sites/(?P<code>[a-z0-9-]+)\.yml):(?P<line>\d+)", place, message), problem.hint
    )


def _change(folder: Path, after: Path, files: Files, code: str, before: Mapping[str, Any] | None) -> Change:
    site = files.sites[code][1]
    if before is None:
        return Change(code, site.name, "new", ())
    old, new = (base / "sites" / f"{code}.yml" for base in (folder, after))
    names = {host.name for host in site.hosts}
    gone = tuple(host["name"] for host in before.get("hosts") or () if host["name"] not in names)
    return Change(code, site.name, "same" if old.read_bytes() == new.read_bytes() else "changed", gone)


def _swap(new: Path, place: Path, old: Path) -> None:
    """Put a finished folder in the place of another: at no moment half of each."""
    if place.exists():
        place.rename(old)
    new.rename(place)


def _recover(folder: Path) -> None:
    """Put back the sites of an import that was killed between the two steps of `_swap`."""
    lost = [] if (folder / "sites").exists() else sorted(folder.glob(".import-*/before"))
    if len(lost) == 1:
        lost[0].rename(folder / "sites")
        shutil.rmtree(lost[0].parent)
