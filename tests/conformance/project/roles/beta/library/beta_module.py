#!/usr/bin/python
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.beta_help import doubled


def main():
    module = AnsibleModule(argument_spec={"number": {"type": "int"}}, supports_check_mode=True)
    module.exit_json(changed=False, answer=doubled(module.params["number"]))


main()
