"""Which templates of the inventory only the centre can resolve: those that look at its files, programs, other hosts.

All others travel as they are, because they may depend on what only the host knows (facts, role defaults, what a play
sets later), and because a template then means on the host exactly what it means to plain `ansible-playbook`.
"""

from __future__ import annotations

from jinja2 import Environment, TemplateSyntaxError, nodes

# Lookups that only rearrange what they are given.
_PURE = frozenset(
    """
    dict flattened indexed_items items list nested random_choice sequence subelements together varnames vars
    """.split()  # noqa: SIM905 a table of words reads better than a column of strings
)
_NAMES = frozenset(("hostvars", "inventory_dir", "inventory_file", "playbook_dir", "ansible_playbook_python"))
_FILE_TESTS = frozenset(("directory", "exists", "file", "link", "link_exists", "mount", "same_file"))
_FILE_FILTERS = frozenset(("fileglob", "realpath"))

_jinja = Environment(extensions=["jinja2.ext.do", "jinja2.ext.loopcontrols"], autoescape=False)  # noqa: S701 never rendered


def needs_centre(template: str) -> bool:
    """Whether this template reads something that is only at the centre."""
    if not any(mark in template for mark in ("{{", "{%")):
        return False
    try:
        tree = _jinja.parse(template)
    except TemplateSyntaxError:
        return False  # Ansible says it better, on the host as at the centre
    if any(name.name in _NAMES for name in tree.find_all(nodes.Name)):
        return True
    if any(_short(test.name) in _FILE_TESTS for test in tree.find_all(nodes.Test)):
        return True
    if any(_short(filtered.name) in _FILE_FILTERS for filtered in tree.find_all(nodes.Filter)):
        return True
    return any(_looks_up(call) for call in tree.find_all(nodes.Call))


def _looks_up(call: nodes.Call) -> bool:
    if not (isinstance(call.node, nodes.Name) and call.node.name in ("lookup", "query", "q")):
        return False
    first = call.args[0] if call.args else None
    return not (isinstance(first, nodes.Const) and _short(str(first.value)) in _PURE)


def _short(name: str) -> str:
    return name.removeprefix("ansible.builtin.").removeprefix("ansible.legacy.")
