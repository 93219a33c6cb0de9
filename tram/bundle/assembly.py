"""One host's bundle put together, or every error that is in the way."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tram.bundle.asking import Found
from tram.bundle.collected import Collected
from tram.bundle.content import Content, File, First, content
from tram.bundle.files import role_files, settings
from tram.bundle.mentions import Mentions
from tram.bundle.nodes import Place, entries, line, listed, text, written
from tram.bundle.plays import shown
from tram.bundle.roles import Role
from tram.bundle.runtime_content import is_wanted
from tram.bundle.secrets import Wish, check_pattern, matching
from tram.bundle.variables import choose, errors, inventory, naming
from tram.bundle.verifying import verify_playbook
from tram.bundle.workshop import Workshop
from tram.core.canonical import dumps
from tram.core.errors import BadInput
from tram.register import Problem
from tram.register.inventory import entries as register_entries

_CENTRE = ("localhost", "127.0.0.1", "::1")
# The variable by which a play says what becomes of a run that fails; plain Ansible passes over it.
_ON_FAILURE, _KEEP, _RESTORE = "tram_on_failure", "keep", "restore"


class BundleInvalid(BadInput):
    """A bundle that cannot be built; `problems` holds all that is in the way, in order of file and line."""

    def __init__(self, host: str, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems), key=lambda p: (p.file, p.line, p.message)))
        count = len(self.problems)
        title = f"{host}: gói lệnh có {count} lỗi / {count} error{'s' if count > 1 else ''} in the bundle"
        super().__init__("\n".join([title, *(f"  {problem}" for problem in self.problems)]))


class Assembly:
    """One host's bundle in the making."""

    def __init__(self, shop: Workshop, host: str, *, check: bool) -> None:
        self.shop = shop
        self.host = host
        self.check = check
        self.parts = [part for part in shop.parts if host in shop.answer.matches[part.play.pattern]]
        self.problems = [*shop.problems, *(problem for part in self.parts for problem in part.reach.problems)]
        self.files: dict[str, File] = {}
        self.mentions = Mentions()
        self.roles: dict[str, Role] = {}
        for part in self.parts:
            self.mentions.join(part.mentions)
            self.roles |= {name: role for name, role in part.reach.roles.items() if name not in self.roles}

    def content(self) -> Content:
        """Everything.

        Raises: BundleInvalid; BadInput when no play is for this host; BadDocument when it is too large.
        """
        if not self.parts and not self.problems:
            patterns = ", ".join(f'"{part.play.pattern}"' for part in self.shop.parts) or "none"
            message = f"{self.shop.name} has no play for {self.host}"
            raise BadInput(
                message, hint=f"its plays are for: {patterns}; which host is in which group: tram sites list"
            )
        self._stay_here()
        self._roles()
        self._own_files()
        self._plugins()
        self._variables()
        first = self._first()
        returns, missing = self._secrets({one.role for one in first})
        self._on_failure()
        if self.problems:
            raise BundleInvalid(self.host, self.problems)
        playbook = listed([part.play.for_host(self.host) for part in self.parts])
        pairs = [(part.play, part.reach) for part in self.parts]
        self.files |= {
            "playbook.yml": File(written(playbook).encode()),
            "verify.yml": File(verify_playbook(self.host, pairs)),
            "ansible.cfg": File(settings(self.shop.project.folder)),
            "returns.json": File(dumps({"format": 1, "patterns": list(returns)})),
        }
        return content(self.files, roles=tuple(self.roles), returns=returns, missing=missing, first=first)

    def _stay_here(self) -> None:
        """Refuse tasks that would run at the site though they are meant for the centre, or for another host."""
        hint = 'put it under "when: not tram_delivered"; what the host needs of it comes by meta/tram.yml'
        for part in self.parts:
            for task in part.reach.elsewhere:
                if task.target != self.host:
                    whose = "at the centre" if task.target in _CENTRE else f"on {task.target}"
                    words = f"{task.where}: is to run {whose}, but a delivered bundle runs on its host alone"
                    self.problems.append(task.place.problem(words, hint))

    def _on_failure(self) -> None:
        """Say in the tree that a run that fails is to be undone, when one of its plays asks for that."""
        for part in self.parts:
            said = entries(part.play.keys.get("vars")).get(_ON_FAILURE)
            if said is not None and text(said) not in (_KEEP, _RESTORE):
                place = Place(part.play.place.file, line(said))
                self.problems.append(place.problem(f"{_ON_FAILURE} is neither {_KEEP} nor {_RESTORE}"))
            elif text(said) == _RESTORE:
                self.files["tram.json"] = File(dumps({"on_failure": _RESTORE}))

    def _roles(self) -> None:
        tasks = {path for part in self.parts for path in part.reach.tasks}
        chosen_late = {name for part in self.parts for name in part.reach.open}
        for name, role in self.roles.items():
            try:
                for place, path in role_files(role, self.shop.project.folder, None if name in chosen_late else tasks):
                    self.files[place] = self.shop.vaults.file(path)
            except (ValueError, OSError) as error:
                self.problems.append(Problem(shown(role.folder, self.shop.project.folder), 1, (), str(error)))

    def _own_files(self) -> None:
        for part in self.parts:
            for place, path in part.own.items():
                file = self.shop.vaults.file(path)
                if self.files.setdefault(place, file) != file:
                    self.problems.append(part.play.place.problem(f"another playbook has another file {place} too"))

    def _plugins(self) -> None:
        """Modules and plugins that ansible-core does not have."""
        collected = Collected(self.shop.imports)
        for found, runs in self._found():
            if found.path.is_relative_to(self.shop.answer.core):
                if runs and not is_wanted(found.path.relative_to(self.shop.answer.core).as_posix()):
                    self._not_in_runtime(found)
                continue
            if "ansible_collections" in found.path.parts:
                collected.add(found, runs=runs)
            else:
                folder = "library" if found.kind == "modules" else f"{found.kind}_plugins"
                self.files[f"{folder}/{found.path.name}"] = File(found.path.read_bytes())
                for path in sorted((found.path.parent.parent / "module_utils").rglob("*.py")):
                    place = path.relative_to(found.path.parent.parent).as_posix()
                    self.files[place] = File(path.read_bytes())
        self.files |= {place: File(path.read_bytes()) for place, path in collected.files.items()}
        routing = collected.routing(groups=self.mentions.action_groups)
        self.files |= {place: File(data) for place, data in routing.items()}

    def _not_in_runtime(self, found: Found) -> None:
        name = found.path.stem
        steps = (step for part in self.parts for step in part.reach.steps if step.action.rpartition(".")[2] == name)
        place = next((step.place for step in steps), self.parts[0].play.place)
        hint = "use another one, or add it to tram/bundle/runtime_content.py"
        self.problems.append(place.problem(f"{found.kind} {name} of ansible-core is not in the sites' runtime", hint))

    def _found(self) -> Iterator[tuple[Found, bool]]:
        """Every plugin in use, and whether it will ever run here."""
        brought = {name for role in self.roles.values() for name in role.modules()}
        for step in (step for part in self.parts for step in part.reach.steps):
            found = self.shop.actions.get((step.action, step.collections), ())
            if not found and step.action not in brought:
                words = (
                    f'module "{step.action}" is not installed at the centre' if step.action else "a task without action"
                )
                hint = "correct its name, or add its collection to requirements" if step.action else ""
                self.problems.append(step.place.problem(words, hint))
            yield from ((one, not step.guard.never) for one in found)
        for name in sorted(self.mentions.qualified | self.mentions.short):
            yield from ((one, True) for one in self.shop.plugins.get(name, ()))

    def _variables(self) -> None:
        """The inventory: this host with what it needs, and of the others what the register says and roles look at."""
        given = choose(self.shop.answer.variables[self.host], list(self.roles), self.mentions)
        for name, reason in errors(given):
            self._bad_variable(name, f"cannot be resolved at the centre: {reason}")
        shop = self.shop
        for name, path in naming(
            given, [str(shop.secrets), str(shop.province.folder.resolve()), str(shop.project.folder)]
        ):
            hint = "begin it with {{ tram_secrets_dir }}, or put the file into a role"
            self._bad_variable(name, f"names {path}, which is only at the centre", hint)
        variables = {self.host: given}
        if self.mentions.others:
            variables = self._neighbours(given.keys()) | variables
        self.files["inventory.yml"] = File(inventory(self.host, self.shop.answer.groups, variables), 0o600)

    def _bad_variable(self, name: str, what: str, hint: str = "") -> None:
        origin = self.shop.answer.origins[self.host].get(name, f"{self.shop.province.folder.resolve()}:1")
        path, _, at = origin.rpartition(":")
        place = Place(shown(Path(path), self.shop.project.folder), int(at))
        self.problems.append(place.problem(f"variable {name} of {self.host} {what}", hint))

    def _neighbours(self, wanted: Iterable[str]) -> dict[str, dict[str, Any]]:
        names = set(wanted) | self.mentions.words | {"ansible_host"}
        found = {}
        for entry in register_entries(self.shop.province):
            known = {"ansible_host": entry.address, **entry.variables}
            found[entry.name] = {k: v for k, v in known.items() if k in names and k != "tram_secrets_dir"}
        return found

    def _first(self) -> tuple[First, ...]:
        """What the roles say must happen first, as far as its condition holds for this host."""
        found: list[First] = []
        for wish, filled in self._wished("first"):
            if not isinstance(filled, bool):
                words = f'"{wish.pattern}" for {self.host}: {_reason(filled, "is neither true nor false")}'
                self.problems.append(wish.place.problem(words))
            elif filled:
                host, centre = (self.shop.project.folder / step for step in wish.steps)
                found.append(First(wish.role, host if wish.steps[0] else None, centre, self._answered(wish)))
        return tuple(found)

    def _answered(self, first: Wish) -> bool:
        """Whether the centre has what this host is to return for the role."""
        patterns = [text for wish, text in self._wished("returns") if wish.role == first.role]
        try:
            return all(any(matching(text, self.shop.secrets)) for text in patterns if isinstance(text, str))
        except ValueError as error:
            self.problems.append(first.place.problem(str(error)))
            return True

    def _wished(self, key: str) -> Iterator[tuple[Wish, Any]]:
        """What the roles of this host wish for under `key`, with the host's variables filled in."""
        own = {role.name for role in self.roles.values()}
        for wish, filled in zip(self.shop.wishes, self.shop.answer.filled[self.host], strict=True):
            if wish.role in own and wish.key == key:
                yield wish, filled

    def _secrets(self, later: Collection[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Put this host's secrets in; the patterns of what comes back, and those no file was found for. Something must
        happen first for roles in `later`, so what they require need not be there yet."""
        returns: list[str] = []
        missing: list[str] = []
        several = [
            (wish, one)
            for wish, filled in self._wished("secrets")
            for one in (filled if isinstance(filled, list) else [filled])
        ]
        for wish, filled in (*self._wished("make"), *several, *self._wished("returns")):
            if not isinstance(filled, str):
                self.problems.append(
                    wish.place.problem(f'"{wish.pattern}" for {self.host}: {_reason(filled, "is no text")}')
                )
            elif wish.key == "make":
                continue  # done when it was evaluated
            elif wrong := check_pattern(filled):
                self.problems.append(wish.place.problem(f"for {self.host}: {wrong}"))
            elif wish.key == "returns":
                returns.append(filled)
            else:
                try:
                    found = dict(matching(filled, self.shop.secrets))
                except ValueError as error:
                    self.problems.append(wish.place.problem(str(error)))
                    continue
                self.files |= {f"secrets/{place}": File(path.read_bytes(), 0o600) for place, path in found.items()}
                if not found and wish.required and not self.check and wish.role not in later:
                    hint = "what makes it at the centre has not run yet"
                    self.problems.append(wish.place.problem(f"the centre has no secret {filled} for {self.host}", hint))
                elif not found:
                    missing.append(filled)
        return tuple(sorted(set(returns))), tuple(sorted(set(missing)))


def _reason(filled: Any, otherwise: str) -> str:
    return str(filled["!error"]) if isinstance(filled, Mapping) and "!error" in filled else otherwise
