# One image for all processes: the command says which, such as `api`, `worker` or `migrate up`.
#
#   docker build -t overseas .
#
# docker-compose.yml runs it with a database and Redis.

# As in .github/workflows/ci.yml. The same Debian in both stages, since the binary is linked to its C library.
ARG RUST=1.95
ARG DEBIAN=bookworm

FROM rust:${RUST}-${DEBIAN} AS build
WORKDIR /src

# The dependencies, which take most of the time, are a layer of their own: it is built anew only when a manifest or
# Cargo.lock changes. Cargo wants each crate to have a source, and an empty one does.
COPY Cargo.toml Cargo.lock ./
COPY api/Cargo.toml api/
COPY cli/Cargo.toml cli/
COPY migration/Cargo.toml migration/
COPY shared/Cargo.toml shared/
COPY simulator/Cargo.toml simulator/
COPY worker/Cargo.toml worker/
RUN for crate in api migration shared simulator worker; do \
      mkdir "$crate/src" && touch "$crate/src/lib.rs" || exit 1; \
    done && \
    mkdir cli/src && echo 'fn main() {}' >cli/src/main.rs && \
    cargo build --release --locked -p overseas

COPY api api
COPY cli cli
COPY migration migration
COPY shared shared
COPY simulator simulator
COPY worker worker
# Cargo goes by the files' times, and a checkout may be older than the empty sources above.
RUN find . -name '*.rs' -not -path './target/*' -exec touch {} + && \
    cargo build --release --locked -p overseas

FROM debian:${DEBIAN}-slim

# Certificates for the vendors' and buckets' TLS; rsync for deliveries of logs. Time zones are in the binary.
# The user has a fixed number, so that volumes keep their owner from one image to the next.
RUN apt-get update && \
    apt-get install --yes --no-install-recommends ca-certificates rsync && \
    rm -rf /var/lib/apt/lists/* && \
    groupadd --gid 10001 overseas && \
    useradd --uid 10001 --gid overseas --no-create-home --home-dir /var/lib/overseas --shell /usr/sbin/nologin overseas && \
    install -d -o overseas -g overseas /var/lib/overseas /var/lib/overseas/var \
      /var/lib/overseas/var/logs /var/lib/overseas/var/log-staging

COPY --from=build /src/target/release/overseas /usr/local/bin/overseas

# By number, so that an orchestrator that refuses root can see that it is not.
USER 10001:10001
# overseas.toml is looked for here, and the defaults of logs.store and logs.staging are below it.
WORKDIR /var/lib/overseas
VOLUME ["/var/lib/overseas/var/logs", "/var/lib/overseas/var/log-staging"]

# Loopback would be the container's own.
ENV OVERSEAS__HTTP__LISTEN=0.0.0.0:8080
EXPOSE 8080

# For the API; a worker's is in docker-compose.yml. It asks whether the process answers and not whether it is ready,
# since some orchestrators replace what is unhealthy, and an API goes on taking orders while Redis is away.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
  CMD ["overseas", "health", "--url", "http://127.0.0.1:8080/healthz"]

# What is under way gets its time (http.grace_seconds, worker.grace_seconds).
STOPSIGNAL SIGTERM
ENTRYPOINT ["overseas"]
# Who names no command is told which there are, and does not get the demo.
CMD ["--help"]
