# What installs and tests mlob. The verbs, and what their variables mean, stand in the Makefile of every working folder.
PYTHON ?= python3
MLOB := .venv/bin/mlob
INSTALLED := .venv/installed
PIP := .venv/bin/pip install --quiet --disable-pip-version-check --editable
PYTEST := .venv/bin/python -m pytest -q -n auto --dist worksteal --durations 15

$(eval override PYTHON := $$(value PYTHON))
export PYTHON

include mlob/initial/Makefile

.PHONY: test test-quick lint docs wheel

test: .venv/installed-dev ## All tests, in parallel
	@$(PYTEST)

test-quick: .venv/installed-dev ## The tests that take no more than a few seconds each
	@$(PYTEST) -m "not slow"

lint: .venv/installed-dev ## Lint, formatting and types
	@.venv/bin/ruff check
	@.venv/bin/ruff format --check
	@.venv/bin/mypy

docs: .venv/installed-dev ## The reference of the Python API, from the docstrings, to build/docs/
	@TF_CPP_MIN_LOG_LEVEL=3 PYTHONWARNINGS=ignore .venv/bin/pdoc --docformat google --no-show-source --output-directory build/docs mlob

wheel: .venv/installed ## mlob as one file for pip, to build/wheel/
	@.venv/bin/pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir build/wheel .

.venv/installed: setup.cfg pyproject.toml
	@echo "Installing mlob and its packages into .venv (once, about two minutes)"
	@"$$PYTHON" -m venv --clear .venv
	@$(PIP) .
	@touch $@

# On top of the other, so that what develops mlob also runs it.
.venv/installed-dev: .venv/installed
	@echo "Installing what the tests need into .venv (once, about two minutes)"
	@$(PIP) ".[dev]"
	@touch $@
