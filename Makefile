# The front door. `make demo` and `make test` do all set-up: they need Rust, Python 3.10 or newer, and make.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.PHONY: demo test lint bench docs fuzz-check deny python help

PYTHON ?= python3
# Tools live outside the checkout, so that a fresh clone finds them again.
CACHE := $(or $(MLACTION_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/mlaction-dev)
TOOLS := $(CACHE)/python-$(shell cat tests/requirements.txt template/requirements-dev.txt template/*/requirements.txt 2>/dev/null | cksum | cut -d' ' -f1)
DENY_VERSION := 0.20.2
TARGET := $(or $(CARGO_TARGET_DIR),target)

help: ## What can be done here
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: python ## A project from nothing to a gated report, in a temporary folder
	@cargo build --locked --quiet
	bin="$$(cd "$(TARGET)/debug" && pwd)/mlaction"
	place="$$(mktemp -d)/demo"
	"$$bin" init "$$place" --quiet
	cd "$$place"
	"$$bin" train
	"$$bin" baseline set
	"$$bin" train
	echo "now with a model that sees one column only:"
	"$$bin" train --quiet --set features=body_mass_g || test $$? = 30
	echo "the project: $$place"

test: $(TOOLS)/ready ## Every test; real counterparts are set up first (tests/rig)
	@export MLACTION_CACHE="$(CACHE)"
	ended() { local status=$$?; "$$rig/check" || status=1; "$$action" down $$$$ || status=1; "$$rig/down" $$$$; exit $$status; }
	rig="$$PWD/tests/rig"
	action="$$PWD/tests/action/image"
	trap ended EXIT
	found="$$("$$rig/up" $$$$)"
	eval "$$found"
	if [[ -n "$${MLACTION_TEST_SKIP:-}" ]]; then
	  echo "SKIPPED, because there is $$MLACTION_RIG_MISSING:"
	  cargo test --locked --quiet -- --list "$$MLACTION_TEST_SKIP" | grep ': test$$' || true
	fi
	if [[ "$${MLACTION_TEST_SKIP:-}" != with_rig ]]; then
	  packed="$$("$$action" up $$$$)"
	  eval "$$packed"
	fi
	MLACTION_TEST_PYTHON="$(TOOLS)/bin/python" MLACTION_CACHE_DIR="$(CACHE)/mlaction" \
	  cargo test --locked -- $${MLACTION_TEST_SKIP:+--skip "$$MLACTION_TEST_SKIP"}
	cd template
	PYTHONDONTWRITEBYTECODE=1 "$(TOOLS)/bin/python" -m pytest -q -p no:cacheprovider
	if [[ "$${MLACTION_TEST_SKIP:-}" != with_rig ]]; then
	  for service in sagemaker github; do
	    (
	      cd "../tests/$$service"
	      PATH="$$MLACTION_TEST_TOOLS/bin:$$PATH" PYTHONDONTWRITEBYTECODE=1 "$$MLACTION_RIG_PYTHON" -m pytest
	    )
	  done
	fi

lint: deny fuzz-check ## Format, lints, documentation, dependencies
	@cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items

fuzz-check: ## The fuzz targets compile
	@cargo check --locked --manifest-path fuzz/Cargo.toml

deny: ## Licences, sources and doubles of the dependencies
	@PATH="$(CACHE)/tools/bin:$$PATH"
	if [[ "$$(cargo deny --version 2>/dev/null)" != "cargo-deny $(DENY_VERSION)" ]]; then
	  cargo install --quiet --locked --debug cargo-deny@$(DENY_VERSION) --root "$(CACHE)/tools" --target-dir "$(CACHE)/deny-target"
	  rm -rf "$(CACHE)/deny-target"
	fi
	cargo deny --locked --log-level error check bans licenses sources
	# The advisory database is a Git repository on GitHub: a machine without GitHub says so, aloud.
	if git ls-remote --exit-code https://github.com/rustsec/advisory-db HEAD >/dev/null 2>&1; then
	  cargo deny --locked check advisories
	else
	  echo "deny: advisories NOT checked: the advisory database cannot be reached from this machine"
	fi

bench: ## Measurements beside the peers (minutes); results go to benches/README.md by hand
	@benches/run

docs: $(TOOLS)/ready ## Write the generated reference pages again
	@UPDATE_REFERENCE=1 MLACTION_TEST_PYTHON="$(TOOLS)/bin/python" cargo test --locked --test it reference

python:
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "mlaction needs Python 3.10 or newer: $$("$(PYTHON)" --version)"; exit 1; }
	if ! "$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null; then
	  if [[ $$(id -u) == 0 ]] && command -v apt-get >/dev/null; then
	    apt-get update -qq && apt-get install -y -qq python3-venv
	  else
	    echo "Python's venv module is missing; on Debian and Ubuntu: sudo apt-get install python3-venv"; exit 1
	  fi
	fi

$(TOOLS)/ready: | python
	@rm -rf "$(TOOLS)"
	"$(PYTHON)" -m venv "$(TOOLS)"
	"$(TOOLS)/bin/python" -m pip install --quiet --disable-pip-version-check -r tests/requirements.txt
	touch "$@"
