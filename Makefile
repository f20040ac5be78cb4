# Two commands do everything: `make demo` and `make test`. `make help` lists the rest.
#   ARGS=...    arguments for the command behind the target, e.g. make demo ARGS='--nodes 3 --seed 7'
#   PYTHON=...  the interpreter to make .venv with; default: the newest supported one on PATH
#   JOBS=...    test processes, default 3: those that play with nodes wait half of their time
SHELL := bash
JOBS ?= 3
EXAMPLES ?= 20000
SEARCHES := tests/property/test_round_search.py tests/property/test_growth_search.py \
	tests/functional/test_phase_machine_exhaustive.py
EXPERIMENTS := tests/experiments
DOCUMENTS := tests/documents
BROWSER := tests/browser
export PYTHON

.PHONY: help demo demo-heavy picture test test-documents test-torch test-browser test-experiments soak search faults simulate bench
.PHONY: scale experiment site check lock clean distclean
.DEFAULT_GOAL := help

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 18

demo: ## start a network that trains, verifies, freezes and grows a model
	@scripts/venv
	@.venv/bin/engram demo $(ARGS)

demo-heavy: ## find and dispute a lie in one row about a network of ten million weights (a minute)
	@scripts/venv
	@.venv/bin/engram demo --heavy $(ARGS)

picture: ## play the demonstration and draw the picture of README
	@scripts/venv
	@.venv/bin/engram demo --plain --picture docs/demo.svg --json build/demo.json

# The suite starts some hundred processes, so their bytecode is kept whatever the environment says.
test: ## run the test suite; what takes longer has targets of its own
	@scripts/venv test
	@env -u PYTHONDONTWRITEBYTECODE .venv/bin/python -m pytest -n $(JOBS) --dist loadgroup --durations=20 \
		--ignore=$(EXPERIMENTS) --ignore=$(DOCUMENTS) --ignore=$(BROWSER) $(ARGS)

test-documents: ## do what README and the pages of docs/ print, block by block (five minutes)
	@scripts/venv test
	@env -u PYTHONDONTWRITEBYTECODE .venv/bin/python -m pytest -n $(JOBS) --dist loadgroup $(DOCUMENTS) $(ARGS)

# PyTorch lies in a folder of its own, which only these tests see.
test-torch: ## run the tests of engines and training with PyTorch, which is installed for them (a gigabyte)
	@scripts/venv torch
	@env -u PYTHONDONTWRITEBYTECODE PYTHONPATH=$$PWD/.venv/torch OMP_NUM_THREADS=1 .venv/bin/python -m pytest tests/torch $(ARGS)

# Debian's packages are chromium and chromium-driver; the tests say so where they are missing.
test-browser: ## open the explorer in a real browser; screenshots go to build/screenshots
	@scripts/venv browser
	@env -u PYTHONDONTWRITEBYTECODE PYTHONPATH=$$PWD/.venv/browser .venv/bin/python -m pytest $(BROWSER) $(ARGS)

test-experiments: ## play the short version of each experiment and check what comes of it (three minutes)
	@scripts/venv test
	@env -u PYTHONDONTWRITEBYTECODE .venv/bin/python -m pytest -n 2 --dist loadgroup $(EXPERIMENTS) $(ARGS)

soak: ## play the demonstration beside busy processes, with each process suspended once (a quarter of an hour)
	@scripts/venv
	@.venv/bin/python scripts/soak $(ARGS)

search: ## search for coalitions that gain in rounds, thousands of them (an hour; EXAMPLES=... for other numbers)
	@scripts/venv test
	@ENGRAM_TEST_EXAMPLES=$(EXAMPLES) .venv/bin/python -m pytest -n $(JOBS) $(SEARCHES) $(ARGS)

faults: ## play faults and attacks against real nodes (an hour; ID=16 for one, ARGS="--scale 1")
	@scripts/venv test
	@.venv/bin/python -m tests.support.play_faults $(ID) $(ARGS)

simulate: ## grow one model 2,000 times in real rounds, and tell what it costs (an hour; ARGS="--preset main --growths 200")
	@scripts/venv test
	@.venv/bin/python -m tests.support.long_model $(ARGS)

scale: ## simulate 1,000 nodes, ten years and 1,000 rounds at once; docs/scale.md (ten minutes)
	@scripts/venv
	@.venv/bin/python -m benchmarks.simulate $(ARGS)

bench: ## measure, print one table, write build/bench.json
	@scripts/venv
	@.venv/bin/python -m benchmarks.run $(ARGS)

experiment: ## run an experiment and write its report (ARGS="lifelong --out DIR"; `engram experiment list`)
	@scripts/venv experiment
	@.venv/bin/engram experiment $(ARGS)

# Its packages lie in a folder of their own, which nothing else sees.
site: ## build the documents as a site in build/site, with search, and check every link
	@scripts/venv docs
	@scripts/site gather
	@PYTHONPATH=$$PWD/.venv/docs NO_MKDOCS_2_WARNING=1 .venv/bin/python -m mkdocs build
	@scripts/site check
	@echo "The site is in build/site: open build/site/index.html"

check: ## style, format, types, layering
	@scripts/check

lock: ## renew requirements/*.txt (needs uv)
	@scripts/lock $(ARGS)

clean: ## remove build outputs and caches
	rm -rf build dist engram-demo.proof engram-demo.chain.json *.egg-info .hypothesis .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

distclean: clean ## also remove .venv
	rm -rf .venv
