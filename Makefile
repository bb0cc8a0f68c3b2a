# Two commands for everybody: `make demo` and `make test`. The others are for those who work on it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.runtime
DOCS := $(VENV)/.docs
# CI adds pytorch, whose tests skip without it.
EXTRAS ?= dev
BOARDS ?= arm64 armhf
comma := ,
space := $(subst ,, )
# With other extras, it is another installation.
DEV := $(VENV)/.$(subst $(comma),-,$(EXTRAS))
# The sources that an installation copies or links; a change there installs again.
SOURCES := setup.cfg pyproject.toml $(shell find edge convert benchmarks models -type f -not -name '*.pyc')

.PHONY: demo test test-all test-pi soak instructions lint types generated docs release clean

demo: $(RUNTIME)  ## install the runtime alone and classify the demo clip
	$(BIN)/edge-genre classify edge/demo/demo.ogg --windows

# A file's tests stay in one process, which shares what they make.
TOGETHER := --numprocesses auto --dist loadfile

test: $(DEV)  ## run the tests
	$(BIN)/python -m pytest -m "not slow and not alone and not pi" $(TOGETHER)
	$(BIN)/python -m pytest -m "not slow and alone"

test-all: test  ## run the tests that take minutes, too
	$(BIN)/python -m pytest -m slow

test-pi: $(DEV)  ## run what a Raspberry Pi would, under emulation; BOARDS=arm64 for one alone
	$(BIN)/python -m tests.programs.pi_root $(BOARDS)
	$(BIN)/python -m pytest -m pi -k "$(subst $(space), or ,$(BOARDS))" --numprocesses auto tests/pi

soak: $(DEV)  ## let listen hear a day of audio: memory, files, threads, the same results
	$(BIN)/python -m tests.programs.soak

instructions: $(DEV)  ## count the instructions of a window; fail where they have grown
	$(BIN)/python -m edge_genre.benchmarks.studies.instructions \
		--compare benchmarks/reference/instructions.json

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache --no-logo

types: $(DEV)
	$(BIN)/mypy

generated: $(DEV)  ## write the generated parts of README.md and docs/ again
	$(BIN)/python -m tests.programs.documentation

docs: $(DOCS)  ## build the documentation into build/docs; a warning is an error
	$(BIN)/python -m sphinx -E -W --keep-going -q -c docs -b html . build/docs

release: $(DEV)  ## rehearse a release: build, check, install in a clean environment, run
	$(BIN)/python -m tests.programs.release

clean:
	rm -rf $(VENV) build dist *.egg-info

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

# With the developers' installation in place the runtime is there already.
$(RUNTIME): $(BIN)/python $(SOURCES)
	test -n "$(wildcard $(VENV)/.*dev*)" || $(BIN)/python -m pip install --quiet .
	touch $@

# A strict editable install links file by file, so that type checkers and editors follow it.
$(DEV): $(BIN)/python $(SOURCES)
	@echo "Installing what the tests need: some gigabytes, which takes minutes the first time."
	$(BIN)/python -m pip install --quiet --editable '.[$(EXTRAS)]' --config-settings editable_mode=strict
	touch $@

# Beside either installation; the pages show the docstrings of what is installed.
$(DOCS): $(RUNTIME)
	test -n "$(wildcard $(VENV)/.*dev*)" && editable=--editable && settings="--config-settings editable_mode=strict"; \
		$(BIN)/python -m pip install --quiet $$editable '.[docs]' $$settings
	touch $@
