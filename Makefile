# `make` alone lists what there is.

.DEFAULT_GOAL := help
TIME := 60
FEATURES := heic,svg
ROUNDS := 200
CUTS := 100
FAULTS := 120
STEPS := 10000
IMAGES := 100000
MINUTES := 30
.PHONY: help run test lint deny bench bench-libjpeg bench-peers compat fuzz faults

help: ## List the targets.
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

run: ## Build, and serve on port 8080 with the data in ./data.
	cargo run --locked --release -- --path ./data

test: ## Install what the tests need, and run all of them: those of the default build, then those of the features.
	scripts/with-test-tools cargo test --locked
	scripts/with-test-tools cargo test --locked --features $(FEATURES) --test features

lint: ## Formatting and lints, of all features; the default build is compiled by the tests.
	cargo fmt --all --check
	cargo clippy --locked --all-targets --all-features -- -D warnings

deny: ## Licences, sources and known vulnerabilities of the dependencies (needs cargo-deny and the network).
	cargo deny check

bench: ## Engines against the crates alone, where auto sends jobs, processor time a request, starts, overload (GLIMT_BENCH=quick for less).
	scripts/with-test-tools cargo bench --locked --bench engine
	scripts/with-test-tools cargo bench --locked --bench crates
	scripts/with-test-tools cargo bench --locked --bench route
	scripts/with-test-tools cargo bench --locked --bench requests
	scripts/with-test-tools cargo bench --locked --bench start
	scripts/with-test-tools cargo bench --locked --bench overload

bench-libjpeg: ## Our JPEG decoder against libjpeg-turbo's, on the JPEGs in PHOTOS (needs cmake and nasm).
	cargo run --locked --release --manifest-path benches/libjpeg/Cargo.toml -- $(PHOTOS)

bench-peers: ## Beside oximg, sharp, ipx, thumbor and nginx, on the photos in PHOTOS; installs them, 12 minutes, writes docs/peers.md (ONLY=hits or QUICK=1 write nothing).
	PHOTOS="$(PHOTOS)" scripts/bench-peers $(if $(ONLY),--only $(ONLY)) $(if $(QUICK),--quick) $(if $(ONLY)$(QUICK),,--docs)

compat: ## pict-rs-proxy and pict-rs-aggregator from crates.io, installed and driven against glimt; minutes (GLIMT_BIN=program, PHOTOS=folder, COMPAT=0.5).
	GLIMT_BIN="$(GLIMT_BIN)" PHOTOS="$(PHOTOS)" scripts/compat $(if $(COMPAT),--compat $(COMPAT))

fuzz: ## Random input, a minute for each target (TIME=60); needs cargo-fuzz. See fuzz/README.md.
	TIME=$(TIME) scripts/fuzz

faults: ## Kills, power cuts, full disks, calls that fail, a model, starts, a soak; an hour (ROUNDS CUTS FAULTS STEPS IMAGES MINUTES; GLIMT_BIN=program).
	ROUNDS=$(ROUNDS) CUTS=$(CUTS) FAULTS=$(FAULTS) STEPS=$(STEPS) IMAGES=$(IMAGES) MINUTES=$(MINUTES) \
		cargo test --locked --test faults -- --nocapture --test-threads=1
