#!/usr/bin/python
from ansible.module_utils.basic import AnsibleModule  # noqa

print("no JSON here")
