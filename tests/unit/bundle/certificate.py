"""A role that needs something from its host before it can be delivered."""

from __future__ import annotations

CERTIFICATE = {
    "playbooks/play.yml": "- {hosts: mail, roles: [post]}\n",
    "playbooks/ask.yml": "- {hosts: mail, gather_facts: false, roles: [post]}\n",
    "playbooks/sign.yml": "- {hosts: mail, roles: []}\n",
    "roles/post/tasks/main.yml": "- ansible.builtin.debug: {msg: hello}\n",
    "roles/post/defaults/main.yml": """
        post_due: "{{ (tram_secrets_dir ~ '/pki/' ~ inventory_hostname ~ '.crt') is not exists }}"
    """,
    "roles/post/meta/tram.yml": """
        first: [{when: "{{ post_due }}", host: playbooks/ask.yml, centre: playbooks/sign.yml}]
        secrets: [{path: "pki/{{ inventory_hostname }}.crt", required: true}]
        returns: ["pki/{{ inventory_hostname }}.csr"]
    """,
}
