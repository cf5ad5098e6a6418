# The two commands are `make lab` and `make test`; each does all the set-up that is missing.

PYTHON ?= python3
# A packed engine for `make lab`: a file, a folder or a URL; what is from elsewhere needs SHA256=.
ENGINE ?=
SHA256 ?=
export ENGINE SHA256
ROUNDS ?= 1
# Tests wait more than they compute: each worker has a sandbox of its own, of 0.6 GiB. A file goes
# to one worker whole, and so does each class of one.
WORKERS ?= 4
PYTEST = uv run pytest --numprocesses $(WORKERS) --dist loadscope --no-loadscope-reorder

# What set-up installs where there is no uv; one that is on the path comes first.
export PATH := $(PATH):$(CURDIR)/.tools/bin
# Nothing here may change uv.lock.
export UV_FROZEN := 1
# Each kernel and each command would compile all that it imports again, for seconds.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help lab test soak bench lint clean setup setup-tests python engine \
        engine-kept unpack

help:
	@echo 'make lab    set up, start the sandbox and open JupyterLab on the course;'
	@echo '            with ENGINE=FILE SHA256=SUM, from a packed engine instead of building one'
	@echo 'make test   set up and run the whole suite'
	@echo 'make soak   what takes longer: faults at random, every order of notebooks, the suite $(ROUNDS) times'
	@echo 'make bench  the ratios of docs/benchmarks.md; non-zero when one is beyond its bound'
	@echo 'make lint   ruff, the rooms and mypy alone'
	@echo 'make clean  remove what was installed here; the engine and the sandbox stay'

# JupyterLab opens at once; the engine and the sandbox get ready meanwhile.
lab: setup unpack
	bin/eksnet lab

test: setup-tests engine-kept lint
	$(PYTEST)

soak: setup-tests engine-kept
	$(PYTEST) -m soak
	for round in $$(seq $(ROUNDS)); do \
	    echo "round $$round of $(ROUNDS)"; $(PYTEST) --quiet || exit 1; \
	done

bench: setup-tests engine
	uv run python tests/bench/start.py
	uv run python tests/bench/packed.py
	uv run python tests/bench/lookup.py
	uv run python tests/bench/kubeproxy.py
	uv run python tests/bench/aws.py
	uv run python tests/bench/lint.py
	uv run python tests/bench/manifests.py
	uv run python tests/bench/plan.py
	uv run python tests/bench/controller.py
	uv run python tests/bench/alb.py
	uv run python tests/bench/nlb.py
	uv run python tests/bench/grading.py

lint:
	uv run ruff check
	uv run ruff format --check
	uv run lint-imports --no-logo
	uv run mypy

engine:
	bin/eksnet engine build

# The tests of the Go code compile it with what the build has left in Go's caches.
engine-kept:
	bin/eksnet engine build --keep-caches

unpack:
	@[ -z "$$ENGINE" ] || bin/eksnet engine unpack "$$ENGINE" $${SHA256:+--sha256 "$$SHA256"}

clean:
	rm -rf .venv .tools .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find eksnet tests -name __pycache__ -prune -exec rm -rf {} +

setup: python
	@$(PYTHON) eksnet/bootstrap.py $(if $(ENGINE),--packed)

setup-tests: python
	@$(PYTHON) eksnet/bootstrap.py --tests

python:
	@command -v $(PYTHON) >/dev/null || { \
	    echo 'There is no $(PYTHON). Install Python 3.11 or newer (sudo apt-get install python3)' >&2; \
	    echo 'or name one: make lab PYTHON=python3.12' >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "$(PYTHON) is $$($(PYTHON) --version); the course needs 3.11, 3.12 or 3.13." >&2; \
	    echo 'Name another: make lab PYTHON=python3.12' >&2; exit 2; }
