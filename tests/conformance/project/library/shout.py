#!/usr/bin/python
"""A module of the tree: also leaks state on purpose, which no later module may see."""

import os

from ansible.module_utils.basic import AnsibleModule


def main():
    module = AnsibleModule(argument_spec={"text": {"type": "str", "required": True}}, supports_check_mode=True)
    seen = os.environ.get("SHOUTED", "")
    os.environ["SHOUTED"] = module.params["text"]
    os.umask(0o077)
    os.chdir("/")
    module.exit_json(changed=False, said=module.params["text"].upper(), seen_before=seen)


main()
