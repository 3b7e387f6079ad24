# Two commands do everything, setup included: `make demo` and `make test`.
# They need python3 (3.11 or newer, with venv), make and git.

PYTHON ?= python3
ARGS   ?=

BIN  := .venv/bin
RUN  := $(BIN)/python -m
PIP  := $(RUN) pip install -qq --disable-pip-version-check
# An editable install copies these folders, so a change in one is a reason to install again.
FROM := pyproject.toml $(wildcard kernelspec/* labextension/* labextension/*/* serverconfig/*)

# The tests start some hundred kernels: without bytecode on disk each one compiles this project anew,
# for 0.3 s to 0.6 s. An environment that forbids it, as images for containers do, is overruled.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test check bench bench-peers bench-checkpoints bench-pools bench-workflows soak \
	lab test-all test-extras test-newest clean check-ruff check-format check-mypy check-types check-floors

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: .venv/.test ## Run the tour notebook on kernel flow, then print its task log
	@$(BIN)/jupyter-flow demo $(ARGS)
	@echo "JupyterLab on it: make lab ARGS=out/tour.ipynb"

test: .venv/.test ## Run the test suite on 2 cores (ARGS="-k journal" picks tests)
	@$(RUN) pytest -n 2 --dist worksteal -m "not soak" $(ARGS)

check: .venv/.dev ## Lint, format, types and floors (ruff, mypy, pyright, import-linter)
	@$(MAKE) --no-print-directory --keep-going --output-sync=target -j 4 \
		check-ruff check-format check-mypy check-types check-floors

check-ruff:
	@$(RUN) ruff check

check-format:
	@$(RUN) ruff format --check

check-mypy:
	@$(RUN) mypy

# --verifytypes looks for the package with the first python on PATH, whatever --pythonpath says.
check-types:
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(RUN) pyright --verifytypes flow_kernel --ignoreexternal

check-floors:
	@$(BIN)/lint-imports

bench: .venv/.test ## Run the benchmarks, write RESULTS.md (ARGS="NAME…" picks, --page only writes)
	@$(BIN)/python tests/benchmarks/run.py $(ARGS)

# Without ARGS, which name recorders, the engines of workflows are among the peers.
bench-peers: .venv/.test ## Run other recorders and engines beside us, each in its own environment
	@$(BIN)/python tests/benchmarks/peers.py $(ARGS)
	@$(if $(strip $(ARGS)),,$(BIN)/python tests/benchmarks/workflows.py engines)

bench-checkpoints: .venv/.test ## Run checkpoints beside Kishu, dill and pickle (ARGS="--size 240")
	@$(BIN)/python tests/benchmarks/checkpoints.py $(ARGS)

bench-pools: .venv/.test ## Run isolated cells beside other pools (ARGS="flow loky --json FILE")
	@$(BIN)/python tests/benchmarks/pools.py $(ARGS)

bench-workflows: .venv/.test ## Run workflows beside other engines (ARGS="ours dbos --json FILE")
	@$(BIN)/python tests/benchmarks/workflows.py $(ARGS)

soak: .venv/.test ## Run the long counts (10,000 kills and the like)
	@$(RUN) pytest -n 2 --dist worksteal --timeout 7200 -m soak $(ARGS)

lab: .venv/.lab ## Open JupyterLab with the kernel ready
	@$(BIN)/jupyter-flow lab $(ARGS)

test-all: ## Run the tests on every CPython >= 3.11 found, one line each
	@.ci/test-all $(ARGS)

test-extras: ## Run the tests that look at libraries with torch and our own extras beside them
	@.ci/test-extras $(ARGS)

test-newest: ## Run the tests of our overrides on the newest ipykernel and IPython
	@.ci/test-newest $(ARGS)

clean: ## Remove environments, caches and build output; task logs (.flow) stay
	rm -rf .venv .venvs build dist out *.egg-info
	rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage*
	find flow_kernel tests -name __pycache__ -type d -prune -exec rm -rf {} +

# A half-made environment (no pip, a moved interpreter) is made again.
define MAKE_VENV
@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit( \
	f"flow_kernel needs Python 3.11 or newer, $(PYTHON) is {v[0]}.{v[1]}; try: make PYTHON=python3.13")'
@$(RUN) pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
endef

.venv/.test: $(FROM)
	$(MAKE_VENV)
	@echo "Installing flow_kernel into .venv (the first time takes a minute)"
	@$(PIP) -e ".[test,notebook]"
	@touch $@

# In one go with what the tests need: a second install of the same takes 14 s.
.venv/.dev: $(FROM)
	$(MAKE_VENV)
	@echo "Installing flow_kernel and the checkers into .venv (the first time takes a minute)"
	@$(PIP) -e ".[dev,notebook]"
	@touch .venv/.test $@

.venv/.lab: .venv/.test
	@echo "Installing JupyterLab into .venv"
	@$(PIP) -e ".[lab]"
	@touch $@
