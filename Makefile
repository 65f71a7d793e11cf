# Each target is one obvious command; `make help` lists them.

.PHONY: help demo test bench
.DEFAULT_GOAL := help

help: ## List the targets
	@grep -E '^[a-z]+: .*##' $(MAKEFILE_LIST) | sed -E 's/: .*## /\t/' | expand -t 8

demo: ## Start the simulated plant in ./demo (Ctrl-C ends it)
	@scripts/demo

test: ## Run every test: unit, integration against real peers, documentation
	@scripts/test

bench: ## Measure against OpenSSH and write docs/performance.md
	@scripts/bench
