# evenkeel: everything that a developer or CI does, by name. `make help` lists it.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
REVISION = $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
# How `make install` puts an image archive into the cluster.
LOAD_IMAGES ?= kind load image-archive
# The kind cluster of `make kind`.
KIND_CLUSTER ?= evenkeel
CARGO_DENY_VERSION := 0.20.2
CARGO_CYCLONEDX_VERSION := 0.5.9
ACTIONLINT_VERSION := v1.7.12
CARGO_FUZZ_VERSION := 0.13.2
MDBOOK_VERSION := 0.5.4
# For how long `make fuzz` runs each target.
FUZZ_SECONDS ?= 60
PROGRAMS_BUT_PROXY := --package webhook --package cli --package test-support
# The packages whose programs the demo starts: those that are shipped but the balancer, and echo-app.
PROGRAMS := --package recycling-proxy $(PROGRAMS_BUT_PROXY)

SUITE_TESTS := $(basename $(notdir $(wildcard conformance/tests/*.rs)))

# $(call need,PROGRAM,HINT) stops with a sentence where a program is missing.
need = @command -v $(1) >/dev/null || { echo "make $@: needs $(1), which is not installed: $(2)" >&2; exit 1; }

# Set if the redirect can be tested here: with nft, which lists the kernel's rules, ip, and the right to make
# namespaces.
unshare := unshare $(if $(filter 0,$(shell id -u)),,--user --map-root-user) --net true
can-redirect := $(shell command -v nft >/dev/null && command -v ip >/dev/null && $(unshare) 2>/dev/null && echo yes)

##@ First commands, with nothing but the Rust toolchain

.PHONY: demo test build
demo: ## recycling without a cluster: real webhook, proxies and clients; live bars of each pod's share
	@echo "make demo: builds four programs first, without optimisation: about three minutes on two cores with no cache"
	cargo build --locked --profile demo --bins $(PROGRAMS)
	target/demo/evenkeel demo

test: ## all tests that need no cluster
ifdef can-redirect
	cargo test --locked --workspace
else
	cargo test --locked --workspace --exclude redirect -- --skip in_pod::
	cargo test --locked --package redirect --lib
	@echo "make test: NOT TESTED: the redirect in the kernel (crates/redirect/tests, black_box/in_pod of the proxy)." >&2
	@echo "make test: these tests need nftables, iproute2, and permission to create network namespaces, as root has." >&2
endif

build: static ## all programs in target/static/, as the images hold them

##@ With Docker, podman or buildah, and a cluster

.PHONY: images install kind e2e e2e-nodes
images: target/images/proxy.tar target/images/control-plane.tar target/images/echo-app.tar ## image archives in target/images/, from static release binaries

# Every build has the same image tag, so that without a restart the pods of an earlier build would keep running.
install: images ## load the images into the cluster of KUBECONFIG by $(LOAD_IMAGES), and install the chart
	$(call need,helm,see https://helm.sh/docs/intro/install)
	$(call need,kubectl,see https://kubernetes.io/docs/tasks/tools)
	for archive in target/images/*.tar; do $(LOAD_IMAGES) "$$archive" || exit 1; done
	helm upgrade --install evenkeel charts/evenkeel --namespace evenkeel --create-namespace \
		--set webhook.image.repository=localhost/evenkeel-control-plane,webhook.image.tag=dev \
		--set proxy.image.repository=localhost/evenkeel-proxy,proxy.image.tag=dev \
		--wait --timeout 3m
	kubectl --namespace evenkeel rollout restart deployment
	kubectl --namespace evenkeel rollout status deployment --timeout 3m

kind: images ## a kind cluster with evenkeel and the sample workload of examples/
	e2e/kind/up "$(KIND_CLUSTER)"
	$(MAKE) install LOAD_IMAGES="kind load image-archive --name $(KIND_CLUSTER)"
	kubectl apply --filename examples/web.yaml
	@echo "Next: kubectl annotate deployment web evenkeel.dev/max-requests=1000"

e2e: ## the end-to-end tests: in the cluster of KUBECONFIG if it is set, else in a kind cluster of their own
	$(call need,prometheus,Debian's package is prometheus)
ifdef KUBECONFIG
	$(MAKE) install
	cargo build --locked --workspace --bin evenkeel --test cluster --test life_cycle --test e2e
	cargo test --locked --workspace --test cluster --test life_cycle
	RUST_BACKTRACE=0 cargo test --locked --workspace --test e2e -- --test-threads=1 --nocapture
else
	e2e/kind/run
endif

e2e-nodes: ## the end-to-end tests that need two nodes, in the cluster of KUBECONFIG; `make e2e` without one has them
	@test -n "$$KUBECONFIG" || { echo "make $@: KUBECONFIG is not set: it names the cluster to test in" >&2; exit 1; }
	$(MAKE) install
	RUST_BACKTRACE=0 cargo test --locked --workspace --test e2e -- --ignored --nocapture node_drain::

# Not in CI: it takes an hour, and its figures are for the documents.
# `make balance-figures BALANCE_FIGURES="--only http1 --rest 60"` is shorter.
.PHONY: balance-figures
balance-figures: ## measure balancing beside thresholds in the cluster of KUBECONFIG: tables and pictures of BALANCING.md
	@test -n "$$KUBECONFIG" || { echo "make $@: KUBECONFIG is not set: it names the cluster to measure in" >&2; exit 1; }
	$(MAKE) install
	cargo build --locked --profile tools --package cli --package e2e --bins
	target/tools/balance-figures $(BALANCE_FIGURES)

##@ Before a change is proposed

.PHONY: presubmit rust chart alerts book workflows fmt clippy doc deny generate generated bench
presubmit: rust chart alerts book workflows ## exactly what CI checks before the end-to-end tests

rust: fmt clippy test doc deny
# The Helm programs to test with: all of them must render the same.
HELM ?= helm
export HELM
chart: generated ## the chart: lint, and what it renders in many combinations of values
	$(call need,$(firstword $(HELM)),see https://helm.sh/docs/intro/install)
	for helm in $(HELM); do $$helm lint --strict charts/evenkeel || exit 1; done
	cargo test --locked --workspace --test rendered

# The alerts are tested with written series, and with the metrics of real programs in each case in which pods get no
# load. promtool checks the dashboard's queries as recording rules, with an interval in place of Grafana's variable.
alerts: ## the chart's alerts fire when they should, and Prometheus accepts the dashboard's queries
	$(call need,promtool,it comes with Prometheus; Debian's package is prometheus)
	$(call need,jq,see https://jqlang.org/download)
	promtool test rules charts/tests/alerts/*.yaml
	@mkdir -p target
	cargo test --locked --workspace --test black_box --test webhook -- --ignored no_load
	jq '[.panels[].targets[]?.expr | gsub("\\$$__rate_interval"; "5m")] | to_entries | map({record: "query:\(.key)", expr: .value}) | {groups: [{name: "dashboard", rules: .}]}' \
		charts/evenkeel/files/dashboard.json > target/dashboard-rules.json
	promtool check rules target/dashboard-rules.json

book: ## the documents as a site in target/book/, without broken links
	$(call need,mdbook,cargo install --locked mdbook --version $(MDBOOK_VERSION))
	docs/book.sh
	cargo test --locked --quiet --workspace --test documents links_of_the_site -- --ignored

workflows: ## the workflows of .github and their shell scripts have no error
	$(call need,go,see https://go.dev/dl)
	go run github.com/rhysd/actionlint/cmd/actionlint@$(ACTIONLINT_VERSION)

fmt: ## the code is formatted by rustfmt
	cargo fmt --all --check

# `--all-targets` does not include test programs with `test = false`.
clippy: ## code and tests have no clippy warning
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo clippy --locked --workspace $(addprefix --test ,e2e rendered cluster life_cycle $(SUITE_TESTS)) -- -D warnings

doc: ## the documentation builds without a warning
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --document-private-items --quiet

deny: ## licences, banned crates, duplicate versions, sources
	$(call need,cargo-deny,cargo install --locked cargo-deny --version $(CARGO_DENY_VERSION))
	cargo deny --locked check --hide-inclusion-graph bans licenses sources

# The chart's schema comes before the manifests, because Helm checks values by it.
generate: ## write the generated files anew
	UPDATE_DOCS=1 cargo test --locked --quiet --package chart-tests --test generated
	manifests/render.sh
	UPDATE_DOCS=1 cargo test --locked --quiet --package settings --test documentation
	UPDATE_DOCS=1 cargo test --locked --quiet --package recycling-proxy --lib documentation
	UPDATE_DOCS=1 cargo test --locked --quiet --package webhook --test webhook documentation
	UPDATE_DOCS=1 cargo test --locked --quiet --package cli --test demo metrics
	UPDATE_DOCS=1 cargo test --locked --quiet --package balancer --test balancer documentation
	UPDATE_GOLDEN=1 cargo test --locked --quiet --package inject --test golden

# `make test` compares the other generated files.
generated: ## the committed manifests are up to date
	manifests/render.sh --check

bench: ## side by side with nginx, HAProxy, Envoy and a byte copy: the tables of bench/RESULTS.md
	cargo run --locked --release --package bench

# Autobahn needs Python 2.7: without it, install.sh leaves it out.
SUITES := $(addprefix --test ,$(filter-out autobahn,$(SUITE_TESTS))) $$([ ! -x target/conformance/wstest ] || echo --test autobahn)
.PHONY: conformance
conformance: ## suites that others wrote, direct and through the proxy: h2spec, grpc-go interop, http-cache-tests, Autobahn
	conformance/install.sh
	cargo build --locked --workspace --bin recycling-proxy $(SUITES)
	cargo test --locked --workspace --no-fail-fast $(SUITES) -- --test-threads=1 --nocapture

.PHONY: soak soak-long soak-programs
# In a network namespace of its own: elsewhere the kernel may track connections for a firewall. After a minute or two of
# 2,000 recycles per second its table is full, and the kernel drops packets of every program.
run-soak := $(patsubst %true,%,$(unshare)) sh -c 'ip link set lo up && exec "$$@"' soak target/tools/soak
# The programs under test are those of the images. The load generator has a profile that builds quickly.
soak-programs: static
	soak/install.sh
	cargo build --locked --profile tools --package soak

# No result of these depends on the machine's speed. Latency under attack (hostile) does, and is in soak-long.
soak: soak-programs ## long runs at CI's size: real clients, rollouts, recycling; none loses a request
	$(run-soak) clients
	$(run-soak) rollouts
	$(run-soak) recycles --rate 1000

soak-long: soak-programs ## the same at full size, and hostile clients: the figures of soak/RESULTS.md
	$(run-soak) clients --requests 10000000 --time 3h
	$(run-soak) rollouts --rollouts 200
	$(run-soak) recycles --time 5m
	$(run-soak) hostile --rounds 7 --window 5s
	target/tools/soak report

# Not in CI, because a browser is larger than everything else that CI installs. SCREENSHOTS=FOLDER saves screenshots.
.PHONY: page
page: ## the balancer's page in a headless Chromium: levelling, light, dark, 200 pods, keyboard; with KUBECONFIG also in that cluster
	$(call need,chromedriver,Debian's package is chromium-driver)
	cargo test --locked --package balancer --test balancer -- --ignored --test-threads=1 browser::
ifdef KUBECONFIG
	$(MAKE) install
	cargo build --locked --workspace --bin evenkeel --test e2e
	RUST_BACKTRACE=0 cargo test --locked --workspace --test e2e -- --ignored --nocapture live_page::
endif

# Hours with the defaults: `make goaway GOAWAY="--only httpx --time 5s"` is shorter; `soak goaway --help` explains the
# flags.
.PHONY: goaway
GOAWAY ?= --record
goaway: static ## what each HTTP/2 client loses when its connection is retired: the table of CLIENTS-AND-GOAWAY.md
	soak/clients/http2/install.sh
	cargo build --locked --profile tools --package soak
	$(run-soak) goaway $(GOAWAY)

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZ_SECONDS (default 60); fails if one finds an input
	$(call need,cargo-fuzz,cargo install --locked cargo-fuzz --version $(CARGO_FUZZ_VERSION))
	fuzz/run $(FUZZ_SECONDS)

##@ Below the others

# Static binaries with glibc linked in, so that they run in an image FROM scratch. The explicit target keeps the flags
# away from build scripts and procedural macros, which cannot be static. The proxy is built by a call of its own:
# otherwise Cargo would give it every feature of a library that another program uses, and the proxy's size counts in
# each pod.
STATIC_TARGET := $(shell uname -m)-unknown-linux-gnu
STATIC_BINARIES := recycling-proxy evenkeel-webhook evenkeel-balancer evenkeel echo-app
build-static = cargo build --locked --release --bins --target $(STATIC_TARGET)
# Position-independent programs apply a table of relative relocations at their start. It takes 142 KiB, and 2 KiB if it
# is packed (DT_RELR). glibc reads packed tables since 2.36; a program with an older one would crash at its start. Not
# every linker for other machines than x86-64 packs the table.
LIBC := $(shell getconf GNU_LIBC_VERSION 2>/dev/null)
ifeq ($(filter x86_64-%,$(STATIC_TARGET)) $(shell printf 'glibc 2.36\n$(LIBC)\n' | sort --version-sort | head -n 1),$(STATIC_TARGET) glibc 2.36)
PACKED_RELOCATIONS := -C link-arg=-Wl,-z,pack-relative-relocs
endif

.PHONY: static help
static: export RUSTFLAGS := -C target-feature=+crt-static $(PACKED_RELOCATIONS)
static: ## static release binaries in target/static/: what the images hold
	$(if $(filter recycling-proxy,$(STATIC_BINARIES)),$(build-static) --package recycling-proxy)
	$(if $(filter-out recycling-proxy,$(STATIC_BINARIES)),$(build-static) $(PROGRAMS_BUT_PROXY) --package balancer)
	mkdir -p target/static
	for binary in $(STATIC_BINARIES); do \
		cmp --silent target/$(STATIC_TARGET)/release/$$binary target/static/$$binary || \
		cp target/$(STATIC_TARGET)/release/$$binary target/static/$$binary || exit 1; \
		target/static/$$binary --help >/dev/null || \
			{ echo "make $@: $$binary does not start" >&2; exit 1; }; \
	done

# The same for the same commit: with the commit's time, and without paths of this machine.
.PHONY: sbom
sbom: ## a CycloneDX SBOM of each shipped program in target/sbom/
	$(call need,cargo-cyclonedx,cargo install --locked cargo-cyclonedx --version $(CARGO_CYCLONEDX_VERSION))
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) cargo cyclonedx --format json --spec-version 1.5 --describe binaries \
		--no-build-deps --target $(STATIC_TARGET) --quiet
	mkdir -p target/sbom
	for binary in recycling-proxy evenkeel-webhook evenkeel-balancer evenkeel; do \
		sed 's|path+file://$(CURDIR)|path+file:///evenkeel|g' crates/*/$${binary}_bin.cdx.json > target/sbom/$$binary.cdx.json || exit 1; \
	done
	find . -path ./target -prune -o -name '*_bin.cdx.json' -exec rm {} +

# The first engine whose `info` succeeds: a docker client without a daemon does not count.
ENGINE ?= $(firstword $(foreach engine,docker podman buildah,$(shell $(engine) info >/dev/null 2>&1 && echo $(engine))))
# $(call save-ENGINE,ARCHIVE,IMAGE)
save-docker = docker save --output $(1) $(2)
save-podman = podman save --quiet --output $(1) $(2)
save-buildah = buildah push --quiet $(2) docker-archive:$(1):$(2)
# On Linux the binaries are built outside of the engine, where cargo's cache is; on other systems in the stage `build`.
ifeq ($(shell uname -s),Linux)
IMAGE_BINARIES := static
IMAGE_CONTEXT := --build-context build=target/static target/static
else
IMAGE_CONTEXT := .
endif

target/images/%.tar: $(IMAGE_BINARIES) Dockerfile
	@test -n "$(ENGINE)" || { echo "make $@: needs docker (running), podman or buildah, and found none" >&2; exit 1; }
	@mkdir -p $(@D)
	$(ENGINE) build --quiet --file Dockerfile --target $* --tag localhost/evenkeel-$*:dev \
		--build-arg VERSION=$(VERSION) --build-arg REVISION=$(REVISION) $(IMAGE_CONTEXT)
	rm -f $@
	$(call save-$(notdir $(ENGINE)),$@,localhost/evenkeel-$*:dev)

help: ## this list
	@awk 'BEGIN { FS = ":.*## " } /^##@ / { printf "\n%s\n", substr($$0, 5) } /^[a-z0-9-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
