# One image per service:  docker build --build-arg SERVICE=aggregate -t finflow-aggregate .
# Every service shares the two build stages, so the second image costs only its own link.
ARG RUST_IMAGE=rust:1.95-bookworm
ARG BASE_IMAGE=gcr.io/distroless/cc-debian12:nonroot

FROM ${RUST_IMAGE} AS build
WORKDIR /src
COPY . .
# All binaries in one go: the dependencies are compiled once, whatever SERVICE is asked for.
RUN cargo build --locked --profile dist \
    -p ingest -p aggregate -p alert -p store -p logger -p gateway \
 && mkdir /out && for s in ingest aggregate alert store logger gateway; do cp target/dist/$s /out/; done

FROM ${BASE_IMAGE}
ARG SERVICE
LABEL org.opencontainers.image.title="finflow-${SERVICE}" \
      org.opencontainers.image.description="Finflow ${SERVICE}: one stage of a market-data pipeline on Kafka" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /out/${SERVICE} /usr/local/bin/finflow-service
# Non-root by number, so that Kubernetes can check runAsNonRoot. The root file system may be read-only.
USER 65532:65532
EXPOSE 9090
ENTRYPOINT ["/usr/local/bin/finflow-service"]
