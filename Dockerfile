# Clarion in a container: see docs/how-to/install.md. `docker build -t clarion .`

FROM python:3.13-slim AS build
# `extras` also has what PostgreSQL, Kafka, Redis and the other servers need: `docker build --build-arg PACKAGES=extras .`
ARG PACKAGES=core
WORKDIR /src
COPY requirements/*.txt requirements/
RUN python -m venv /opt/clarion \
    && /opt/clarion/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements/$PACKAGES.txt
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN /opt/clarion/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation . \
    && /opt/clarion/bin/pip uninstall --yes --quiet pip

FROM python:3.13-slim
RUN useradd --uid 10001 --no-create-home --home-dir /var/lib/clarion clarion \
    && install --directory --owner clarion --group clarion --mode 0700 /var/lib/clarion
COPY --from=build /opt/clarion /opt/clarion
ENV PATH=/opt/clarion/bin:$PATH \
    CLARION_HOST=0.0.0.0 \
    CLARION_DATA_DIR=/var/lib/clarion
USER clarion
WORKDIR /var/lib/clarion
VOLUME /var/lib/clarion
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/healthz', timeout=2)"]
# `migrate` creates what is missing and changes nothing else, so it may run before every start.
CMD ["sh", "-c", "clarion migrate && exec clarion serve"]
