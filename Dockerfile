# One file in an otherwise empty root: the static binary that deploy/build makes. Nobody is root in it, and nothing has to
# be written but /data (DATA_DIR) and /tmp (a picture while it arrives), so run it with a read-only root:
#
#   docker build -t sample-app .
#   docker run --read-only --tmpfs /tmp --cap-drop ALL -v data:/data -p 3000:3000 --env-file production.env sample-app
#
# There is no shell and so no HEALTHCHECK: whoever runs it asks /livez and /readyz.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /source
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/source/target \
    cp "$(deploy/build)" /sample-app && mkdir /data /scratch

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
# The authorities of RDS, which no system's own store has: DATABASE_CA_FILE=/etc/ssl/rds.pem
ADD --chmod=444 https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem /etc/ssl/rds.pem
COPY --from=build /sample-app /sample-app
COPY --from=build --chown=65532:65532 /data /data
COPY --from=build --chown=65532:65532 /scratch /tmp
USER 65532:65532
ENV APP_ENV=production LISTEN=0.0.0.0:3000 DATA_DIR=/data
EXPOSE 3000
VOLUME /data
ENTRYPOINT ["/sample-app"]
