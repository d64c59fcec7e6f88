# The whole interface of this repository; `make` prints it.
# Everything but lint, release-check and test-servers needs only Go (and, for the
# race detector of `make test`, a C compiler).

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
ROUNDS  ?= 100
CROSS   := linux/arm64 darwin/arm64 windows/amd64

export GOFLAGS ?= -mod=readonly

.PHONY: help
help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/valetkey
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/valetkey ./cmd/valetkey

.PHONY: demo
demo: ## run the main job end to end on the sandbox
	@$(GO) run ./testscripts/demo

.PHONY: test
test: ## every test that needs only Go, with the race detector
	@if [ "$$($(GO) env CGO_ENABLED)" = 1 ] && command -v "$$($(GO) env CC | cut -d' ' -f1)" >/dev/null; then \
		$(GO) test -race -timeout 10m ./...; \
	else \
		echo 'no C compiler found: testing without the race detector'; \
		$(GO) test -timeout 10m ./...; \
	fi

.PHONY: test-servers
test-servers: ## tests against the real Vault, MinIO, keyring and SDK clients
	cd testscripts/servers && $(GO) test -count=1 -timeout 30m ./...

.PHONY: bench
bench: ## the ratios that matter, medians of ROUNDS (100)
	$(GO) run ./testscripts/bench -rounds $(ROUNDS)

.PHONY: docs
docs: ## regenerate man/, completions/ and docs/reference
	$(GO) run ./cmd/gen-docs

.PHONY: lint
lint: bin/golangci-lint lint-cross lint-shell lint-man ## golangci-lint, cross builds, shell scripts, man pages
	bin/golangci-lint run

# Apart, since it compiles what the real servers are made of, which takes longer
# than the linter waits by itself; .ci/run calls it after test-servers has done so.
.PHONY: lint-servers
lint-servers: bin/golangci-lint
	cd testscripts/servers && ../../bin/golangci-lint run --timeout 30m --config ../../.golangci.yaml

# What is written for another system must at least compile and pass vet there.
.PHONY: lint-cross
lint-cross:
	@for target in $(CROSS); do \
		echo "go build and vet for $$target"; \
		GOOS=$${target%/*} GOARCH=$${target#*/} CGO_ENABLED=0 $(GO) build ./...; \
		GOOS=$${target%/*} GOARCH=$${target#*/} CGO_ENABLED=0 $(GO) vet ./...; \
	done

.PHONY: lint-shell
lint-shell:
	@if command -v shellcheck >/dev/null; then \
		shellcheck .ci/run $$(git ls-files '*.sh'); \
	else echo 'shellcheck is not installed: shell scripts were not checked'; fi

.PHONY: lint-man
lint-man:
	@if ! compgen -G 'man/*.[1-8]' >/dev/null; then echo 'no man pages to check'; \
	elif command -v mandoc >/dev/null; then mandoc -T lint -W warning man/*.[1-8]; \
	else echo 'mandoc is not installed: man pages were not checked'; fi

.PHONY: release-check
release-check: bin/goreleaser ## check the release file, build a snapshot, install its .deb into an empty root
	testscripts/release-check.sh

.PHONY: clean
clean: ## remove what make has built
	rm -rf bin dist

# Tools are built from modules of their own, so that what they need never mixes
# with what valetkey needs.
bin/golangci-lint: tools/lint/go.mod tools/lint/go.sum
	$(GO) build -C tools/lint -o ../../$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	@touch $@

bin/goreleaser: tools/release/go.mod tools/release/go.sum
	$(GO) build -C tools/release -o ../../$@ github.com/goreleaser/goreleaser/v2
	@touch $@
