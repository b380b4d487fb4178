# The image of the Action: one static binary, and the certificates of the web.
#
# Releases hold it ready, for amd64 and arm64 (.github/workflows/release.yml). It is made from this
# file only where the Action is used from a branch, in each job anew.

# A stripped binary does not say what it was made of: the list of parts is read from Cargo.lock.
ARG BUILDKIT_SBOM_SCAN_CONTEXT=true

FROM rust:1.94.1-slim-bookworm@sha256:cf9dd0ec73e75f827fe59123fff9dc65af1a1c8363c3c31ee8d7f8ad0b6a5fb2 AS build
WORKDIR /src
COPY . .
# With a target by name, the flags are for the binary alone: procedural macros cannot be static.
RUN target="$(rustc -vV | sed -n 's/^host: //p')" \
    && RUSTFLAGS="-C target-feature=+crt-static" cargo build --locked --release --bin mlaction --target "$target" \
    && install -D "target/$target/release/mlaction" /out/mlaction
# Under its second name it is the step that cleans up.
RUN ln -s mlaction /out/mlaction-post \
    && install -D -m 644 /etc/ssl/certs/ca-certificates.crt /out/etc/ssl/certs/ca-certificates.crt \
    && install -d -m 1777 /out/tmp

# No USER: the runner's folders belong to another user, and only root may write to all of them.
# No shell: it would drop variables with hyphens, and keep signals from the binary.
FROM scratch
LABEL org.opencontainers.image.title="mlaction" \
      org.opencontainers.image.description="Train, validate, gate and report machine-learning models from a Git repository" \
      org.opencontainers.image.source="https://github.com/mlaction/mlaction" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY --from=build /out/ /
ENTRYPOINT ["/mlaction"]
