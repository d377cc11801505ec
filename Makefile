# Every task of the project; the README, the workflows and .ci/run call these targets.
# A task sets up what it needs, so that none has to be run before another.

.DEFAULT_GOAL := help

# The first Python that really runs and that the lock is made for: `make PYTHON=…` chooses another.
supported := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c '$(supported)' 2>/dev/null && echo $$python && break; done)

python := .venv/bin/python
uv := .uv/bin/uv
katex := _sphinx/node_modules/.package-lock.json
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PATH := $(CURDIR)/.venv/bin:$(PATH)

# An environment whose Python was replaced or removed since can't start: it is made anew.
$(shell test ! -e .venv/site || $(python) -c '' 2>/dev/null || rm -f .venv/site)

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' \
		$(firstword $(MAKEFILE_LIST))

.PHONY: html
html: .venv/site $(katex) ## Execute the notebooks and write the site to _build/html
	@$(python) tools/build.py

# They are written from the pages, whose numbers and results they have: there is no shorter way.
.PHONY: notebooks
notebooks: html ## Write the notebooks to _build/html/_notebooks
	@echo 'The notebooks are in $(CURDIR)/_build/html/_notebooks'

.PHONY: pdf
pdf: html ## Write the whole book to _build/html/book.pdf
	@echo 'The book is in $(CURDIR)/_build/html/book.pdf'

.PHONY: serve
serve: html ## Show the site on http://localhost:8000
	@$(python) -m http.server --directory _build/html --bind localhost 8000

.PHONY: test
test: html .venv/tests ## Run all tests
	@$(python) -m pytest

# Downloads several hundred megabytes of packages, once.
.PHONY: test-notebooks
test-notebooks: html .venv/tests ## Run the notebooks where readers run them: Colab, Jupyter, old and new
	@$(python) -m pytest -m '' tests/test_environments.py tests/test_jupyterlab.py

.PHONY: benchmark
benchmark: html .venv/tests ## Measure the training and the page against alternatives
	@$(python) benchmarks/training.py
	@$(python) benchmarks/page_weight.py

.PHONY: lint
lint: .venv/tests check-locks ## Check the code's style, the workflows and the locks
	@$(python) -m ruff check
	@$(python) -m ruff format --check
	@$(python) -m pytest --quiet tests/test_workflows.py
	@$(python) tools/audit.py

.PHONY: linkcheck
linkcheck: .venv/site $(katex) ## Follow the links to the pages of others
	@$(python) tools/build.py linkcheck

.PHONY: clean
clean: ## Remove what was built, and leave the environment
	rm -rf _build

# $(call resolve,requirements,lock,options)
resolve = $(uv) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-annotate --custom-compile-command 'make lock' $(3) --output-file $(2) $(1)

.PHONY: lock
lock: $(uv) ## Renew the locks from the requirements
	@$(call resolve,requirements.txt,requirements.lock,--upgrade)
	@$(call resolve,tests/requirements.txt,tests/requirements.lock,--upgrade -c requirements.lock)

.PHONY: check-locks
check-locks: $(uv) ## Check that the locks are what the requirements ask for
	@rm -rf _build/locks && mkdir -p _build/locks/tests
	@cp requirements.lock _build/locks && cp tests/requirements.lock _build/locks/tests
	@$(call resolve,requirements.txt,_build/locks/requirements.lock) && \
	 $(call resolve,tests/requirements.txt,_build/locks/tests/requirements.lock,-c requirements.lock) \
	 || { echo 'make: the locks were not checked: it takes the package index,' \
		'and requirements that go together.' >&2; exit 1; }
	@diff -q requirements.lock _build/locks/requirements.lock && \
	 diff -q tests/requirements.lock _build/locks/tests/requirements.lock \
	 || { echo 'make: the requirements have changed since the locks were made: make lock' >&2; exit 1; }

.PHONY: newest
newest: $(uv) ## Pin the newest release of everything, then run all tests
	@$(PYTHON) tools/unpin.py requirements.txt tests/requirements.txt
	@$(MAKE) lock
	@$(MAKE) test

.PHONY: gpu
gpu: .venv/site ## Give .venv the JAX that computes on an NVIDIA GPU, which it must then see
	@$(python) tools/gpu.py || { rm .venv/site; exit 1; }

.PHONY: publish-notebooks
publish-notebooks: ## Write the built notebooks to the branch that the Colab button opens
	@$(PYTHON) tools/publish_notebooks.py "$$REPOSITORY"

.venv/site: requirements.lock
	@test -w . || { echo 'make: this folder cannot be written to: build in a copy of it.' >&2; exit 1; }
	@$(or $(PYTHON),false) -c '$(supported)' || { echo \
		'make: no Python 3.11, 3.12 or 3.13 found. Install one (https://www.python.org/downloads),' \
		'or name one that is there: make PYTHON=/path/to/python3.13' >&2; exit 1; }
	@echo 'Setting up .venv with $(PYTHON). This takes a minute or two, once.'
	@rm -f .venv/site .venv/tests
	@$(PYTHON) -m venv --clear .venv || { echo \
		'make: this Python cannot make environments; on Debian and Ubuntu: apt install python3-venv' >&2; exit 1; }
	@$(python) -m pip install --quiet --require-hashes --requirement requirements.lock
	@touch $@ # last, so that an environment that was interrupted has none, and is made anew

.venv/tests: .venv/site tests/requirements.lock
	@$(python) -m pip install --quiet --require-hashes --requirement tests/requirements.lock
	@touch $@

# npm writes this file last.
$(katex): .venv/site _sphinx/package-lock.json
	@.venv/bin/npm ci --prefix _sphinx --silent --no-audit --no-fund
	@touch $@

# Apart from .venv, which cannot be made from a lock that is broken.
$(uv): tests/requirements.txt
	@$(PYTHON) -m venv --clear .uv
	@.uv/bin/python -m pip install --quiet "$$(sed -n 's/^\(uv[^ ]*\).*/\1/p' tests/requirements.txt)"
	@touch $@
