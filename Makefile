# Every task of the project; the README, the workflows and .ci/run call these targets.
# A task sets up what it needs, so that none has to be run before another.

.DEFAULT_GOAL := help

# The first Python that really runs and that the lock is made for: `make PYTHON=…` chooses another.
supported := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c '$(supported)' 2>/dev/null && echo $$python && break; done)

python := .venv/bin/python
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: help
help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1@/p' $(firstword $(MAKEFILE_LIST)) | column -t -s@

.PHONY: html
html: .venv/site ## Execute the notebooks and write the site to _build/html
	@$(python) tools/build.py

.PHONY: serve
serve: html ## Show the site on http://localhost:8000
	@$(python) -m http.server --directory _build/html --bind localhost 8000

.PHONY: test
test: html .venv/tests ## Run all tests
	@$(python) -m pytest

.PHONY: clean
clean: ## Remove what was built, and leave the environment
	rm -rf _build

.PHONY: lock
lock: .venv/tests ## Renew the locks from the requirements
	$(python) -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-annotate --custom-compile-command 'make lock' --upgrade \
		--output-file requirements.lock requirements.txt
	$(python) -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-annotate --custom-compile-command 'make lock' --upgrade \
		--constraints requirements.lock --output-file tests/requirements.lock tests/requirements.txt

# The files below are written last: an environment that was interrupted
# has none, and is made anew from nothing.
.venv/site: requirements.lock _sphinx/package-lock.json
	@$(or $(PYTHON),false) -c '$(supported)' || { echo \
		'make: no Python 3.11, 3.12 or 3.13 found. Install one (https://www.python.org/downloads),' \
		'or name one that is there: make PYTHON=/path/to/python3.13' >&2; exit 1; }
	@echo 'Setting up .venv with $(PYTHON). This takes a minute or two, once.'
	@rm -f .venv/site .venv/tests
	@$(PYTHON) -m venv --clear .venv || { echo \
		'make: this Python cannot make environments; on Debian and Ubuntu: apt install python3-venv' >&2; exit 1; }
	@$(python) -m pip install --quiet --require-hashes --requirement requirements.lock
	@npm ci --prefix _sphinx --silent --no-audit --no-fund
	@touch $@

.venv/tests: .venv/site tests/requirements.lock
	@$(python) -m pip install --quiet --require-hashes --requirement tests/requirements.lock
	@touch $@
