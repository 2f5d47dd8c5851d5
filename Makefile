# What a newcomer, a developer and the CI run: the same commands.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-cluster lint docs notebooks bench bench-full package format clean

demo: $(VENV)/.installed  ## discover a loss on noisy digits and compare it honestly (a few minutes)
	$(BIN)/glo demo

test: $(VENV)/.installed-dev  ## all tests, one process for each of two cores
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

test-cluster: $(VENV)/.installed-dev  ## against real sshd, SLURM, HTCondor and PostgreSQL, installed and started here (root, Debian)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 3 --dist loadgroup tests/cluster

lint: $(VENV)/.installed-dev  ## style, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

docs: $(VENV)/.installed-dev  ## what the code writes into docs/ (`make test` checks options.md), and the site: open site/index.html, or serve it to search it: python3 -m http.server -d site
	$(BIN)/python docs/make_options.py
	$(BIN)/python docs/make_shelf.py
	$(BIN)/python docs/make_figures.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build  # with --quiet it would not count its warnings

notebooks: $(VENV)/.installed-dev  ## execute the notebooks of docs/notebooks and write their outputs into them
	OMP_NUM_THREADS=1 $(BIN)/python docs/make_notebooks.py

bench: $(VENV)/.installed-bench  ## glo beside what a user would write, under 8 minutes on a quiet machine; each row as it is measured
	$(BIN)/python -m benchmarks.run

bench-full: $(VENV)/.installed-bench  ## all of it, whole searches too; an hour on a quiet machine
	$(BIN)/python -m benchmarks.run --full

package: $(VENV)/.installed-dev  ## the wheel and the sdist, in dist/, and their tests: they install and run without the repository
	rm -rf dist
	$(BIN)/python -m hatchling build
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/package

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) dist site .pytest_cache .ruff_cache .hypothesis

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "glo needs Python 3.11 or newer: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.installed: $(VENV)/.made pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.made pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,cluster,postgres]'
	touch $@

$(VENV)/.installed-bench: $(VENV)/.installed-dev pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	touch $@
