.PHONY: help demo test check lab-up lab-down bench lock docs clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

demo: ## the province in a box, provisioned and proven
	scripts/demo

test: ## everything: check, role tests, stories on the lab
	scripts/test

check: ## lint, types, layers, unit tests (< 60 s)
	scripts/setup.sh dev
	scripts/check

lab-up: ## hosts and links only, nothing provisioned
	scripts/setup.sh run
	.venv/bin/tram lab up

lab-down: ## take the lab away, whatever state it is in
	.venv/bin/tram lab down

bench: ## measure again what the READMEs under bench/ say (four and a half hours; no other lab may be up)
	scripts/setup.sh dev
	.venv/bin/python bench/delivery/run.py
	.venv/bin/python -m bench.scale.run
	.venv/bin/python bench/audit/run.py
	.venv/bin/python bench/exporters/run.py
	.venv/bin/python -m bench.logs.run
	.venv/bin/python -m bench.watch.run
	.venv/bin/python -m bench.antivirus.run
	.venv/bin/python -m bench.board.run
	.venv/bin/python bench/executor/run.py
	.venv/bin/python -m bench.replace.run
	.venv/bin/python bench/demo/run.py
	.venv/bin/python bench/hardening/run.py

lock: ## recompile the pinned requirements
	scripts/lock

docs: ## rewrite the tables and pictures that are made from code
	.venv/bin/python scripts/role-docs
	.venv/bin/tram sites map inventories/lab --to docs/pictures/lab.svg

clean: ## remove what was built here (not the lab, not the cached images)
	rm -rf build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
