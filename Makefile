# Plain `go test ./...` needs nothing but Go. What more the targets below need they
# install themselves, through e2e/setup.sh, on Debian as root or with sudo.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

SETUP := e2e/setup.sh
TOOLS := $(or $(T2_CRED_E2E_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/t2-cred-e2e)/bin
FUZZTIME ?= 30s

.PHONY: help
help: ## show this
	@sed -n 's/^\([a-z0-9-]*\):.*## /  make \1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 20

# HTTP/2 is left out: no request gains by it, and it is half a MiB.
.PHONY: build
build: ## build bin/t2-cred as a release is built
	CGO_ENABLED=0 go build -trimpath -tags nethttpomithttp2 -ldflags='-s -w' -o bin/linked/t2-cred .
	@install bin/linked/t2-cred bin/t2-cred # what the linker has just written starts slower

PREFIX ?= /usr/local
# zsh and dash leave the ~ of PREFIX=~/.local alone, and quotes here would keep it.
override PREFIX := $(patsubst ~/%,$(HOME)/%,$(PREFIX))

.PHONY: install
install: build ## install the program below PREFIX (/usr/local), as in make install PREFIX=~/.local
	install -d '$(DESTDIR)$(PREFIX)/bin'
	install bin/t2-cred '$(DESTDIR)$(PREFIX)/bin/t2-cred'

.PHONY: demo
demo: demo-says build ## the main job, step by step, against the built-in issuer (STORE=file: without root)
ifneq ($(STORE),file)
	@$(SETUP) keyring
endif
	@cd e2e && T2_CRED_STORE='$(or $(STORE),$(T2_CRED_STORE))' T2_CRED_BIN='$(CURDIR)/bin/t2-cred' go run ./cmd/demo

# What comes, before the first build, which takes longest.
.PHONY: demo-says
demo-says:
ifeq ($(STORE),file)
	@echo 'demo: nothing is installed; it takes about 20 seconds, and the first build some minutes'
else
	@{ command -v dbus-daemon && command -v gnome-keyring-daemon; } >/dev/null || { \
	  echo 'demo: installs dbus and gnome-keyring, about 110 Debian packages, as root or with sudo; it takes 1 to 3 minutes'; \
	  echo 'demo: make demo STORE=file installs nothing'; }
	@echo 'demo: it takes about 20 seconds, and the first build some minutes'
endif

.PHONY: check
check: fmt vet lint unit ## format, vet, lint, unit tests with the race detector: the inner loop

.PHONY: test
test: ## set up and run everything, end-to-end tests included
	@e2e/test-all.sh setup fmt vet lint unit unit-all fuzz-short cross tidy vuln e2e

.PHONY: test-more
test-more: ## set up and run what takes too long for make test: further issuers, long runs
	@e2e/test-all.sh setup-more e2e-more

.PHONY: bench
bench: build ## measure against the budgets and the peers, into docs/benchmarks.md
	@$(SETUP) bench keycloak openbao
	@cd e2e && T2_CRED_BIN='$(CURDIR)/bin/t2-cred' go run ./cmd/bench

PORT ?= 8180

.PHONY: keycloak
keycloak: keycloak-says build ## start a Keycloak for hands-on use on PORT (8180), and print the lines to type
	@$(SETUP) keycloak
	@cd e2e && go build -o ../bin/e2e-keycloak ./cmd/keycloak && exec ../bin/e2e-keycloak -port '$(PORT)'

.PHONY: keycloak-says
keycloak-says:
	@[ -e '$(dir $(TOOLS))keycloak' ] || \
	  echo 'keycloak: installs Java and Maven where they are missing, as root or with sudo, and fetches Keycloak (170 MB); the first time takes 5 to 10 minutes'
	@echo 'keycloak: it takes about a minute to start, and the first build some minutes'

.PHONY: release-snapshot
release-snapshot: ## make what a release would be, into bin/release, and publish nothing
	@bash e2e/setup.d/release.sh
	@# A clone without a remote is not known to GoReleaser, which then has no commit's time.
	PATH='$(TOOLS)':"$$PATH" GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=remote.origin.url \
	  GIT_CONFIG_VALUE_0=https://github.com/terradue/t2-cred.git goreleaser release --snapshot --clean

.PHONY: site
site: ## build the pages as a site, into bin/site
	@bash e2e/setup.d/more/site.sh
	NO_MKDOCS_2_WARNING=1 '$(dir $(TOOLS))venv-site/bin/mkdocs' build -q -f contrib/site/mkdocs.yml

.PHONY: pictures
pictures: build ## record docs/pictures/session.svg anew, and draw the benchmarks' plot
	cd e2e && T2_CRED_BIN='$(CURDIR)/bin/t2-cred' go run ./cmd/picture ../docs/pictures/session.svg
	cd e2e && go test ./cmd/bench -run TestPlot -update

.PHONY: fuzz
fuzz: ## fuzz each target for FUZZTIME (30s)
	@e2e/fuzz.sh $(FUZZTIME)

.PHONY: clean
clean: ## remove what was built; downloads stay in the cache outside the checkout
	rm -rf bin

# The steps of check, test and test-more.

.PHONY: setup setup-more fmt vet lint unit unit-all fuzz-short cross tidy vuln e2e e2e-more

setup:
	@$(SETUP)

setup-more: setup
	@$(SETUP) more

fmt:
	@unformatted=$$(gofmt -l .); \
	  if [ -n "$$unformatted" ]; then printf 'gofmt -w is needed on:\n%s\n' "$$unformatted" >&2; exit 1; fi

vet:
	go vet ./...
	cd e2e && go vet ./...

lint:
	@$(SETUP) lint
	$(TOOLS)/golangci-lint run ./...
	cd e2e && $(TOOLS)/golangci-lint run ./...
	$(TOOLS)/actionlint
	go test -run TestProse ./docs # how long a sentence is, and how it is built

# The race detector is C, and asks for a compiler. With -short the hostile-issuer
# suite meets every fifth fault; all of them are met without the detector.
unit:
	@$(SETUP) race
	CGO_ENABLED=1 go test -race -short -timeout 10m ./...

# As a part of make test everything is set up by then, so a test whose part is missing
# fails, and does not skip; and what has to be seen for a minute is.
unit-all:
	T2_CRED_E2E=1 go test -timeout 20m ./...

# The seeds, and what was once found, are tests of unit and unit-all already.
fuzz-short:
	@e2e/fuzz.sh 3s

# Vetting compiles the tests too, on one architecture of each foreign system.
cross:
	@for os in linux darwin windows; do \
	  for arch in amd64 arm64; do \
	    echo "build for $$os/$$arch"; \
	    CGO_ENABLED=0 GOOS=$$os GOARCH=$$arch go build ./...; \
	  done; \
	done
	CGO_ENABLED=0 GOOS=darwin GOARCH=arm64 go vet ./...
	CGO_ENABLED=0 GOOS=windows GOARCH=amd64 go vet ./...

tidy:
	go mod tidy -diff
	cd e2e && go mod tidy -diff

vuln:
	@$(SETUP) lint
	@e2e/vuln.sh $(TOOLS)/govulncheck

e2e:
	cd e2e && T2_CRED_E2E=1 go test -count=1 -p 1 -timeout 65m ./...
	@echo 'NOT CHECKED: the tests TestMore_*: make test-more runs them'

# parts.More lets the tests of that name run.
e2e-more:
	cd e2e && T2_CRED_E2E=1 T2_CRED_MORE='$(or $(T2_CRED_MORE),1)' go test -count=1 -p 1 -timeout 45m -run '^TestMore_' ./...
