# The one door to every task: `make help` lists them.
.DEFAULT_GOAL := help

.PHONY: help
help: ## List the tasks
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-16s %s\n", $$1, $$2 }'

.PHONY: cluster-tools
cluster-tools: ## Build the programs of the test cluster (skipped when current)
	@tests/cluster/build

# A cluster takes a core and a half while it starts: more tests at once than cores only slow each other.
.PHONY: e2e
e2e: cluster-tools ## Run the tests on a real control plane
	RUST_TEST_THREADS=$${RUST_TEST_THREADS:-$$(nproc)} cargo test --test e2e
