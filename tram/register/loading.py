"""From the files of a province's folder to one frozen `Province`, or to every error in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from tram.register.checks import check_together
from tram.register.document import Document, read_document
from tram.register.draft import Draft
from tram.register.model import Board, Contact, Host, Link, Province, Site, Tier
from tram.register.problem import Problem, RegisterInvalid
from tram.register.shape import HostShape, LinkShape, ProvinceShape, Shape, SiteShape
from tram.register.verdict import judge

S = TypeVar("S", bound=Shape)


@dataclass(frozen=True, slots=True)
class Files:
    """The files of a register that passed every check; `sites` has, by code, the file as read and as typed."""

    province: ProvinceShape
    sites: Mapping[str, tuple[Document, SiteShape]]


def load(folder: Path) -> Province:
    """Read and check the register in `folder` (inventories/<province>).

    Raises: RegisterInvalid with every error of every file.
    """
    files = read_files(folder)
    return _assemble(folder, files.province, [shape for _, shape in files.sites.values()])


def read_files(folder: Path) -> Files:
    """Read and check the files themselves, for what writes them again (spreadsheets).

    Raises: RegisterInvalid with every error of every file.
    """
    province, province_draft, problems = _read(folder, "province.yml", ProvinceShape)
    drafts: list[Draft] = []
    sites: dict[str, tuple[Document, SiteShape]] = {}
    for path in sorted((folder / "sites").glob("*.y*ml")):
        if path.suffix != ".yml":
            problems.append(Problem(f"sites/{path.name}", 1, (), "is not read", f'rename it to "{path.stem}.yml"'))
            continue
        site, draft, found = _read(folder, f"sites/{path.name}", SiteShape)
        problems += [*found, *_file_name(draft)]
        drafts.append(draft)
        if site is not None:
            sites[site.code] = (draft.document, site)
    problems += check_together(province_draft, drafts)
    if province is None or problems:
        raise RegisterInvalid(problems)
    return Files(province, sites)


def read_province(folder: Path) -> ProvinceShape:
    """Read province.yml alone, for a register that has no sites yet.

    Raises: RegisterInvalid with every error in it.
    """
    province, _, problems = _read(folder, "province.yml", ProvinceShape)
    if province is None or problems:
        raise RegisterInvalid(problems)
    return province


def _read(folder: Path, file: str, shape: type[S]) -> tuple[S | None, Draft, list[Problem]]:
    """One file: its typed value when all of it is good, and in any case what is good of it."""
    document, problems = read_document(folder / file, file)
    value = None
    if all(problem.loc for problem in problems):  # a problem at no key: the file could not be read at all
        value, found = judge(document, shape)
        reported = {problem.loc for problem in problems}
        problems += [problem for problem in found if problem.loc not in reported]
    return value, Draft(document, frozenset(problem.loc for problem in problems), Path(file).stem), problems


def _file_name(draft: Draft) -> list[Problem]:
    code = draft.text("code")
    if code is None or code == draft.name:
        return []
    message = f'code "{code}" is not the file\'s name "{draft.name}"'
    return [draft.document.problem(("code",), message, f'rename the file to "{code}.yml" or correct the code')]


def _assemble(folder: Path, shape: ProvinceShape, shapes: list[SiteShape]) -> Province:
    tiers = {
        code: Tier(code, tier.order, tier.name_vi, tier.name_en)
        for code, tier in sorted(shape.tiers.items(), key=lambda item: (item[1].order, item[0]))
    }
    classes = {
        code: Link(code, found.provider, found.kind, found.down, found.up, found.rtt, found.loss)
        for code, found in shape.link_classes.items()
    }
    sites = tuple(
        sorted((_site(shape, site, classes) for site in shapes), key=lambda s: (tiers[s.tier].order, s.tier, s.code))
    )
    hub = next(site for site in sites if site.is_hub)
    return Province(
        code=shape.code,
        name=shape.name,
        domain=shape.domain,
        operator=shape.operator,
        lab=shape.lab,
        folder=folder,
        tiers=MappingProxyType(tiers),
        sites=sites,
        hub=hub,
    )


def _site(province: ProvinceShape, shape: SiteShape, classes: Mapping[str, Link]) -> Site:
    is_hub = shape.code == province.hub
    domain = shape.domain or (province.domain if is_hub else f"{shape.code}.{province.domain}")
    return Site(
        code=shape.code,
        name=shape.name,
        tier=shape.tier,
        parent=shape.parent,
        domain=domain,
        network=shape.network,
        board=Board(shape.board.x, shape.board.y) if shape.board else None,
        link=_link(shape.link, classes[shape.link.link_class]) if shape.link else None,
        hosts=tuple(_host(shape.code, domain, host) for host in shape.hosts),
        contact=Contact(shape.contact.post, shape.contact.phone) if shape.contact else None,
        pilot=shape.pilot,
        is_hub=is_hub,
    )


def _link(own: LinkShape, given: Link) -> Link:
    """The class, with what the site says otherwise."""
    return Link(
        link_class=given.link_class,
        provider=own.provider or given.provider,
        kind=own.kind or given.kind,
        down_bps=own.down or given.down_bps,
        up_bps=own.up or given.up_bps,
        rtt=given.rtt if own.rtt is None else own.rtt,
        loss=given.loss if own.loss is None else own.loss,
    )


def _host(site: str, domain: str, shape: HostShape) -> Host:
    return Host(
        name=shape.name,
        inventory_name=f"{site}-{shape.name}",
        fqdn=f"{shape.name}.{domain}",
        address=shape.address,
        year=shape.year,
        model=shape.model,
        ram_mb=shape.ram_mb,
        cores=shape.cores,
        suite=shape.suite,
        functions=tuple(shape.functions),
    )
