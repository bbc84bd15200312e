# Each target does the set-up it needs, through stamps: nothing is built twice, and a Rust edit is never missed.
PYTHON ?= python3
VENV ?= .venv
BENCH_VENV ?= .venv-bench
ORACLE_VENV ?= .venv-oracles
TARGET_VENV ?= .venv-targets
DAFT_VENV ?= .venv-targets-daft
BROWSER_VENV ?= .venv-targets-browser
ENGINE_VENV ?= .venv-engines
CARGO ?= cargo
PYTEST_ARGS ?=
BENCH_ARGS ?= --rows 1M --repeats 1
QUALITY_ARGS ?= --impressions 200k
FUZZ_RUNS ?= 100000
FUZZ_TARGETS ?=
CAMPAIGN_FUZZ ?= 1000000
CAMPAIGN_READERS ?= 20000
FAULTS_ARGS ?= --runs 200
REPEATS_ARGS ?=
POISON_ARGS ?=
KEYS_ARGS ?=
WHEEL_ARGS ?=
FUZZ_VENV ?= .venv-fuzz

BIN := $(VENV)/bin
RUN := $(BIN)/python
DEPS := $(VENV)/.stamp-deps
RELEASE := $(VENV)/.stamp-release
PEERS := $(BENCH_VENV)/.stamp-deps
ORACLES := $(ORACLE_VENV)/.stamp-deps
READERS := $(TARGET_VENV)/.stamp-deps
DAFT := $(DAFT_VENV)/.stamp-deps
BROWSER := $(BROWSER_VENV)/.stamp-deps
FUZZERS := $(FUZZ_VENV)/.stamp-deps
ENGINES := $(ENGINE_VENV)/.stamp-deps
LIBRARY := python/hardneg_fast/_hardneg.abi3.so
# Folders are prerequisites too: a file that is gone shows only in its folder.
RUST := $(shell find rust) Cargo.toml Cargo.lock rust-toolchain.toml pyproject.toml

# One interpreter for pyo3 whoever calls cargo, or each caller would rebuild it.
export PYO3_PYTHON := $(abspath $(BIN)/python)
# maturin installs into the active environment, which may be another one.
export VIRTUAL_ENV := $(abspath $(VENV))
unexport CONDA_PREFIX

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-engines test-oracles test-quality test-targets lint bench quality dist dist-environment \
	audit sbom fuzz fuzz-python campaign memory docs dev clean lock lint-planted FORCE \
	lint-rustfmt lint-clippy lint-ruff lint-mypy lint-imports lint-stub

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo "  PYTHON=python3.12 make ... chooses the interpreter that .venv is made with (now: $(PYTHON))"

demo: $(RELEASE) ## simulate a click log and mine hard negatives from it
	$(BIN)/hardneg-fast demo

test: $(RELEASE) ## every test: the Rust core, then Python (PYTEST_ARGS="-k name")
	$(CARGO) test --locked --workspace --exclude hardneg-py
	$(RUN) -m pytest $(PYTEST_ARGS)

test-oracles: $(RELEASE) $(ORACLES) ## privacy arithmetic and noise against OpenDP, dp-accounting and SciPy
	PYTHONPATH=$(abspath python) $(ORACLE_VENV)/bin/python -m pytest tests/oracles $(PYTEST_ARGS)

test-targets: $(RELEASE) $(READERS) $(DAFT) $(BROWSER) ## exports, query logs, Arrow data and pages with libraries (and a chromium) that the tests do without
	PYTHONPATH=$(abspath python) $(TARGET_VENV)/bin/python -m pytest tests/targets --ignore tests/targets/test_daft.py \
		--ignore tests/targets/test_pages_in_a_browser.py $(PYTEST_ARGS)
	PYTHONPATH=$(abspath python) $(DAFT_VENV)/bin/python -m pytest tests/targets/test_daft.py $(PYTEST_ARGS)
	PYTHONPATH=$(abspath python) $(BROWSER_VENV)/bin/python -m pytest tests/targets/test_pages_in_a_browser.py $(PYTEST_ARGS)

test-engines: $(RELEASE) $(ENGINES) ## Spark, Dask and Ray against one machine (needs Java 17)
	PYTHONPATH=$(abspath python) $(ENGINE_VENV)/bin/python -m pytest tests/engines $(PYTEST_ARGS)

test-quality: $(RELEASE) $(PEERS) ## the quality bench's simulator, miners and judge
	PYTHONPATH=$(abspath python) $(BENCH_VENV)/bin/python -m pytest tests/test_quality_bench.py $(PYTEST_ARGS)

lint: lint-rustfmt lint-clippy lint-ruff lint-mypy lint-imports lint-stub ## formatting, clippy, ruff, mypy, import contracts, stub against binary

lint-rustfmt:
	$(CARGO) fmt --all --check
	$(CARGO) fmt --manifest-path fuzz/Cargo.toml --check

lint-clippy: $(DEPS)
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(CARGO) clippy --locked --manifest-path fuzz/Cargo.toml --target-dir $${CARGO_TARGET_DIR:-target} --all-targets -- -D warnings

lint-ruff: $(DEPS)
	$(BIN)/ruff check
	$(BIN)/ruff format --check

lint-mypy: $(DEPS)
	$(BIN)/mypy

lint-imports: $(RELEASE)
	$(BIN)/lint-imports

lint-stub: $(RELEASE)
	$(RUN) -m mypy.stubtest --mypy-config-file pyproject.toml hardneg_fast._hardneg

lint-planted: $(RELEASE) ## plant one violation for each lint in a copy; each must be caught
	$(RUN) tests/lint_planted.py

bench: $(RELEASE) $(PEERS) ## the workloads, ours and the peers side by side (BENCH_ARGS="--rows 10M --repeats 3")
	PYTHONPATH=$(abspath python) $(BENCH_VENV)/bin/python benches/run.py $(BENCH_ARGS)

quality: $(RELEASE) $(PEERS) ## what mined rows are worth in simulated worlds (QUALITY_ARGS="--impressions 1M --seeds 1-3 --train")
	PYTHONPATH=$(abspath python) $(BENCH_VENV)/bin/python -m benches.quality.run $(QUALITY_ARGS)

dist: $(DEPS) ## a wheel in dist/, made to be the same bytes wherever it is built
	env $$($(MAKE) --no-print-directory dist-environment) $(BIN)/maturin build --release --locked --out dist

# The time of the commit, and no folder of this machine: of what else builds differ by. A target folder of its own, because
# other flags would have everything built anew there.
SOURCE ?= $(CURDIR)
dist-environment:
	@echo SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct)
	@echo CARGO_TARGET_DIR=$(SOURCE)/target/dist
	@echo CARGO_ENCODED_RUSTFLAGS=$$(printf '%s\037%s' --remap-path-prefix=$(SOURCE)=/hardneg_fast \
		--remap-path-prefix=$${CARGO_HOME:-$$HOME/.cargo}=/cargo)
	@echo CFLAGS=-ffile-prefix-map=$(SOURCE)=/hardneg_fast

audit: $(DEPS) ## licences, sources and known weaknesses of what the package is built of; SBOMs in build/sbom/
	$(CARGO) deny --version >/dev/null || $(CARGO) install --locked cargo-deny
	$(CARGO) deny check licenses bans sources
	$(CARGO) deny check advisories || echo "RustSec's database cannot be reached, or something is in it: see above"
	$(MAKE) --no-print-directory sbom

sbom: $(DEPS)
	$(CARGO) cyclonedx --help >/dev/null 2>&1 || $(CARGO) install --locked cargo-cyclonedx
	mkdir -p build/sbom
	$(CARGO) cyclonedx --manifest-path rust/py/Cargo.toml --format json --override-filename hardneg_fast
	find rust -name 'hardneg_fast.json' -exec mv {} build/sbom/rust.json \;
	$(PYTHON) -m venv build/sbom/venv
	build/sbom/venv/bin/python -m pip install --quiet --disable-pip-version-check cyclonedx-bom
	build/sbom/venv/bin/cyclonedx-py requirements requirements/dev.txt --output-file build/sbom/python.json
	rm -rf build/sbom/venv

fuzz: ## every Rust fuzz target (or FUZZ_TARGETS), FUZZ_RUNS inputs each (make fuzz FUZZ_RUNS=10000000)
	fuzz/run.sh $(FUZZ_RUNS) $(FUZZ_TARGETS)

fuzz-python: $(RELEASE) $(FUZZERS) ## every Python reader, FUZZ_RUNS inputs each
	fuzz/python/run.sh $(FUZZ_VENV)/bin/python $(FUZZ_RUNS)

campaign: $(RELEASE) ## fuzzing, faults, poisoned logs, the wheel twice: hours, as root (CAMPAIGN_FUZZ=1000 FAULTS_ARGS="--runs 20" ...: less)
	$(MAKE) --no-print-directory fuzz FUZZ_RUNS=$(CAMPAIGN_FUZZ)
	$(MAKE) --no-print-directory fuzz-python FUZZ_RUNS=$(CAMPAIGN_READERS)
	$(RUN) tests/campaign/faults.py $(FAULTS_ARGS)
	$(RUN) tests/campaign/repeats.py $(REPEATS_ARGS)
	$(RUN) tests/campaign/poison.py $(POISON_ARGS)
	$(RUN) tests/campaign/keys.py $(KEYS_ARGS)
	$(RUN) -m pip install --quiet --disable-pip-version-check auditwheel
	$(RUN) tests/campaign/wheel.py $(WHEEL_ARGS)

memory: $(DEPS) ## Valgrind over tests of the core, Miri over what is unsafe in it, as far as they are installed
	tests/campaign/memory.sh

docs: $(RELEASE) ## the guides and the API reference, as HTML in site/
	$(RUN) docs/build_site.py

dev: $(DEPS) ## quick unoptimised-link build for editing; the next other target builds for release again
	$(BIN)/maturin develop --profile edit

clean: ## everything that was built or made here, .venv too
	rm -rf target dist site demo build $(VENV) $(BENCH_VENV) $(ORACLE_VENV) $(TARGET_VENV) $(DAFT_VENV) $(BROWSER_VENV) \
		$(ENGINE_VENV) $(FUZZ_VENV) fuzz/target $(LIBRARY) .cache .pytest_cache .mypy_cache .ruff_cache \
		.import_linter_cache .hypothesis
	find python tests benches docs -name __pycache__ -type d -prune -exec rm -rf {} +

lock: ## pin the newest versions that requirements/dev.in allows, bench.in with them, oracles.in and clax.in
	rm -rf build/lock build/lock-bench build/lock-oracles build/lock-targets build/lock-targets-daft build/lock-targets-browser \
		build/lock-engines build/lock-clax build/lock-fuzz
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/dev.in
	{ echo "# Written by \`make lock\` from dev.in: do not edit."; build/lock/bin/python -m pip freeze; } > build/dev.txt
	mv build/dev.txt requirements/dev.txt
	$(PYTHON) -m venv build/lock-bench
	build/lock-bench/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/bench.in
	{ echo "# Written by \`make lock\` from bench.in: do not edit."; build/lock-bench/bin/python -m pip freeze; } > build/bench.txt
	mv build/bench.txt requirements/bench.txt
	$(PYTHON) -m venv build/lock-oracles
	build/lock-oracles/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/oracles.in
	{ echo "# Written by \`make lock\` from oracles.in: do not edit."; build/lock-oracles/bin/python -m pip freeze; } > build/oracles.txt
	mv build/oracles.txt requirements/oracles.txt
	$(PYTHON) -m venv build/lock-targets
	build/lock-targets/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/targets.in
	{ echo "# Written by \`make lock\` from targets.in: do not edit."; build/lock-targets/bin/python -m pip freeze; } > build/targets.txt
	mv build/targets.txt requirements/targets.txt
	$(PYTHON) -m venv build/lock-targets-daft
	build/lock-targets-daft/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/targets-daft.in
	{ echo "# Written by \`make lock\` from targets-daft.in: do not edit."; build/lock-targets-daft/bin/python -m pip freeze; } > build/targets-daft.txt
	mv build/targets-daft.txt requirements/targets-daft.txt
	$(PYTHON) -m venv build/lock-targets-browser
	build/lock-targets-browser/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/targets-browser.in
	{ echo "# Written by \`make lock\` from targets-browser.in: do not edit."; build/lock-targets-browser/bin/python -m pip freeze; } > build/targets-browser.txt
	mv build/targets-browser.txt requirements/targets-browser.txt
	$(PYTHON) -m venv build/lock-engines
	build/lock-engines/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/engines.in
	{ echo "# Written by \`make lock\` from engines.in: do not edit."; build/lock-engines/bin/python -m pip freeze; } > build/engines.txt
	mv build/engines.txt requirements/engines.txt
	$(PYTHON) -m venv build/lock-clax
	build/lock-clax/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/clax.in
	{ echo "# Written by \`make lock\` from clax.in: do not edit."; build/lock-clax/bin/python -m pip freeze; } > build/clax.txt
	mv build/clax.txt requirements/clax.txt
	$(PYTHON) -m venv build/lock-fuzz
	build/lock-fuzz/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/fuzz.in
	{ echo "# Written by \`make lock\` from fuzz.in: do not edit."; build/lock-fuzz/bin/python -m pip freeze; } > build/fuzz.txt
	mv build/fuzz.txt requirements/fuzz.txt

$(DEPS): requirements/dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "hardneg_fast needs Python 3.11 or newer; $(PYTHON) is older. Try: make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check -r requirements/dev.txt
	@touch $@

$(PEERS): requirements/bench.txt
	$(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/bench.txt
	@touch $@

$(ORACLES): requirements/oracles.txt
	$(PYTHON) -m venv $(ORACLE_VENV)
	$(ORACLE_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/oracles.txt
	@touch $@

$(READERS): requirements/targets.txt
	$(PYTHON) -m venv $(TARGET_VENV)
	$(TARGET_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/targets.txt
	@touch $@

$(DAFT): requirements/targets-daft.txt
	$(PYTHON) -m venv $(DAFT_VENV)
	$(DAFT_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/targets-daft.txt
	@touch $@

$(BROWSER): requirements/targets-browser.txt
	$(PYTHON) -m venv $(BROWSER_VENV)
	$(BROWSER_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/targets-browser.txt
	@touch $@

$(FUZZERS): requirements/fuzz.txt
	$(PYTHON) -m venv $(FUZZ_VENV)
	$(FUZZ_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/fuzz.txt
	@touch $@

$(ENGINES): requirements/engines.txt
	$(PYTHON) -m venv $(ENGINE_VENV)
	$(ENGINE_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/engines.txt
	@touch $@

# The library is a prerequisite so that one built in any other way (make dev, maturin by hand) is not taken for this one.
$(RELEASE): $(DEPS) $(wildcard $(RUST) $(LIBRARY)) $(if $(wildcard $(LIBRARY)),,FORCE)
	$(BIN)/maturin develop --release --locked
	@touch $@
