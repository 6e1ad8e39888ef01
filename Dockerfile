# One static program in an empty file system, run as nobody. `make image` builds it.
ARG RUST=1.95.0
# Of the index of rust:1.95.0-bookworm, for all platforms: a tag can be moved, this cannot. It goes with RUST; of another version
# `docker buildx imagetools inspect rust:VERSION-bookworm` tells it.
ARG RUST_DIGEST=sha256:6258907abe69656e41cd992e0b705cdcfabcbbe3db374f92ed2d47121282d4a1

FROM rust:${RUST}-bookworm@${RUST_DIGEST} AS build
ARG RUST
# The image brings the toolchain that rust-toolchain.toml names, without the components that a build does not need.
ENV RUSTUP_TOOLCHAIN=${RUST}
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    make release && install -m 755 target/release/poolbudget /poolbudget

FROM scratch
COPY --from=build /poolbudget /poolbudget
USER 65532:65532
EXPOSE 8080 9443
ENTRYPOINT ["/poolbudget"]
