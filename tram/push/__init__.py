"""Pushing a playbook task by task with plain ansible-playbook, and reading what it says as it goes."""
