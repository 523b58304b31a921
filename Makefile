# Gatehouse. `make` alone tells what there is.

BIN     := bin/gatehouse
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -X main.version=$(VERSION)

.PHONY: help run build test lint fuzz bench guard-eval check-tools

help: ## print this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

run: build ## build and start a guarded Bedrock endpoint on the built-in emulator
	@exec $(BIN) serve $(ARGS)

build: check-tools ## build bin/gatehouse
	@go build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/gatehouse

test: check-tools ## install what the tests need, run all of them, print a table
	@go run ./test/run $(ARGS)

lint: ## gofmt, go vet and staticcheck
	@go run ./test/run -stages lint

fuzz: ## fuzz every target; FUZZTIME=1m for longer
	@go run ./test/run -stages fuzz -fuzztime $(or $(FUZZTIME),10s)

bench: build ## measure what a call costs, beside nginx and Caddy; results in bench/out
	@go run ./bench -bin $(BIN) $(ARGS)

guard-eval: check-tools ## measure the prompt guard; ARGS="-corpus FILE..." for other prompts
	@go run ./test/guardeval $(ARGS)

check-tools:
	@command -v go >/dev/null || { echo "Go is missing. Install Go 1.26 or later (Debian: apt-get install golang, or your system's package), then run make again." >&2; exit 2; }
	@command -v "$$(go env CC)" >/dev/null || { echo "A C compiler is missing ($$(go env CC)). Install one (Debian: apt-get install gcc libc6-dev; macOS: xcode-select --install), then run make again." >&2; exit 2; }
