# Portalhook. `make` alone lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help

GOLANGCI_VERSION := v2.15.0
TOOLS            := $(CURDIR)/.cache/bin
GOLANGCI         := $(TOOLS)/golangci-lint-$(GOLANGCI_VERSION)
FUZZTIME         ?= 10s
FUZZ             ?= Fuzz[A-Za-z]*
KILLS            ?= 200
EVENTS           ?= 20000
ROUNDS           ?= 3
SIZES            ?= 1k,100k,1M
ROWS             ?= 10000000
WEBHOOKS         ?= 1000
DELIVERIES       ?= 1000000
STORE            ?= sqlite
# Many tests wait for a database or a receiver, so that more of a package may run than there are cores.
PARALLEL         ?= 4

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build ./portalhook
	go build -trimpath -o portalhook ./cmd/portalhook

.PHONY: demo
demo: build ## see it work: server, receiver, webhooks, every fixture; stays open until Ctrl-C
	./portalhook demo

.PHONY: run
run: build ## serve on 127.0.0.1:8080 with portalhook.db here, local receivers allowed
	./portalhook serve --allow-http --allow-target 127.0.0.0/8

.PHONY: test
test: browser postgres ## every test, on both databases
	@npm view --prefer-offline --fetch-retries=0 --fetch-timeout=10000 @qlik/api version >/dev/null 2>&1 || \
	  echo 'LEFT OUT: the CloudEvents SDK, the Qlik clients, the verifiers of signatures in JavaScript, the console judged by axe-core (no npm here, or its registry does not answer)'
	@command -v python3 >/dev/null || echo 'LEFT OUT: the requests of the ArcGIS API for Python (no python3 here)'
	@command -v systemd-analyze >/dev/null || echo 'LEFT OUT: the systemd unit judged by systemd (no systemd-analyze here)'
	go test -count=1 -timeout 30m -parallel $(PARALLEL) ./...

# PostgreSQL is tested on a server of the tests' own: Debian's package, where it may be installed. Debian starts a server with it, which nobody needs.
.PHONY: postgres
postgres:
	@ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || command -v postgres >/dev/null || { \
	  test "$$(id -u)" = 0 && command -v apt-get >/dev/null && \
	  { apt-get -q update && mkdir -p /etc/postgresql-common/createcluster.d && \
	    echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.d/portalhook.conf && \
	    DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends postgresql; } >/dev/null; \
	} || echo 'LEFT OUT: everything on PostgreSQL (it is not installed, and may not be)'

# The console is tested in Chromium: Debian's package, where it may be installed; else its tests say that they are left out.
.PHONY: browser
browser:
	@command -v chromium chromium-browser google-chrome >/dev/null || { \
	  test "$$(id -u)" = 0 && command -v apt-get >/dev/null && \
	  { apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends chromium; } >/dev/null; \
	} || echo 'LEFT OUT: the console in a browser (no Chromium here, and it may not be installed)'

.PHONY: screenshots
screenshots: browser ## pictures of every page of the console into ./screenshots, both themes, wide and narrow
	go test -count=1 -run Screenshots ./cmd/portalhook -console.screenshots $(CURDIR)/screenshots

.PHONY: race
race: ## every test under the race detector, the slow properties shortened
	go test -count=1 -race -short -timeout 30m -parallel $(PARALLEL) ./...

.PHONY: lint
lint: $(GOLANGCI) ## the linter, import layers included
	$(GOLANGCI) config verify
	$(GOLANGCI) run ./...

$(GOLANGCI):
	@mkdir -p $(TOOLS)
	GOBIN=$(TOOLS) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	@mv $(TOOLS)/golangci-lint $@

.PHONY: bench
bench: bench-match bench-throughput bench-rows ## the figures of one server beside their yardsticks; more: bench-scaling, bench-console

.PHONY: bench-match
bench-match: ## matching at 1 k, 100 k, 1 M subscriptions beside a plain map and two peers
	go test -run '^$$' -bench . -benchtime 1s ./router

.PHONY: bench-throughput
bench-throughput: ## events a second through the whole way beside plain HTTP
	go test -count=1 -run '^$$' -bench Throughput -benchtime 1x ./cmd/portalhook -throughput.rounds $(ROUNDS)

.PHONY: bench-rows
bench-rows: ## the schema with ROWS rows of history
	go test -run '^$$' -bench TenMillion -benchtime 1x -timeout 60m ./storage -storage.rows $(ROWS)

.PHONY: bench-scaling
bench-scaling: postgres ## what an event costs whom with 1, 2 and 4 nodes on one PostgreSQL, written into docs/scaling.md
	go test -count=1 -run '^$$' -bench Scaling -benchtime 1x -timeout 60m ./cmd/portalhook -scaling.rounds $(ROUNDS) -scaling.report $(CURDIR)/docs/scaling.md

.PHONY: bench-console
bench-console: ## every page of the console at WEBHOOKS and DELIVERIES, beside /healthz (STORE=postgres)
	go test -count=1 -run '^$$' -bench 'BenchmarkConsole$$' -benchtime 1x -timeout 60m ./cmd/portalhook \
	  -console.store $(STORE) -console.webhooks $(WEBHOOKS) -console.deliveries $(DELIVERIES)

# Each package's targets are built once, and run one to a core, or one on all cores when there is one only. What they find worth keeping
# goes to the go command's cache, what is a fault to testdata/fuzz, and is shown. On a busy machine the time may be over in the middle of a call, which
# the testing package takes for a failure (context deadline exceeded): it is none. All targets are run, whichever fails.
.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME; an hour of one: make fuzz FUZZTIME=1h FUZZ=FuzzMatch
	@set -e -o pipefail; built=$$(mktemp -d); trap 'rm -rf "$$built"' EXIT; cores=$$(nproc); \
	go list -f '{{.Dir}} {{.ImportPath}}' ./... | while read -r dir path; do \
	  grep -Ehos '^func ($(FUZZ))\(f' $$dir/*_test.go | sed -E "s|^func (.*)\(f|$$dir $$built/$${path//\//.} \1|" || true; \
	done >$$built/targets; \
	test -s $$built/targets || { echo 'no fuzz target is called $(FUZZ)'; exit 1; }; \
	cut -d ' ' -f 1,2 $$built/targets | uniq | xargs -P $$cores -L 1 bash -c 'go test -c -fuzz=. -o $$1 $$0'; \
	each=1; if [ $$(wc -l <$$built/targets) = 1 ]; then each=$$cores; fi; \
	export each cache=$$(go env GOCACHE)/fuzz; \
	xargs -P $$cores -L 1 bash -c 'cd $$0; log=$$1.$$2.log; name="$$(basename $$1) $$2"; \
	  if $$1 -test.run "^$$" -test.fuzz "^$$2$$" -test.fuzztime $(FUZZTIME) \
	    -test.fuzzminimizetime 100x -test.parallel $$each -test.fuzzcachedir $$cache/$$(basename $$1) >$$log 2>&1 || \
	    { grep -qx " *context deadline exceeded" $$log && ! grep -Eq "Failing input|failure while|panic" $$log; }; \
	  then echo "$$name: $$(grep elapsed: $$log | tail -n 1)"; exit; fi; \
	  echo "$$name FAILED" | tee -a $$(dirname $$1)/failed; cat $$log; \
	  for input in $$(sed -n "s/.*Failing input written to //p" $$log); do echo "$$input:"; cat $$input; done; exit 1' <$$built/targets || \
	  { cat $$built/failed; exit 1; }

.PHONY: torture
torture: ## the server through every fault: killed, stopped, starved, misled; every acknowledged event accounted for (TORTURE="-run kill", "-long"; STORE=postgres: three nodes)
	go run ./cmd/torture -store $(STORE) -kills $(KILLS) -events $(EVENTS) $(value TORTURE)

.PHONY: reliability
reliability: ## the same, written into docs/reliability.md
	go run ./cmd/torture -store $(STORE) -kills $(KILLS) -events $(EVENTS) -report docs/reliability.md

.PHONY: fmt
fmt: $(GOLANGCI) ## format
	$(GOLANGCI) fmt ./...

.PHONY: check
check: lint test race ## what continuous integration runs
	go mod tidy -diff
