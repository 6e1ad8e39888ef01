# The one door to every task: `make help` lists them.
.DEFAULT_GOAL := help

.PHONY: help
help: ## List the tasks
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-16s %s\n", $$1, $$2 }'

.PHONY: cluster-tools
cluster-tools: ## Build the programs of the test cluster (skipped when current)
	@tests/cluster/build
