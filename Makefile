# Each target sets up what it needs; `make demo` and `make test` are the two to know.

PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& { echo "$$name"; break; }; done)

VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/stamps
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check
SOURCES := $(shell find snakepit workers examples -name '*.py' -o -name py.typed)
PYTEST := $(BIN)/python -P -m pytest
PYTEST_ARGS ?=
# A process more than cores, since tests wait for much of their time; each with whole files, whose
# tests may share a runtime. For --pdb and -s there is PYTEST_ARGS='-n0 --pdb'.
PROCESSES ?= $(shell expr $$(nproc 2>/dev/null || echo 2) + 1)
SIDE_BY_SIDE := -n $(PROCESSES) --dist loadfile

.DELETE_ON_ERROR:
# What tests/interpreters finds on this machine, or builds; each with a virtual environment.
OTHERS := 3.12 3.13 3.13t
.PHONY: help demo test lint format types bench simulate kill-driver kill-points chaos starve leaks \
	soak soak-faults clean distclean test-freethreaded conformance-ray conformance-inline conformance-threads $(OTHERS:%=test-%)

help:
	@echo 'make demo         index the installed Python sources, in parallel'
	@echo 'make test         the whole test suite, on the installed package, side by side'
	@echo 'make test-3.12    the same on another interpreter, test-3.13 too; what is not here is said'
	@echo 'make test-freethreaded  the same on 3.13 without the GIL, built from source if need be'
	@echo 'make conformance-ray  the tests of Ray'"'"'s documented behaviour, on Ray itself'
	@echo 'make conformance-inline  the same in inline mode; make conformance-threads in a thread pool'
	@echo 'make lint types   ruff; mypy --strict and basedpyright on the package as a wheel installs it'
	@echo 'make format       let ruff lay out the code'
	@echo 'make bench        measure against Ray, Dask, multiprocessing and the raw limit (quiet machine)'
	@echo 'make simulate     ten million simulated events through the scheduler'
	@echo 'make kill-driver  kill -9 of the driver, 100 times'
	@echo 'make kill-points  kill -9 of workers at every passing of every point of a call'
	@echo 'make chaos        kill -9 of a worker each 100 ms, and of the zygote each 2 s, in 100,000 calls;'
	@echo '                  with sessions and recycling, and of workers that run four calls each, too'
	@echo 'make soak         the same for an hour, with kills, recycling and sessions: nothing may grow'
	@echo 'make starve       ten minutes on a machine with eight times as much to do as it can: no false kill'
	@echo 'make soak-faults  the fault tests at full size: 3 GB, 500 workers, a minute of each loop'
	@echo 'make leaks        what is held after 100,000 values, 10,000 calls with kills, 1,000 runtimes'
	@echo 'make clean        remove what builds and checks leave (distclean: and .venv*)'

$(BIN)/python:
	@test -n '$(PYTHON)' || { echo 'snakepit needs Python 3.11 or newer: make PYTHON=/path/to/python' >&2; exit 1; }
	@echo 'setting up $(VENV)'
	@$(PYTHON) -m venv $(VENV)

# One stamp per extra, because the demo should not wait for the linters to be fetched.
$(STAMPS)/%: pyproject.toml setup.cfg | $(BIN)/python
	@echo 'installing snakepit[$*]'
	@mkdir -p $(STAMPS)
	@$(PIP) install --editable '.[$*]'
	@touch $@

demo: $(STAMPS)/cli
	@$(BIN)/snakepit demo $(DEMO_ARGS)

# -P keeps the working directory off sys.path: the tests see the installed package.
test: $(STAMPS)/test
	@$(PYTEST) $(SIDE_BY_SIDE) $(PYTEST_ARGS)

# Ray warns of its own affairs, which are not what is tested.
conformance-ray: $(STAMPS)/test $(STAMPS)/bench
	@$(PYTEST) -W ignore tests/conformance --backend ray $(PYTEST_ARGS)

# test_programs and test_suite start processes of their own, which are not inline.
conformance-inline: $(STAMPS)/test
	@$(PYTEST) tests/conformance --backend inline --ignore tests/conformance/test_programs.py \
		--ignore tests/conformance/test_suite.py $(PYTEST_ARGS)

conformance-threads: $(STAMPS)/test
	@$(PYTEST) $(SIDE_BY_SIDE) tests/conformance --backend threads \
		--ignore tests/conformance/test_programs.py --ignore tests/conformance/test_suite.py $(PYTEST_ARGS)

test-freethreaded: test-3.13t

$(OTHERS:%=test-%): test-%: .venv-%/stamps/test
	@.venv-$*/bin/python -P -m pytest $(SIDE_BY_SIDE) $(PYTEST_ARGS)

# pip first: one that is older than free-threaded builds takes wheels that do not load there.
$(OTHERS:%=.venv-%/stamps/test): .venv-%/stamps/test: pyproject.toml setup.cfg $(wildcard tests/interpreters/*.txt)
	@python=$$($(PYTHON) -m tests.interpreters $*) \
	&& echo "setting up .venv-$* with $$python" && "$$python" -m venv --clear .venv-$*
	@.venv-$*/bin/python -m pip -qq --disable-pip-version-check install --upgrade pip
	@.venv-$*/bin/python -m pip -qq install --editable '.[test]' \
		$(patsubst %,--constraint %,$(wildcard tests/interpreters/constraints-$*.txt))
	@mkdir -p $(@D) && touch $@

lint: $(STAMPS)/test
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

format: $(STAMPS)/test
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

# A type checker follows no import hook, which an editable install is; it gets a real install.
build/types/stamp: $(SOURCES) pyproject.toml setup.cfg $(STAMPS)/test
	@rm -rf build/types build/lib build/bdist*
	@mkdir -p build/types
	@$(PIP) install --no-deps --no-build-isolation --no-compile --target build/types .
	@ln -s ../../bench build/types/bench
	@touch $@

types: build/types/stamp
	@cd build/types && ../../$(BIN)/mypy --config-file ../../pyproject.toml \
		--cache-dir ../../.mypy_cache -p snakepit -p bench
	@cd build/types && ../../$(BIN)/mypy --config-file ../../pyproject.toml \
		--cache-dir ../../.mypy_cache ../../tests/typing
	@$(BIN)/basedpyright

bench: $(STAMPS)/bench
	@$(BIN)/python -m bench --json bench/history --out bench/RESULTS.md $(BENCH_ARGS)

simulate: $(STAMPS)/test
	@$(BIN)/python -m tests.policy.simulate --events 10000000

kill-driver: $(STAMPS)/test
	@SNAKEPIT_TEST_KILLS=100 $(PYTEST) -k kill_driver $(PYTEST_ARGS)

kill-points: $(STAMPS)/test
	@SNAKEPIT_TEST_EVERY_KILL=1 $(PYTEST) tests/faults/test_kill_sweep.py $(PYTEST_ARGS)

# Two minutes each on two quiet cores, three in threads; CHAOS_ARGS=--seed=2 and the like change it.
chaos: $(STAMPS)/test
	@$(BIN)/python -m tests.chaos.storm --calls 100000 $(CHAOS_ARGS)
	@$(BIN)/python -m tests.chaos.storm --calls 100000 --zygotes 2 $(CHAOS_ARGS)
	@$(BIN)/python -m tests.chaos.storm --calls 100000 --recycle 500 --sessions 20 $(CHAOS_ARGS)
	@$(BIN)/python -m tests.chaos.storm --calls 100000 --profile thread --recycle 500 --sessions 20 $(CHAOS_ARGS)

soak: $(STAMPS)/test
	@$(BIN)/python -m tests.chaos.soak $(SOAK_ARGS)

starve: $(STAMPS)/test
	@$(BIN)/python -m tests.chaos.starve $(STARVE_ARGS)

leaks: $(STAMPS)/test
	@$(BIN)/python -m tests.chaos.leaks $(LEAKS_ARGS)

soak-faults: $(STAMPS)/test
	@SNAKEPIT_TEST_SOAK=1 $(PYTEST) tests/faults/test_heavy_values.py tests/faults/test_crowds.py \
		tests/faults/test_stopped.py $(PYTEST_ARGS)

clean:
	@rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis bench/out *.egg-info
	@find . -path './.venv*' -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean
	@rm -rf $(VENV) $(OTHERS:%=.venv-%)
