"""Which modules the warm interpreter takes."""

from __future__ import annotations

import json
import subprocess
import sys

# A process of its own: Ansible's loaders are global, and other tests' settings must not reach these.
LOOK = """
import json
from tram.site.executor import modules
folders = modules._module_utils_folders()
print(json.dumps([folders, modules._hides_core(tuple(folders))]))
"""


def test_ansibles_own_support_code_is_not_taken_for_a_roles_that_hides_it() -> None:
    said = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, check=True).stdout
    folders, hides = json.loads(said)
    assert not [folder for folder in folders if folder.endswith("/ansible/module_utils")]
    assert hides is False
