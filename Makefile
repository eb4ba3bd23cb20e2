# `make demo` and `make test` do all the set-up they need, once; then their work.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PLUGINS := plugins/gptkit-template plugins/gptkit-hf plugins/gptkit-xformers plugins/gptkit-lm-eval plugins/gptkit-peft plugins/gptkit-serve

.PHONY: demo test lint types tests acceptance docs setup clean

demo: $(READY)
	@echo "1. pre-training: a GPT learns to write from film reviews"
	$(BIN)/gptkit train +demo=pretrain hydra.run.dir=runs/demo/pretrain
	@echo "2. demonstrations: it learns to answer with a review, and to end"
	$(BIN)/gptkit train +demo=sft init_from=runs/demo/pretrain hydra.run.dir=runs/demo/sft
	@echo "3. a reward model: which of four reviews do people's own labels call favourable?"
	$(BIN)/gptkit train +demo=rm init_from=runs/demo/pretrain hydra.run.dir=runs/demo/rm
# InstructGPT starts from a model of its own (+instructgpt=ppo_init): the demo from its demonstrations, which saves a stage
	@echo "4. PPO-ptx: toward reviews that the reward model likes, without forgetting how to write"
	$(BIN)/gptkit train +demo=ppo_ptx init_from=runs/demo/sft reward=model reward.checkpoint=runs/demo/rm hydra.run.dir=runs/demo/ppo_ptx
	@echo "5. before, and after:"
	$(BIN)/gptkit generate checkpoint=runs/demo/sft prompts=examples/prompts.txt max_new_tokens=32
	$(BIN)/gptkit generate checkpoint=runs/demo/ppo_ptx prompts=examples/prompts.txt max_new_tokens=32
	@echo "6. a judge that no training saw, a lexicon of human ratings; and what it cost:"
	$(BIN)/gptkit eval task=win_rate checkpoint=runs/demo/ppo_ptx against=runs/demo/sft reward=lexicon
	$(BIN)/gptkit eval task=alignment_tax checkpoint=runs/demo/ppo_ptx against=runs/demo/sft data=movie_reviews
	@echo "Every run has its page; that of the last is runs/demo/ppo_ptx/report.html"
	@echo "To talk to the model, begin a review, such as Review: The film is:  $(BIN)/gptkit chat checkpoint=runs/demo/ppo_ptx"

test: lint types tests docs

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo

types: $(READY)
	$(BIN)/mypy

tests: $(READY)
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --durations=15
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --durations=5 $(PLUGINS)

# long runs of the server, on a machine that does nothing else: 1,000 requests from 64 clients, then its speed
acceptance: $(READY)
	$(BIN)/python plugins/gptkit-serve/benchmarks/acceptance.py
	$(BIN)/python plugins/gptkit-serve/benchmarks/serve.py

docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build
	@echo "documentation: build/site/index.html"

setup: $(READY)

$(READY): pyproject.toml constraints.txt $(PLUGINS:%=%/pyproject.toml)
	@$(PYTHON) -c 'import sys; v = sys.version_info; ok = (3, 11) <= v < (3, 14); sys.exit(0 if ok else f"gptkit needs Python 3.11 to 3.13, not {v[0]}.{v[1]}: make PYTHON=python3.12 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing gptkit, its plugins and their dependencies into $(VENV): two to four minutes the first time"
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[dev,sweeps,docs]' $(PLUGINS:%=-e ./%) ray langchain-openai schemathesis
	$(BIN)/python -m pip install -q -c constraints.txt --no-deps hydra-ray-launcher  # its boto3 serves AWS alone: docs/sweeps.md
	@touch $(READY)

clean:
	rm -rf $(VENV) build dist *.egg-info
