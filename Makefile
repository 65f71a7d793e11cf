# Each target is one obvious command; `make help` lists them.

.PHONY: help demo test bench fuzz
.DEFAULT_GOAL := help

help: ## List the targets
	@grep -E '^[a-z]+: .*##' $(MAKEFILE_LIST) | sed -E 's/: .*## /\t/' | expand -t 8

demo: ## Start the simulated plant in ./demo (Ctrl-C ends it)
	@scripts/demo

test: ## Run every test: unit, integration against real peers, documentation
	@scripts/test

bench: ## Measure against OpenSSH and HAProxy and write docs/performance.md
	@scripts/bench

fuzz: ## Hold the laws of what reads bytes from outside against any bytes, a minute each (needs the nightly compiler)
	@scripts/fuzz
