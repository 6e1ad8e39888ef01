# The one door to every task: `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
CARGO ?= cargo
CHART := charts/poolbudget
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
HOST = $(shell rustc -vV | sed -n 's/^host: //p')
IMAGE ?= poolbudget:$(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n1)
DEV := $(TARGET_DIR)/debug

.PHONY: help
help: ## List the tasks
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-16s %s\n", $$1, $$2 }'

# One build for both, in the profile that builds fastest: they share all that they depend on.
.PHONY: demo
demo: export POOLBUDGET_DEMO_ORDERED := $(shell date +%s.%N)
demo: export POOLBUDGET_BINARY ?= $(DEV)/poolbudget
demo: cluster-tools ## Show the main job on a real control plane; a terminal has it until Ctrl-C
	@printf '  %-28s  %-44s  ' 'poolbudget, demo' 'the operator, and what shows it at work'; started=$$SECONDS; \
	$(CARGO) build --quiet --bin poolbudget --example demo && echo "built in $$((SECONDS - started)) s"
	@exec $(DEV)/examples/demo

# What the picture is called; `make demo-postgres PICTURE=docs/images/real-connections.svg` renews that of the README.
PICTURE ?= $(TARGET_DIR)/demo-postgres.svg
.PHONY: demo-postgres
demo-postgres: export POOLBUDGET_BINARY ?= $(DEV)/poolbudget
demo-postgres: cluster-tools postgres-tools ## Show the main job with real connections, without and with poolbudget
	$(CARGO) build --quiet --bin poolbudget --example demo-postgres
	@exec $(DEV)/examples/demo-postgres $(PICTURE)

.PHONY: generate
generate: ## Write the CRD and the chart's copies from their source
	@$(CARGO) build --quiet
	@target/debug/poolbudget crd > crds/dbconnectionbudgets.poolbudget.dev.yaml
	@target/debug/poolbudget crd --chart > $(CHART)/templates/crd.yaml
	@target/debug/poolbudget policies --chart > $(CHART)/templates/policies.yaml
	@target/debug/poolbudget policies --chart --webhook > $(CHART)/templates/webhook.yaml
	@target/debug/poolbudget profiles > docs/profiles.md

.PHONY: verify
verify: generate ## Regenerate everything; the tree must then be clean
	@changes=$$(git status --porcelain) || exit 1; test -z "$$changes" \
		|| { echo "$$changes"; git --no-pager diff --stat; echo 'verify: commit what was regenerated'; exit 1; }

.PHONY: fmt
fmt: ## Format the code
	$(CARGO) fmt --all

.PHONY: lint
lint: ## rustfmt, clippy with warnings denied, licences, bans, sources, and advisories where they can be fetched
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --quiet -- -D warnings
	@# Unoptimised: it takes a second longer each time and two minutes less to install.
	@$(CARGO) deny --version > /dev/null 2>&1 || { echo 'installing cargo-deny'; $(CARGO) install --quiet --locked --debug cargo-deny@0.20.2; }
	$(CARGO) deny --log-level error check bans licenses sources
	@if $(CARGO) deny fetch db > /dev/null 2>&1; then $(CARGO) deny --log-level error check advisories; \
		else echo 'lint: the advisory database cannot be reached, advisories were not checked'; fi

.PHONY: cluster-tools
cluster-tools: ## Build the programs of the test cluster (skipped when current)
	@tests/cluster/build

# Beside the tests only: nothing else needs a second control plane.
.PHONY: cluster-tools-older
cluster-tools-older:
	@tests/cluster/build older

.PHONY: postgres-tools
postgres-tools: ## Provide PostgreSQL, PgBouncer and packages of Python and Node.js for real connections (skipped when there)
	@tests/postgres/set-up $(TARGET_DIR)/postgres/venv

# Beside the tests only: nothing else needs more than one version.
.PHONY: postgres-versions
postgres-versions: postgres-tools
	@tests/postgres/set-up-versions $(TARGET_DIR)/postgres/versions

.PHONY: release
release: ## Build the operator as it is shipped: one static program
	@echo 'building poolbudget (release)'
	@# With --target the flag is for the program alone; build scripts and macros cannot be static.
	@RUSTFLAGS="$$RUSTFLAGS -C target-feature=+crt-static" $(CARGO) build --release --locked --quiet --target $(HOST)
	@install -D $(TARGET_DIR)/$(HOST)/release/poolbudget $(TARGET_DIR)/release/poolbudget

.PHONY: image
image: release ## Check that the program can stand alone in an image, and build it (IMAGE=...) where an engine answers
	@tests/image/check $(TARGET_DIR)/release/poolbudget
	@tests/image/build $(IMAGE)

# Every test target by name, the one of the testkit and of poolbudget all but those that `test` runs in a way of their own; a new one is run without being named here.
APART := e2e postgres
TESTS := testkit $(filter-out $(APART),$(patsubst tests/%/main.rs,%,$(wildcard tests/*/main.rs)) $(patsubst tests/%.rs,%,$(wildcard tests/*.rs)))
# What needs neither a cluster nor a minute of its own: the loop of every day.
QUICK := $(filter-out controller,$(TESTS))
.PHONY: quick
quick: cluster-tools ## Format, clippy, unit tests, properties, commands, chart, documents: 1 minute once it is built
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --quiet -- -D warnings
	$(CARGO) test --quiet --workspace --lib --bins $(QUICK:%=--test %)

.PHONY: test
test: cluster-tools release ## Run all tests, those on a real control plane included: 35 minutes once the tools are built
	$(CARGO) test --workspace --lib --bins --examples $(TESTS:%=--test %)
	tests/image/check $(TARGET_DIR)/release/poolbudget
	$(MAKE) health alerts page-test
	$(CARGO) test --profile simulation -p poolbudget-simulation --test simulation
	$(MAKE) simulate
	$(MAKE) e2e postgres
	$(MAKE) soak MINUTES=2

# The page that a browser is shown, with the server that ships, in front of fixed clusters. Half a minute once it is built.
.PHONY: page-test
page-test: ## Drive the page in a real Chromium: looks, keyboard, accessibility, a restart, a thousand budgets
	$(CARGO) build --quiet --example page
	tests/page/run $(DEV)/examples/page $(abspath $(TARGET_DIR))/page

# Go has what reads a budget's health elsewhere: kstatus, and the Lua of Argo CD.
.PHONY: health
health: ## Hold recorded budgets against kstatus and the script for Argo CD: a minute the first time
	cd tests/kstatus && GOTOOLCHAIN=local go test -count=1 ./...

.PHONY: alerts
alerts: ## Hold the alerts and the dashboard against the engine of Prometheus: three minutes the first time
	cd tests/prometheus && GOTOOLCHAIN=local go test -count=1 ./...

# A cluster takes a core and a half while it starts: more tests at once than cores only slow each other.
.PHONY: e2e
e2e: export POOLBUDGET_RIGHTS := $(abspath $(TARGET_DIR))/rights
e2e: cluster-tools cluster-tools-older release ## Run the tests on a real control plane: 20 minutes
	$(CARGO) build --quiet --example demo
	@rm -rf $(POOLBUDGET_RIGHTS)
	RUST_TEST_THREADS=$${RUST_TEST_THREADS:-2} $(CARGO) test --test e2e
	@# What the accounts of the chart did meanwhile, against what they may do.
	$(CARGO) test --quiet --test chart -- --ignored every_right

# By hand, not in CI: the same checks run there as property tests. Without a sanitizer, since nothing here is unsafe.
FUZZ_TARGETS ?= pod budget workload first_bytes framing
SECONDS ?= 60
.PHONY: fuzz
fuzz: ## Feed objects of anything to the way that every object takes, and bytes to the governor, SECONDS=60 for each kind
	@$(CARGO) +nightly fuzz --version > /dev/null 2>&1 || { \
		echo 'fuzz: needs a nightly compiler and cargo-fuzz: rustup toolchain install nightly && cargo +nightly install --locked cargo-fuzz'; exit 1; }
	@set -e; for target in $(FUZZ_TARGETS); do mkdir -p fuzz/corpus/$$target; \
		$(CARGO) +nightly fuzz run --sanitizer none $$target fuzz/corpus/$$target fuzz/seeds/$$target -- \
			-max_total_time=$(SECONDS) -timeout=10 -max_len=16384 -dict=fuzz/words.dict -print_final_stats=1; done

# Optimised, with all checks of the test builds. One SEED is told step by step; SEEDS and FROM say which ones else.
SEEDS ?= 20000
FROM ?= 0
.PHONY: simulate
simulate: ## Run random schedules around the shipping controller: SEEDS=20000 FROM=0, or one SEED in detail
	@echo 'building the simulation'
	@$(CARGO) build --quiet --profile simulation -p poolbudget-simulation --example simulate
	@$(TARGET_DIR)/simulation/examples/simulate $(if $(SEED),--seed $(SEED),--seeds $(SEEDS) --from $(FROM)) \
		$(if $(WITHOUT),--without $(WITHOUT))

# With the operator as it is shipped, unless POOLBUDGET_BINARY names another; SEED=... repeats the plan of a run.
MINUTES ?= 10
.PHONY: soak
soak: cluster-tools release ## Chaos on a real control plane for MINUTES (10), judged by an independent recorder
	$(CARGO) build --quiet --example soak
	$(DEV)/examples/soak --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

# One at a time: each is a load test, and a machine that is too busy shows less of it.
.PHONY: postgres
postgres: cluster-tools postgres-tools postgres-versions release ## Run the tests with real connections to a real PostgreSQL
	RUST_TEST_THREADS=1 $(CARGO) test --test postgres

.PHONY: bench
bench: cluster-tools release ## Measure the core, and the operator on a real control plane
	$(CARGO) bench --bench core --bench reconcile
	$(CARGO) bench --bench cluster
	$(CARGO) bench --bench webhook

# Alone on the machine: every proxy, the server and the clients share its cores.
ROUNDS ?= 5
.PHONY: governor-bench
governor-bench: postgres-tools release ## Compare the governor with HAProxy, PgBouncer and no proxy: ROUNDS (5), 3 minutes
	@tools/governor-bench/set-up
	$(CARGO) build --quiet -p poolbudget-testkit --example governor-bench
	@exec $(DEV)/examples/governor-bench --rounds $(ROUNDS)
