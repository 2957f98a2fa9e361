# The experiments as a graph: each target first makes what it needs, and repeats nothing that is done.
#
#   make submission SUITE=photos DATA=data/mine
#
# Variables, which may also be set in the environment. The command itself reads them as MLOB_SUITE, MLOB_DATA, …:
#   SUITE    a folder of experiments/ (default demo)     MODEL    one model of the suite (default its first)
#   DATA     the data folder, instead of the suite's     WEIGHTS  a weights file, or a folder of them
#   PHOTOS   photos to predict                           TEXTS    a table of the texts beside them
#   SET      field=value,… for any field of a recipe
#   FEATURES, RUNS  folders for the products, on another disk for instance
#   N        photos for overfit (50) and review (300)    BUDGET   of a search (default 20m)
#   CONTACT  your address, sent to the hosts that images are downloaded from
#   MEMORY   gigabytes for the features of train (default half of the machine's); the rest is read from disk
#   VERBOSE  1 shows all rows of the tables, and every reason

VARIABLES := SUITE MODEL DATA WEIGHTS PHOTOS TEXTS SET FEATURES RUNS MEMORY N BUDGET CONTACT VERBOSE
PYTHON ?= python3
MLOB := .venv/bin/mlob
PIP := .venv/bin/pip install --quiet --disable-pip-version-check --editable
PYTEST := .venv/bin/python -m pytest -q -n auto --dist worksteal

# They reach mlob through the environment alone, as they were typed: neither Make nor a shell reads a $, blank or quote.
$(foreach name,$(VARIABLES),$(if $(value $(name)),$(eval export MLOB_$(name) := $$(value $(name)))))
$(foreach name,$(VARIABLES) PYTHON,$(eval override $(name) := $$(value $(name))))
export PYTHON

.DEFAULT_GOAL := help
.PHONY: help demo images facts features overfit train learning-curve search ensemble submission report review predict
.PHONY: clean
.PHONY: test test-quick lint

help: ## Print these targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile
	@sed -n 's/^#\(   [A-Z].*\)/\1/p' Makefile

demo: .venv/installed ## The whole job on drawn photos: features, heads, ensemble, submission, report
	@$(MLOB) submission --suite demo
	@$(MLOB) report --suite demo

images: .venv/installed ## Download the photos that the annotations name
	@$(MLOB) images

facts: .venv/installed ## What is in a data set, and what has to be mended
	@$(MLOB) facts

features: .venv/installed ## Each photo once through the frozen backbones, to HDF5
	@$(MLOB) features

overfit: .venv/installed ## MODEL on N photos, which it must learn by heart
	@$(MLOB) overfit

train: .venv/installed ## The head of MODEL, on its features
	@$(MLOB) train

learning-curve: .venv/installed ## MODEL on growing parts of the photos: would more help?
	@$(MLOB) learning-curve

search: .venv/installed ## Better values of MODEL's fields, for BUDGET, judged on dev
	@$(MLOB) search

ensemble: .venv/installed ## All members combined, with thresholds, judged by cross-fitting
	@$(MLOB) ensemble

submission: .venv/installed ## submission.csv for the test photos
	@$(MLOB) submission

report: .venv/installed ## The table of results, and the report page
	@$(MLOB) report

review: .venv/installed ## N test photos whose labels are least certain, for people to check
	@$(MLOB) review

predict: .venv/installed ## Labels for the photos in PHOTOS
	@$(MLOB) predict

clean: .venv/installed ## Remove the products in RUNS (with SUITE= only that suite's); features stay
	@$(MLOB) clean

test: .venv/installed-dev ## All tests, in parallel
	@$(PYTEST)

test-quick: .venv/installed-dev ## The tests that take no more than a few seconds each
	@$(PYTEST) -m "not slow"

lint: .venv/installed-dev ## Lint, formatting and types
	@.venv/bin/ruff check
	@.venv/bin/ruff format --check
	@.venv/bin/mypy

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
