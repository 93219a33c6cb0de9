#!/usr/bin/python
from ansible.module_utils.basic import AnsibleModule


def main():
    module = AnsibleModule(argument_spec={"number": {"type": "int"}}, supports_check_mode=True)
    module.exit_json(changed=False, answer=module.params["number"] + 1)


main()
