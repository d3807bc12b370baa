# The images of evenkeel. The last three stages hold one to three static binaries each and nothing else: no shell, no
# libc, a numeric user.
#
#   docker build --target proxy --tag recycling-proxy .
#
# `make images` builds the same stages from binaries that were built outside, by the same `make static`: it replaces
# the stage `build` with a folder (--build-context build=FOLDER).

FROM docker.io/library/rust:1.95.0-bookworm AS build
# The image's own toolchain, which is that of rust-toolchain.toml without the lints' and the formatter's.
ENV RUSTUP_TOOLCHAIN=1.95.0
WORKDIR /src
COPY . .
RUN make static && cp target/static/* /

FROM scratch AS proxy
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="recycling-proxy" \
      org.opencontainers.image.description="The sidecar of evenkeel: counts requests per client connection and retires connections" \
      org.opencontainers.image.source="https://github.com/evenkeel/evenkeel" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
COPY --from=build /recycling-proxy /recycling-proxy
# settings::PROXY_USER; the injected containers name it again.
USER 15210:15210
ENTRYPOINT ["/recycling-proxy"]

FROM scratch AS control-plane
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="evenkeel control plane" \
      org.opencontainers.image.description="The admission webhook, the balancer and the command line of evenkeel" \
      org.opencontainers.image.source="https://github.com/evenkeel/evenkeel" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
COPY --from=build /evenkeel-webhook /evenkeel-balancer /evenkeel /
USER 65532:65532
ENTRYPOINT ["/evenkeel-webhook"]

# For examples and tests; never published.
FROM scratch AS echo-app
LABEL org.opencontainers.image.title="echo-app" \
      org.opencontainers.image.description="A small HTTP server to try evenkeel with" \
      org.opencontainers.image.source="https://github.com/evenkeel/evenkeel" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /echo-app /echo-app
USER 65532:65532
ENTRYPOINT ["/echo-app"]
