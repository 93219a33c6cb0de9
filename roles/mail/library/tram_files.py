#!/usr/bin/python
"""Ansible module: many small files in one visit."""

from __future__ import annotations

import grp
import os
import pwd
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
---
module: tram_files
short_description: Many small files and directories in one visit
description:
  - M(ansible.builtin.template) visits the host two or three times a file, at some 100 kB and several round trips each;
    behind an ADSL line twenty files take a minute even when nothing changes. This takes the rendered files together.
  - Every file is checked before the first one is replaced; each is replaced whole, on the disk.
options:
  directories: {description: 'Directories to make first: path, owner, group and mode.', type: list, elements: dict,
                default: []}
  files: {description: 'Files: dest, content, owner, group, mode and validate (a command; %s is the new file).',
          type: list, elements: dict, required: true}
author: [Tram]
"""

EXAMPLES = r"""
- name: Write two files
  tram_files:
    directories: [{path: /etc/example}]
    files:
      - {dest: /etc/example/a.conf, content: "a = 1\n"}
      - dest: /etc/example/b.conf
        content: "{{ lookup('ansible.builtin.template', 'b.conf.j2') }}"
        validate: example --check %s
"""

RETURN = r"""
written: {description: 'Paths whose content, owner or mode changed (or would, in check mode).', type: list}
"""


@dataclass(frozen=True)
class Wanted:
    """Who owns a path and what others may do."""

    uid: int
    gid: int
    mode: int

    def differs(self, path: Path) -> bool:
        """Say whether the path has another owner or mode."""
        stat = path.stat()
        return (stat.st_uid, stat.st_gid, stat.st_mode & 0o7777) != (self.uid, self.gid, self.mode)

    def give(self, path: Path) -> None:
        """Make it so."""
        os.chown(path, self.uid, self.gid)
        path.chmod(self.mode)


def wanted(module: AnsibleModule, item: dict[str, Any], mode: str) -> Wanted:
    """Read owner, group and mode of an item; a user who is not there yet fails the task, not in check mode."""
    try:
        uid = pwd.getpwnam(item.get("owner", "root")).pw_uid
        gid = grp.getgrnam(item.get("group", "root")).gr_gid
    except KeyError as error:
        if not module.check_mode:
            module.fail_json(msg=f"{item.get('dest', item.get('path'))}: {error.args[0]}")
        uid = gid = -1
    return Wanted(uid, gid, int(str(item.get("mode", mode)), 8))


def stage(module: AnsibleModule, dest: Path, content: str, item: dict[str, Any], want: Wanted) -> Path:
    """Put the new content beside its place and have it checked there; return where."""
    handle, name = tempfile.mkstemp(dir=dest.parent, prefix=f".{dest.name}.", suffix=".new")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    want.give(Path(name))
    if item.get("validate"):
        code, out, err = module.run_command([word.replace("%s", name) for word in item["validate"].split()])
        if code != 0:
            Path(name).unlink()
            module.fail_json(msg=f"{dest} was left as it was: its check says: {(err or out).strip()}")
    return Path(name)


def main() -> None:
    """Compare, stage what differs, then put it in place."""
    module = AnsibleModule(
        argument_spec={
            "directories": {"type": "list", "elements": "dict", "default": []},
            "files": {"type": "list", "elements": "dict", "required": True},
        },
        supports_check_mode=True,
        # Ansible writes a module's arguments to the journal; whole files do not belong there.
        no_log=True,
    )
    written: list[str] = []
    diff: list[dict[str, str]] = []
    for item in module.params["directories"]:
        path, want = Path(item["path"]), wanted(module, item, "0755")
        if not path.is_dir() or want.differs(path):
            written.append(str(path))
            if not module.check_mode:
                path.mkdir(parents=True, exist_ok=True)
                want.give(path)

    staged: list[tuple[Path, Path]] = []
    for item in module.params["files"]:
        dest, want, content = Path(item["dest"]), wanted(module, item, "0644"), str(item["content"])
        before = dest.read_text(encoding="utf-8") if dest.is_file() else None
        if before == content and not want.differs(dest):
            continue
        written.append(str(dest))
        diff.append({"before_header": str(dest), "after_header": str(dest), "before": before or "", "after": content})
        if not module.check_mode:
            if before == content:
                want.give(dest)
            else:
                staged.append((stage(module, dest, content, item, want), dest))
    for temporary, dest in staged:
        temporary.rename(dest)
    module.exit_json(changed=bool(written), written=written, diff=diff)


if __name__ == "__main__":
    main()
