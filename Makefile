# For contributors. Users need only the go command: see README.md.

GO       ?= go
GOTEST   ?= $(GO) test
LINT     := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
PACKAGES := ./...
# Packages that are tested at a time: tests wait more than they compute.
JOBS     ?= $(shell n=$$(nproc); echo $$((n > 4 ? n : 4)))
# Those that take longest, to be begun first: the others run beside them.
LONG     := ./suites/fidelity/specs ./suites/failure ./cmd/nstest/... ./suites/microservices/shop ./suites/robustness

.PHONY: all vet lint test demo soak bench cover

all: vet lint test

vet:
	$(GO) vet $(PACKAGES)

lint:
	$(GO) run $(LINT) run

# Everything that has to pass before a commit, in at most six minutes.
test:
	$(GOTEST) -p $(JOBS) -timeout 6m $(if $(filter ./...,$(PACKAGES)),$(LONG)) $(PACKAGES)
	$(GOTEST) -p $(JOBS) -timeout 6m -race -short ./nstest ./nstest/internal/lan ./nstest/... ./suites/smoke/... ./suites/hermetic/...

# A look at what the framework does.
demo:
	$(GO) run ./cmd/nstest doctor
	$(GO) test -count 1 -v ./suites/microservices -args -ginkgo.v

# Repetitions, big numbers, other ways to run the same suites. SLICE=i/n runs the i-th of n parts.
SLICE ?= 1/1
soak:
	GOTEST='$(GOTEST)' ./suites/soak.sh $(SLICE)

bench:
	$(GO) test -run '^$$' -bench . -benchtime 1x -timeout 30m ./suites/bench

cover:
	$(GO) test -coverpkg ./nstest/... -coverprofile cover.out $(PACKAGES)
	$(GO) tool cover -func cover.out | tail -1
