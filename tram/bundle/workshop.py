"""What is known of a playbook before it is known for which host: read once, Ansible asked once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tram.bundle.asking import Answer, Found, Question, ask
from tram.bundle.files import beside
from tram.bundle.mentions import Mentions
from tram.bundle.nodes import Unreadable, is_template, items, read, scalars
from tram.bundle.plays import Play, read_plays, shown
from tram.bundle.reach import Reach, Walker
from tram.bundle.roles import Project, Role, find_project
from tram.bundle.secrets import Wish, wishes
from tram.bundle.vaults import Vaults
from tram.core.errors import BadInput
from tram.register import Problem, Province

_TASKS = ("pre_tasks", "roles", "tasks", "post_tasks", "handlers")


@dataclass(frozen=True, slots=True)
class Part:
    """One play, what it comes to, what the texts of all that speak of, and the files beside the playbook it uses."""

    play: Play
    reach: Reach
    mentions: Mentions
    own: dict[str, Path]


@dataclass(frozen=True, slots=True)
class Workshop:
    """A playbook read whole, with Ansible's answer for a number of hosts."""

    playbook: Path
    province: Province
    secrets: Path
    project: Project
    parts: tuple[Part, ...]
    wishes: tuple[Wish, ...]
    vaults: Vaults
    problems: tuple[Problem, ...]
    answer: Answer
    actions: dict[tuple[str, tuple[str, ...]], Sequence[Found]]
    plugins: dict[str, Sequence[Found]]
    imports: dict[Path, tuple[Path, ...]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The playbook as the operator knows it."""
        return shown(self.playbook, self.project.folder)


def open_workshop(playbook: Path, province: Province, secrets: Path, hosts: Sequence[str]) -> Workshop:
    """Read a playbook and ask Ansible what these hosts need of it.

    Raises: BadInput when it is not there or Ansible cannot read the inventory.
    """
    playbook = playbook.resolve()
    if not playbook.is_file():
        raise BadInput(f"{playbook}: no such playbook")
    project = find_project(playbook)
    plays, problems = read_plays(playbook, project.folder)
    parts = [_part(play, project) for play in plays]
    roles = {role.target: role for part in parts for role in part.reach.roles.values()}
    wished: list[Wish] = []
    for role in roles.values():
        found, wrong = wishes(role, project.folder)
        wished += found
        problems += wrong
    vaults = Vaults()
    vaults.look(path for role in roles.values() for path in role.files())
    vaults.look(path for part in parts for path in part.own.values())
    actions = sorted({(step.action, step.collections) for part in parts for step in part.reach.steps if step.action})
    plugins = sorted({name for part in parts for name in part.mentions.qualified | part.mentions.short})
    answer = ask(
        Question(
            inventory=str(province.folder.resolve()),
            basedir=str(playbook.parent),
            hosts=hosts,
            patterns=[play.pattern for play in plays],
            fill=[(w.pattern, str(w.folder), w.files, _patterns(w.role, parts)) for w in wished],
            actions=actions,
            plugins=plugins,
            vaults=vaults.texts,
        ),
        project=project.folder,
        secrets=secrets,
    )
    vaults.opened = answer.decrypted
    return Workshop(
        playbook=playbook,
        province=province,
        secrets=secrets,
        project=project,
        parts=tuple(parts),
        wishes=tuple(wished),
        vaults=vaults,
        problems=tuple(problems),
        answer=answer,
        actions=dict(zip(actions, answer.actions, strict=True)),
        plugins=dict(zip(plugins, answer.plugins, strict=True)),
    )


def _patterns(role: str, parts: Iterable[Part]) -> list[str]:
    """The patterns of the plays that come to a role."""
    return [part.play.pattern for part in parts if role in part.reach.roles]


def _part(play: Play, project: Project) -> Part:
    reach = Walker(play, project).walk()
    mentions = Mentions()
    mentions.add(text for key, node in play.keys.items() if key not in _TASKS for text in scalars(node))
    mentions.add(
        text
        for step in reach.steps
        if not step.guard.never
        for key, node in step.keys.items()
        for text in (key, *scalars(node))
    )
    for role in reach.roles.values():
        mentions.add(_role_texts(role))
    return Part(play, reach, mentions, _own_files(play, reach))


def _own_files(play: Play, reach: Reach) -> dict[str, Path]:
    """Task files, variables and other files of the playbook itself, by their place in the tree."""
    own = [step for step in reach.steps if not step.in_role]
    texts = {text for step in own for node in step.keys.values() for text in scalars(node)}
    found = reach.files | dict(beside(play.folder, texts))
    for node in items(play.keys.get("vars_files")):
        for name in scalars(node):
            path = play.folder / name
            if is_template(name) or name.startswith(("/", "../")):
                hint = "write a name below the playbook's directory"
                reach.problems.append(play.place.problem(f'vars_files: "{name}" cannot travel', hint))
            elif path.is_file():
                found[name.removeprefix("./")] = path
    return found


def _role_texts(role: Role) -> Iterable[str]:
    """What a role says outside of its tasks."""
    for path in role.files():
        top = path.relative_to(role.folder).parts[0]
        if top == "templates":
            yield path.read_text(encoding="utf-8", errors="replace")
        elif top in ("vars", "defaults", "meta") and path.name != "argument_specs.yml":
            try:
                yield from scalars(read(path, str(path)))
            except Unreadable:  # a file that is one vault, or that Ansible will complain about itself
                continue
