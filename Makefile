# Verbs of this project. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
SERVICES := ingest aggregate alert store logger gateway
CARGO ?= cargo
# Set KAFKA=host:port or S3=http://host:port to use real ones instead of the embedded parts.
UP_FLAGS := $(if $(KAFKA),--brokers $(KAFKA)) $(if $(S3),--s3-endpoint $(S3)) $(if $(FEED),--feed $(FEED)) $(if $(SPEED),--speed $(SPEED))

.PHONY: help
help: ## Show this list
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## /{printf "  \033[1m%-16s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: ## Build, then run the whole pipeline on this machine with recorded real trades; the page is at http://127.0.0.1:8080
	$(CARGO) run --release --locked -p finflow -- up $(UP_FLAGS) $(ARGS)

.PHONY: build
build: ## Build every binary (release); the SQL engine of `finflow query` is apart: make query
	$(CARGO) build --release --locked --bins

.PHONY: query
query: ## Build finflow-query, the SQL engine that `finflow query` runs (release; some minutes)
	$(CARGO) build --release --locked -p finflow-query

.PHONY: test
test: ## Run every test that needs nothing but this machine
	CARGO="$(CARGO)" .ci/test

.PHONY: test-real
test-real: ## Run the conformance suite and the end-to-end tests on Apache Kafka and MinIO (needs ../shared/stack)
	.ci/real

# Where the rest is compiled, the engine takes another three and a half minutes on two cores, and its tests a quarter of one: neither
# `build` nor `test` waits for it.
.PHONY: test-query
test-query: ## Run the tests of the SQL engine and of every named query, and its lints
	$(CARGO) test --locked -p finflow-query
	$(CARGO) clippy --locked -p finflow-query --no-deps --all-targets -- -D warnings

.PHONY: test-chart
test-chart: ## Check the Helm chart and the alert rules, without a cluster (helm; promtool of ../shared/stack)
	.ci/chart

.PHONY: test-manifests
test-manifests: ## Have a real API server judge everything that the chart and deploy/strimzi make (dry run)
	deploy/e2e/matrix.sh

.PHONY: images
images: ## Build one image per service and print their sizes (docker, podman or buildah; BASES=local without a registry)
	deploy/images/build.sh

.PHONY: e2e-kubernetes
e2e-kubernetes: ## Install, load, scale, kill, upgrade and uninstall Finflow on a real Kubernetes
	deploy/e2e/run.sh

.PHONY: soak-kubernetes
soak-kubernetes: ## The same with fifty rolling restarts and kills under ten minutes of load
	E2E_RESTARTS=50 E2E_SECONDS=600 deploy/e2e/run.sh

.PHONY: e2e-acl
e2e-acl: ## Every stage on a Kafka with TLS, SCRAM and ACLs, each with just its rights (needs ../shared/stack)
	deploy/e2e/acl.sh

.PHONY: e2e-trino
e2e-trino: ## Query what the pipeline stored and cataloged with Trino (needs ../shared/stack)
	.ci/trino

.PHONY: lint
lint: ## Check format and lints
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --all-targets -- -D warnings

.PHONY: fmt
fmt: ## Format the code
	$(CARGO) fmt --all

.PHONY: check
check: lint test ## Everything CI runs besides the real parts

.PHONY: clean-state
clean-state: ## Forget what `make run` stored
	rm -rf state

.PHONY: mutants
mutants: ## Break one guarded line at a time and see its test fail
	.ci/mutants

.PHONY: mutants-query
mutants-query: ## The same for the SQL engine
	.ci/mutants --query

.PHONY: soak-outage
soak-outage: ## A broker and an S3 that are away for a minute in the middle of a run
	FINFLOW_TEST_OUTAGE_SECONDS=60 $(CARGO) test --locked -p finflow --test it faults

.PHONY: soak-simulation
soak-simulation: ## A hundred thousand simulated histories of the transactional loop, and as many of the aggregator (half an hour)
	FINFLOW_SIM_HISTORIES=100000 $(CARGO) test --locked -p streams --test it simulation -- --nocapture
	FINFLOW_SIM_HISTORIES=50000 $(CARGO) test --locked -p aggregate --lib simulation -- --nocapture

.PHONY: soak-lake
soak-lake: ## The model of the store's protocol until its small worlds are exhausted, and long random walks (half an hour)
	FINFLOW_MODEL_STATES=$(or $(STATES),1000000) FINFLOW_MODEL_WALKS=20000 $(CARGO) test --locked -p lake --test it model -- --nocapture

.PHONY: soak-aggregate
soak-aggregate: ## A hundred kills of aggregators under load on Apache Kafka, with one and with three brokers (needs ../shared/stack)
	.ci/soak-aggregate $(KILLS)

.PHONY: soak-store
soak-store: ## Two hundred kills of stores under load at an S3 with trouble, on Apache Kafka and MinIO (needs ../shared/stack)
	.ci/soak-store $(KILLS)

.PHONY: bench
bench: ## CPU, rate, memory and latency of the aggregator next to the floor, and to PEERS="flink-eos streams-eos" if wished (needs ../shared/bench)
	bench/aggregate.sh $(or $(ROUNDS),3) $(PEERS)
	STREAMS=0 bench/latency.sh 5000 20

.PHONY: bench-store
bench-store: ## CPU, rate and memory of the store next to the storage floor (needs ../shared/bench)
	bench/store.sh $(or $(ROUNDS),3)

.PHONY: bench-ingest
bench-ingest: ## CPU and rate of reading a recording and a venue, next to the floor of each (needs ../shared/bench and ../shared/data)
	bench/ingest.sh $(or $(ROUNDS),3) $(VENUES)

.PHONY: bench-latency
bench-latency: ## Produce to visible at 5,000 messages/s beside Kafka Streams, and what the commit interval trades (needs ../shared/bench)
	bench/latency.sh 5000 40 $(or $(INTERVALS),20ms 100ms)

.PHONY: bench-restore
bench-restore: ## Time to read back the state of 10,000 symbols with five windows (needs ../shared/bench)
	bench/restore.sh

.PHONY: soak-load
soak-load: ## 500 symbols at 20,000 messages/s for ten minutes on one core, Kafka away for two of them (needs ../shared/stack)
	.ci/soak-load

.PHONY: soak-feeds
soak-feeds: ## A thousand seeded histories of disconnects per live venue (a quarter of an hour)
	FINFLOW_TEST_HISTORIES=1000 $(CARGO) test --locked -p ingest --test it histories_of -- --nocapture
