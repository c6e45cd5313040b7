# The verbs of the house; `make help` lists them. A fresh Debian 12 needs git, make and python3 with venv, and root once.

PYTHON ?= python3
PORT ?= 9998
ARGS ?=
VENV ?= .venv
LIBRARIES := wsd/uses/lib/LICENSES.txt

export PYTHONPATH := $(CURDIR)
# Without bytecode, each process that a target starts would compile the tree and the tests again.
unexport PYTHONDONTWRITEBYTECODE
export PATH := $(PATH):/usr/local/sbin:/usr/sbin:/sbin

.DELETE_ON_ERROR:
.PHONY: help run test test-all audit check conformance conformance-short asan fuzz mutants bench bench-blob bench-canvas bench-soap bench-handlers bench-topics bench-yjs bench-uses bench-workers bench-xmpp man soak soak-table clean programs

help:  ## this list
	@sed -nE 's/^([a-z-]+):[^#]*## /\1\t/p' Makefile | expand -t 20

run: $(VENV)/run $(VENV)/fast $(LIBRARIES)  ## serve on PORT (9998), with ARGS="--tls-self-signed ..." if you like
	$(VENV)/bin/python -m wsd serve --port $(PORT) $(ARGS)

test: $(VENV)/test $(VENV)/fast tests/node_modules $(LIBRARIES)  ## every test; ARGS="-k name" for some
	$(VENV)/bin/python -m pytest -n auto --dist loadfile --no-loadscope-reorder $(ARGS)

test-all:  ## every test with each Python there is, and under the asyncio reactor
	tools/test-all

audit: $(VENV)/test  ## known vulnerabilities of the installed libraries
	$(VENV)/bin/python tools/audit.py

check: $(VENV)/test audit  ## style, types, architecture, known vulnerabilities
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/python -m pytest -q tests/test_architecture.py

conformance: $(VENV)/test $(VENV)/fast  ## the Autobahn suite, all 517 cases on each plane, and its groups 1 to 10 over TLS; half an hour
	$(VENV)/bin/python -m tests.conformance $(ARGS)

conformance-short: $(VENV)/test $(VENV)/fast  ## three minutes' part of it
	$(VENV)/bin/python -m tests.conformance --short $(ARGS)

asan: $(VENV)/test $(VENV)/fast  ## test the compiled modules with AddressSanitizer, with frames cut at any byte; ARGS="--seconds 600"
	VENV=$(VENV) tools/asan $(ARGS)

fuzz: $(VENV)/test $(VENV)/fast  ## coverage-guided fuzzing of what reads bytes from strangers, a minute a target; ARGS="head frames --seconds 3600 --seed 1"
	$(VENV)/bin/python -m tests.fuzz $(ARGS)

mutants: $(VENV)/test $(VENV)/fast  ## change the source in a hundred places, one at a time: which changes no test notices; ARGS="--seed 2 --only head"
	$(VENV)/bin/python tools/mutants.py $(ARGS)

bench: $(VENV)/test $(VENV)/fast  ## what messages, connections and handshakes cost beside its peers; ARGS="--quick --only 'wss 32 B x100'"
	$(VENV)/bin/python -m tests.bench $(ARGS)

bench-blob: $(VENV)/test $(VENV)/fast  ## what an upload of a gibibyte costs beside `websockets` and a plain program; ARGS="--rounds 5"
	$(VENV)/bin/python -m tests.bench.blob $(ARGS)

bench-canvas: $(VENV)/test $(VENV)/fast  ## 30 pictures a second to 50 viewers, beside one who does not read; ARGS="--seconds 60"
	$(VENV)/bin/python -m tests.bench.canvas $(ARGS)

bench-soap: $(VENV)/test $(VENV)/fast  ## what a validated call of 1 KiB costs, beside Spyne and npm's soap over HTTP; ARGS="--rounds 5"
	$(VENV)/bin/python -m tests.bench.soap $(ARGS)

bench-handlers: $(VENV)/test $(VENV)/fast  ## what a message costs pywebsocket handlers, beside the old server; 10,000 of them; ARGS="--rounds 9"
	$(VENV)/bin/python -m tests.bench.pywebsocket $(ARGS)

bench-topics: $(VENV)/test $(VENV)/fast  ## topics: fan-out beside its peers, 10,000 subscribers, filters, publishes; ARGS="crowd --rounds 3"
	$(VENV)/bin/python -m tests.bench.topics $(ARGS)

bench-yjs: $(VENV)/test $(VENV)/fast tests/node_modules  ## documents: 1,000 updates a second from 20 clients, the memory of 100 documents
	$(VENV)/bin/python -m tests.bench.yjs $(ARGS)

bench-uses: $(VENV)/test $(VENV)/fast  ## what the pages of uses cost the daemon with 100 users each; ARGS="game map --seconds 60"
	$(VENV)/bin/python -m tests.bench.uses $(ARGS)

bench-workers: $(VENV)/test $(VENV)/fast  ## two workers beside one: messages, handshakes, shared routes through another worker
	$(VENV)/bin/python -m tests.bench.workers $(ARGS)

bench-xmpp: $(VENV)/test $(VENV)/fast  ## messages of a chat beside Prosody, 5,000 sessions, logins under attack; ARGS="--sessions 1000"
	$(VENV)/bin/python -m tests.bench.xmpp $(ARGS)

man: $(VENV)/run  ## write the manual pages in man/ anew: wsd(1) from the commands' help, wsd.toml(5) from conf/wsd.toml
	$(VENV)/bin/python tools/manual.py

soak: $(VENV)/test $(VENV)/fast  ## many hours: attacks, a crowd, a mixed day, faults, kills, upgrades, models, and one table of what was measured and whether it held
	$(VENV)/bin/python -m tests.soak $(ARGS)

soak-table: $(VENV)/test $(VENV)/fast  ## the part of it that takes an hour; ARGS="--only crowd day --write" for some rows, put into docs/soak.md
	$(VENV)/bin/python -m tests.soak --only attacks crowd day faults $(ARGS)

clean:  ## removes whatever these verbs made
	rm -rf .venv .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist *.egg-info tests/node_modules wsd/uses/lib
	find . -name __pycache__ -prune -exec rm -rf {} +
	rm -f twisted/plugins/dropin.cache wsd/*.so wsd/*/*.so wsd/protocols/soap/encodings/*.so

# The project itself is not installed (docs/development.md says why): its requirements are, and PYTHONPATH names the tree.
define require
	$(VENV)/bin/python tools/requirements.py $(1) > $(VENV)/requirements.txt
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r $(VENV)/requirements.txt
	$(VENV)/bin/python -c "from twisted.plugin import IPlugin, getPlugins; list(getPlugins(IPlugin))"
	touch $@
endef

$(VENV)/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "wsd needs Python 3.11 or newer: make PYTHON=python3.11 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "missing: venv; get it with: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/run: setup.cfg pyproject.toml tools/requirements.py | $(VENV)/pyvenv.cfg
	$(call require,build canvas xmpp topics yjs fast)

# The compiled plane, where there is a compiler.
$(VENV)/fast: setup.py pyproject.toml wsd/_head.pyx $(wildcard wsd/*/*.pyx wsd/*/*.pxd wsd/*/*.h) wsd/protocols/soap/encodings/_nbfx.pyx wsd/listen/records.py wsd/listen/sealing.py wsd/listen/secure.py | $(VENV)/run
	@! command -v cc >/dev/null || $(VENV)/bin/python setup.py --quiet build_ext --inplace
	@if $(VENV)/bin/python -c "import wsd._head, wsd.frames._fast, wsd.listen._turn, wsd.protocols.soap.encodings._nbfx" 2>/dev/null; then touch $@; else echo "not compiled: frames are read in Python"; fi

# The libraries from npm of the pages of uses, where there is npm.
$(LIBRARIES): wsd/uses/package.json wsd/uses/package-lock.json $(wildcard wsd/uses/bundle/*)
	@if ! command -v npm >/dev/null; then echo "no npm: some pages at /uses/ lack their libraries"; \
	else node wsd/uses/bundle/bundle.mjs || echo "npm failed: some pages at /uses/ lack their libraries"; fi

programs:
	@tools/need

$(VENV)/test: setup.cfg pyproject.toml tools/requirements.py | programs $(VENV)/run
	$(call require,build all test)

tests/node_modules: tests/package.json | programs
	npm install --prefix tests --no-package-lock --no-audit --no-fund --silent
	touch $@
