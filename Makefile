# The commands of the project. `make help` lists them.
.SUFFIXES:
.NOTPARALLEL:
.PHONY: help run build page debug test test-rust test-web test-browser bench dev soak clean

LISTEN = 127.0.0.1:8080
DATA = ./data
SOAK_SEEDS = 100000
SOAK_ROUNDS = 200
SOAK_CASES = 100000
SOAK_RACES = 10000

STEP = @tools/step
TARGET := $(or $(CARGO_TARGET_DIR),target)
BINARY = $(TARGET)/release/roundtable
PACKAGES = web/node_modules/.installed
PAGE_SOURCES := $(shell find web -type d \( -name node_modules -o -name dist -o -name e2e -o -name pictures \) -prune -o -type f -print)

help:
	@echo 'make run    build everything and start on $(LISTEN), data in $(DATA)'
	@echo 'make build  build the page and the release binary $(BINARY)'
	@echo 'make test   check format, lints, tidy; run Rust, page and browser tests'
	@echo 'make bench  measure the promises beside socket.io and Bun'
	@echo 'make dev    debug server and page that reloads while you edit'
	@echo 'make soak   long runs: simulation seeds, laws, context, rubbish, kills, bad days'
	@echo 'make clean  remove what was built (not the data)'
	@echo 'Settings: make run LISTEN=127.0.0.1:9000 DATA=/path/to/data'

run: build
	@echo 'Starting on $(LISTEN); data lies in $(DATA). Stop with Ctrl-C.'
	@exec $(BINARY) serve --listen $(LISTEN) --data $(DATA)

build: page
	@tools/need rust
	$(STEP) 'release binary' cargo build --release --locked --package roundtable-server

page: web/dist/index.html

# Only when a source changed: a new page means a new release binary.
web/dist/index.html: $(PACKAGES) $(PAGE_SOURCES)
	$(STEP) 'page' npm --prefix web run --silent build

# Node's packages, exactly as the lock file names them; again when the list changes.
$(PACKAGES): web/package.json web/package-lock.json
	@tools/need node
	$(STEP) 'node packages' npm --prefix web ci --no-audit --no-fund --loglevel=error
	@touch $@

# Cheap steps first. Clippy's artefacts are not the compiler's: it runs once, before everything is
# built once for tests and binaries together, so that no later step compiles again.
test:
	@tools/need lints node chromium
	@$(MAKE) --no-print-directory $(PACKAGES)
	$(STEP) 'format' cargo fmt --all --check
	@$(MAKE) --no-print-directory test-rust test-web test-browser
	@echo 'make test: every step passed'

test-rust:
	$(STEP) 'clippy' cargo clippy --workspace --all-targets --locked --quiet -- --deny warnings
	@$(MAKE) --no-print-directory debug
	$(STEP) 'tidy' $(TARGET)/debug/xtask tidy
	$(STEP) 'rust tests' cargo test --workspace --locked --quiet

debug:
	@tools/need rust
	$(STEP) 'compile' cargo build --workspace --all-targets --locked --quiet

test-web: $(PACKAGES)
	$(STEP) 'page types' npm --prefix web run --silent check
	$(STEP) 'page unit tests' npm --prefix web run --silent test

test-browser: page debug
	@tools/need chromium
	$(STEP) 'browser tests' npm --prefix web run --silent e2e

bench: page
	@tools/need rust python
	$(STEP) 'release builds' cargo build --release --locked --package roundtable-server --package xtask
	$(STEP) 'load' $(TARGET)/release/xtask load

dev: $(PACKAGES)
	@tools/need rust
	@cargo xtask dev

soak: page
	@tools/need rust
	$(STEP) 'release builds' cargo build --release --locked --package roundtable-server --package xtask
	$(STEP) 'simulation' $(TARGET)/release/xtask sim --seeds $(SOAK_SEEDS)
	$(STEP) 'laws' env PROPTEST_CASES=$(SOAK_CASES) cargo test --release --locked --quiet --package roundtable-core --test it laws
	$(STEP) 'context oracle' env PROPTEST_CASES=$(SOAK_CASES) cargo test --release --locked --quiet --package roundtable-core --test it context
	$(STEP) 'two servers' env RACES=$(SOAK_RACES) cargo test --release --locked --quiet --package roundtable-hub --test it over_two_managers
	$(STEP) 'revoked rights' env RACES=$(SOAK_RACES) cargo test --release --locked --quiet --package roundtable-hub --test it a_demotion_that_races
	$(STEP) 'copies of what is erased' env RACES=$(SOAK_RACES) cargo test --release --locked --quiet --package roundtable-hub --test it races::
	$(STEP) 'rubbish' env PROPTEST_CASES=$(SOAK_CASES) cargo test --release --locked --quiet --package roundtable-server --test it rubbish
	$(STEP) 'kill' $(TARGET)/release/xtask kill --rounds $(SOAK_ROUNDS)
	$(STEP) 'bad days' $(TARGET)/release/xtask kill --bad-days

clean:
	@echo 'Removing target, web/dist and web/node_modules; the data stays.'
	@rm -rf target web/dist web/node_modules
