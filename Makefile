# The one door to every task: `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
CARGO ?= cargo
CHART := charts/poolbudget

.PHONY: help
help: ## List the tasks
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-16s %s\n", $$1, $$2 }'

.PHONY: generate
generate: ## Write the CRD and the chart's copies from their source
	@$(CARGO) build --quiet
	@target/debug/poolbudget crd > crds/dbconnectionbudgets.poolbudget.dev.yaml
	@target/debug/poolbudget crd --chart > $(CHART)/templates/crd.yaml
	@target/debug/poolbudget policies --chart > $(CHART)/templates/policies.yaml

.PHONY: verify
verify: generate ## Regenerate everything; the tree must then be clean
	@test -z "$$(git status --porcelain)" || { git status --short; git --no-pager diff --stat; echo 'verify: commit what was regenerated'; exit 1; }

.PHONY: fmt
fmt: ## Format the code
	$(CARGO) fmt

.PHONY: lint
lint: ## rustfmt, clippy with warnings denied, licences, bans and sources
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets --quiet -- -D warnings
	@command -v cargo-deny > /dev/null || $(CARGO) install --quiet --locked cargo-deny
	$(CARGO) deny --log-level error check bans licenses sources

.PHONY: cluster-tools
cluster-tools: ## Build the programs of the test cluster (skipped when current)
	@tests/cluster/build

.PHONY: release
release: ## Build the operator as it is shipped
	@echo 'building poolbudget (release)'; $(CARGO) build --release --quiet

.PHONY: test
test: cluster-tools release ## Run all tests, those on a real control plane included
	$(CARGO) test --lib --bins --test properties --test controller --test chart
	$(MAKE) e2e

# A cluster takes a core and a half while it starts: more tests at once than cores only slow each other.
.PHONY: e2e
e2e: cluster-tools release ## Run the tests on a real control plane
	RUST_TEST_THREADS=$${RUST_TEST_THREADS:-2} $(CARGO) test --test e2e
