# One image per service, and one of the command line:  make images
#   docker build --target service --build-arg SERVICE=aggregate -t finflow-aggregate .
# All of them share the stages above `service`, so the second image costs a copy.
ARG RUST_IMAGE=rust:1.95-bookworm
ARG BASE_IMAGE=gcr.io/distroless/cc-debian12:nonroot

# The manifests with empty sources: this stage's files change only when the dependencies do, so that the next one is cached.
FROM ${RUST_IMAGE} AS manifests
WORKDIR /src
COPY . .
RUN sh deploy/images/manifests.sh /manifests

FROM ${RUST_IMAGE} AS dependencies
# zlib goes into the binaries: the base image has none.
ENV LIBZ_SYS_STATIC=1 CARGO_INCREMENTAL=0
WORKDIR /src
COPY --from=manifests /manifests .
RUN cargo build --locked --profile dist \
    -p ingest -p aggregate -p alert -p store -p logger -p gateway -p finflow

FROM dependencies AS build
COPY . .
# The empty sources were built later than these were written: without `touch` cargo would take them for unchanged.
RUN find crates services -name '*.rs' -exec touch {} + \
 && cargo build --locked --profile dist \
    -p ingest -p aggregate -p alert -p store -p logger -p gateway -p finflow
RUN for s in ingest aggregate alert store logger gateway finflow; do \
      mkdir -p /out/$s/usr/local/bin /out/$s/usr/share/sbom && cp target/dist/$s /out/$s/usr/local/bin/finflow-service \
      && sh deploy/images/sbom.sh $s > /out/$s/usr/share/sbom/finflow.spdx.json || exit 1; \
    done

FROM ${BASE_IMAGE} AS service
ARG SERVICE
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="finflow-${SERVICE}" \
      org.opencontainers.image.description="Finflow ${SERVICE}: a part of a market-data pipeline on Kafka" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /out/${SERVICE}/ /
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
# Non-root by number, so that Kubernetes can check runAsNonRoot. Nothing is written: the root file system may be read-only.
USER 65532:65532
WORKDIR /tmp
EXPOSE 9090
ENTRYPOINT ["/usr/local/bin/finflow-service"]
