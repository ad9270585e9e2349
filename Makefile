.DEFAULT_GOAL := help
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo 0.0.0-dev)
GO      ?= go
export CGO_ENABLED ?= 0

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

setup: ## install what is missing, printing it first
	@sh testdata/setup.sh

build: ## bin/runner, static
	@$(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/runner ./cmd/runner

demo: build ## a real service: deployed, upgraded, broken, killed, recovered
	@sh testdata/demo/demo.sh bin/runner

test: ## pure, script, crash and property tests, and the mutants that must fail them
	@test -z "$$(gofmt -l cmd runtime builtins scripts stdlib testdata)" || { gofmt -l cmd runtime builtins scripts stdlib testdata; exit 1; }
	$(GO) vet ./...
	GOOS=darwin $(GO) vet ./...
	GOOS=windows $(GO) build -o /dev/null ./cmd/runner
	$(GO) test -timeout 30m ./...
	cd testdata/apps/mcpd && $(GO) vet ./... && $(GO) test ./...
	sh testdata/mutants.sh

race: ## runtime/... under the race detector
	CGO_ENABLED=1 $(GO) test -race ./runtime/...

LAB := DOCKER_HOST=$$(sh testdata/docker/engine.sh) && RUNNER_LABKUBE=$$(sh testdata/kube/up.sh) && export DOCKER_HOST RUNNER_LABKUBE && $(GO) test -tags labs -count=1 -timeout 60m
labs: ## Erlang, Docker and Kubernetes; each printed as run or not run
	@command -v rebar3 erl >/dev/null || { echo 'labs: Erlang: rebar3 or erl is missing: make setup installs them'; exit 1; }
	$(GO) vet -tags labs ./...
	@echo 'labs: Erlang, and Compose projects and clusters by the standard scripts: run'
	$(LAB) -parallel 4 -run 'TestLab' ./cmd/runner # they wait more than they work
	@echo 'labs: Compose, Docker images and registries, Kubernetes: run, two packages at a time'
	$(LAB) -run 'TestLab' ./builtins/compose/... ./builtins/docker/... ./builtins/home ./builtins/kube/...

check: setup test race labs ## everything that must hold, on a machine that has nothing yet

soak: ## 10,000 kills at random moments
	RUNNER_SOAK=10000 $(GO) test -timeout 12h -run 'TestRandomKills' -v ./cmd/runner

bench: SHELL := /bin/bash
bench: .SHELLFLAGS := -o pipefail -c
bench: ## ratios against rivals and physical limits
	$(GO) test -run xxx -bench . -benchtime 5x ./builtins/backups | tee testdata/bench/latest.txt
	$(GO) test -run xxx -bench . -benchtime 1s ./runtime/... ./cmd/runner | tee -a testdata/bench/latest.txt
	@if command -v rebar3 erl >/dev/null; then $(GO) test -tags labs -run xxx -bench Lab -benchtime 3x ./cmd/runner | tee -a testdata/bench/latest.txt; \
	else echo 'bench: NOT RUN: BenchmarkLabDeploy, BenchmarkLabRollback: rebar3 or erl is missing: make setup installs them' | tee -a testdata/bench/latest.txt; fi
	@if engine=$$(sh testdata/docker/engine.sh); then DOCKER_HOST=$$engine $(GO) test -tags labs -run xxx -bench LabCompose -benchtime 3x ./builtins/compose | tee -a testdata/bench/latest.txt; \
	else echo 'bench: NOT RUN: BenchmarkLabCompose: no Docker engine answers, and none can be started here' | tee -a testdata/bench/latest.txt; fi

	@RUNNER_LABKUBE=$$(sh testdata/kube/up.sh) RUNNER_LABHELM=$$(sh testdata/kube/helm.sh) $(GO) test -tags labs -run xxx -bench LabKube -benchtime 3x ./builtins/kube | tee -a testdata/bench/latest.txt

fuzz: ## every fuzz target, 10 s each
	@sh testdata/fuzz.sh 10s

update: ## rewrite golden files
	rm -f testdata/wire/*.golden
	-$(GO) test ./builtins/... >/dev/null # a missing wire golden is written, and fails once
	$(GO) test $$(grep -rl --include='*_test.go' 'flag.Bool("update"' . | xargs -n 1 dirname | sort -u) -update

clean: ## remove what was built
	rm -rf bin dist

.PHONY: help setup build demo test race labs check soak bench fuzz update clean
