"""A project with a little of everything a bundle has to do with."""

from __future__ import annotations

from .bench import Bench

FILES = {
    "playbooks/play.yml": """
        - import_playbook: names.yml
          vars: {greeting: xin chào}
          when: tram_ram_mb > 1000
        - name: The hub alone
          hosts: hub
          gather_facts: false
          roles: [hub_only]
    """,
    "playbooks/names.yml": """
        - name: Post
          hosts: mail:!pilot
          gather_facts: false
          become: true
          vars_files: [vars/post.yml]
          roles:
            - role: post
              post_colour: "#c00"
          tasks:
            - ansible.builtin.include_tasks: tasks/last.yml
            - name: A letterhead
              ansible.builtin.copy: {src: letterhead.txt, dest: /etc/letterhead, mode: "0644"}
          post_tasks:
            - name: Record
              ansible.builtin.import_role: {name: common, tasks_from: record}
    """,
    "playbooks/vars/post.yml": "post_hours: 8\n",
    "playbooks/vars/other.yml": "unused: true\n",
    "playbooks/tasks/last.yml": """
        - ansible.posix.synchronize: {src: /a, dest: /b}
          delegate_to: "{{ inventory_hostname }}"
          when: false
    """,
    "playbooks/files/letterhead.txt": "Sở Nội vụ\n",
    "playbooks/files/unused.txt": "not this one\n",
    "roles/post/meta/main.yml": "dependencies: [{role: common}]\n",
    "roles/post/meta/tram.yml": """
        secrets: ["post/{{ tram_site_domain }}/*", {path: "{{ ['post/' ~ post_key_name] }}", required: true}]
        returns: ["post/csr/{{ inventory_hostname }}.csr"]
    """,
    "roles/post/defaults/main.yml": """
        post_key_name: shared.key
        post_neighbours: "{{ groups['mail'] | map('extract', hostvars, 'tram_fqdn') | list }}"
    """,
    "roles/post/tasks/main.yml": """
        - ansible.builtin.import_tasks: here.yml
        - ansible.builtin.include_tasks: "{{ 'big' if tram_ram_mb > 4000 else 'small' }}.yml"
        - ansible.builtin.include_tasks: centre.yml
          when: not tram_delivered | default(false)
    """,
    "roles/post/tasks/here.yml": """
        - name: With a module of the role and one of a collection
          post_stamp: {colour: "{{ post_colour }}"}
          notify: Again
        - community.general.locale_gen: {name: vi_VN.UTF-8}
        - ansible.builtin.debug: {msg: "{{ {'a': [1]} | community.general.json_query('a') }}"}
        - name: On the centre, said so
          community.crypto.openssl_privatekey: {path: "{{ tram_secrets_dir }}/x"}
          delegate_to: localhost
          when: [not tram_delivered, true]
    """,
    "roles/post/tasks/small.yml": "- ansible.builtin.template: {src: post.j2, dest: /etc/post, mode: '0600'}\n",
    "roles/post/tasks/big.yml": "- ansible.builtin.include_role: {name: big_only}\n",
    "roles/post/tasks/centre.yml": """
        - name: Only ever at the centre
          community.crypto.x509_certificate: {path: x, provider: selfsigned}
          delegate_to: localhost
    """,
    "roles/post/tasks/verify.yml": "- ansible.builtin.command: {cmd: 'true'}\n",
    "roles/post/handlers/main.yml": "- {name: Again, ansible.builtin.service: {name: post, state: restarted}}\n",
    "roles/post/templates/post.j2": """
        {{ mail_accounts | length }} {{ api_token }} {{ sealed }} {{ literal }} {{ post_neighbours }}
    """,
    "roles/post/library/post_stamp.py": "#!/usr/bin/python\nfrom ansible.module_utils.basic import AnsibleModule\n",
    "roles/post/files/run.sh": "#!/bin/sh\n",
    "roles/post/README.md": "not for hosts\n",
    "roles/post/tests/test.yml": "[]\n",
    "roles/post/molecule/default/molecule.yml": "{}\n",
    "roles/common/tasks/main.yml": "- ansible.builtin.debug: {msg: common}\n",
    "roles/common/tasks/record.yml": "- ansible.builtin.debug: {msg: recorded}\n",
    "roles/common/tasks/verify.yml": "- ansible.builtin.debug: {msg: verified}\n",
    "roles/big_only/tasks/main.yml": "- ansible.builtin.debug: {msg: big}\n",
    "roles/hub_only/meta/tram.yml": 'secrets: ["hub/*"]\n',
    "roles/hub_only/tasks/main.yml": "- ansible.builtin.debug: {msg: '{{ hub_token }}'}\n",
    "inventories/lab/group_vars/all.yml": """
        api_token: "{{ lookup('ansible.builtin.file', tram_secrets_dir ~ '/tokens/' ~ tram_site) }}"
        unused_token: "{{ lookup('ansible.builtin.file', tram_secrets_dir ~ '/tokens/all') }}"
        post_misspelt: true
        literal: !unsafe "{{ not a template }}"
    """,
    "inventories/lab/group_vars/hub.yml": "hub_token: hub-token-of-the-hub-alone\n",
    "inventories/lab/group_vars/site_so_noi_vu.yml": "site_word: so-noi-vu-word\nmail_accounts: [{user: theirs}]\n",
    "inventories/lab/group_vars/site_huong_khe.yml": """
        mail_accounts: [{user: van-thu, name: "Văn thư {{ tram_site_name }}"}]
    """,
}
SECRETS = {
    "post/huong-khe.tinh.example/van-thu": "far-password",
    "post/so-noi-vu.tinh.example/van-thu": "near-password",
    "post/tinh.example/van-thu": "hub-password",
    "post/shared.key": "shared-key",
    "tokens/huong-khe": "far-token {{ stays as it is }}",
    "tokens/so-noi-vu": "near-token",
    "tokens/trung-tam": "hub-token",
    "tokens/all": "token-of-nobody-here",
    "hub/key": "hub-key",
    "centre/id_ed25519": "the centre's own",
    "ssh/id_ed25519": "the centre's way in",
}
VAULT_PASSWORD = "correct horse\n"
FOR_FAR = "sealed-for-the-far-site"
FOR_NEAR = "sealed-for-the-near-site"


def furnish(bench: Bench) -> Bench:
    """The project of this file on a bench."""
    bench.write(FILES).keep(SECRETS)
    (bench.folder / "roles/post/files/run.sh").chmod(0o755)
    return bench
