"""One playbook at the site: the stock Ansible engine and unmodified modules, without what the harness around costs.

    python3 -I tram/site/executor/__main__.py RUNDIR --playbook playbook.yml [--check] --events FD

runs RUNDIR/tree/<playbook> against RUNDIR/tree/inventory.yml (working directory RUNDIR/tree, settings only from
RUNDIR/tree/ansible.cfg) with the interpreter it was started by. Exit code: `ansible-playbook`'s (0 done, 2 a task
failed, 4 a host unreachable, 1 or 250 the playbook cannot be run). What a person would read goes to stdout and stderr.

Each line written to FD is one JSON object. `kind`:

    progress  {"done": n, "of": m|null, "task": name}                                        before each task
    task      {"at", "task", "status", "seconds", "item"?, "diff"?, "message"?, "path"?}
              status: changed | failed | ignored | unreachable; diff and message are bounded, nothing of a no_log task
    note      {"at", "message"}                                                               warnings worth keeping
    stats     {"stats": {ok, changed, failed, skipped, rescued, ignored, unreachable}, "seconds", "cpu_seconds"}   last

Handlers that were notified but did not run (the run was killed, or failed before) are kept in RUNDIR/notified.json
(or --notified FILE, to carry them over to a later run); the next run that is given the file notifies them again.
"""
