# `make demo` and `make test` do all the set-up they need, once; then their work.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PLUGINS := plugins/gptkit-template plugins/gptkit-hf plugins/gptkit-xformers

.PHONY: demo test lint types tests setup clean

demo: $(READY)
	$(BIN)/gptkit train +demo=speeches hydra.run.dir=runs/demo
	$(BIN)/gptkit generate checkpoint=runs/demo prompts=examples/prompts.txt max_new_tokens=60 temperature=0.8 top_k=50
	@echo "The report of the run is runs/demo/report.html"

test: lint types tests

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo

types: $(READY)
	$(BIN)/mypy

tests: $(READY)
	$(BIN)/python -m pytest -n 2 --dist loadfile --durations=15
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --durations=5 $(PLUGINS)

setup: $(READY)

$(READY): pyproject.toml constraints.txt $(PLUGINS:%=%/pyproject.toml)
	@$(PYTHON) -c 'import sys; v = sys.version_info; ok = (3, 11) <= v < (3, 14); sys.exit(0 if ok else f"gptkit needs Python 3.11 to 3.13, not {v[0]}.{v[1]}: make PYTHON=python3.12 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing gptkit, its plugins and their dependencies into $(VENV): two to four minutes the first time"
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[dev,sweeps]' $(PLUGINS:%=-e ./%)
	@touch $(READY)

clean:
	rm -rf $(VENV) build dist *.egg-info
