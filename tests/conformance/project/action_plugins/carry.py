from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        found = self._execute_module(module_name="ansible.legacy.stat", module_args={"path": "/"}, task_vars=task_vars)
        return {"changed": False, "is_root_a_folder": found["stat"]["isdir"]}
