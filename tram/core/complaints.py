"""What a task that failed says of why, in the words of its result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_LINES = 3  # of what a command printed last: there it says what it missed


def complaints(result: Mapping[str, Any]) -> list[str]:
    """The words of one task's (or one item's) result that say why it failed; none is empty.

    A command's own `msg` is "non-zero return code" at best. Most programs complain on standard error, but a check
    written in shell, such as a role's proof, says what it found on standard output: its last lines are told, too.
    Source: Ansible's "Return Values" (msg, stderr, stdout, rc, module_stderr, module_stdout).
    """
    texts = [result.get(name) for name in ("msg", "reason", "stderr", "module_stderr", "module_stdout")]
    if result.get("rc") and isinstance(printed := result.get("stdout"), str):
        texts.append("\n".join(printed.strip().splitlines()[-_LINES:]))
    return [text.strip() for text in texts if isinstance(text, str) and text.strip()]
