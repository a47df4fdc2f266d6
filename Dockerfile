# syntax=docker/dockerfile:1
# One image for every service: `docker build --target cpu -t headrace:cpu .`, or `--target cuda` for workers with GPUs.
FROM python:3.11-slim-bookworm AS base
RUN apt-get update \
    && apt-get install --yes --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --user-group --home-dir /var/lib/headrace --create-home --shell /usr/sbin/nologin headrace
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /app

# Dependencies in layers of their own: they change less often than the code. The editable install only points to /app.
FROM base AS dependencies
RUN python -m venv /opt/venv
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY pyproject.toml constraints.txt README.md LICENSE ./

FROM dependencies AS dependencies-cpu
# PyTorch without CUDA: a tenth of the size.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN pip install --index-url "$TORCH_INDEX" "torch==$(sed -n 's/^torch==//p' constraints.txt)"
RUN pip install --constraint constraints.txt --editable '.[services]'

FROM dependencies AS dependencies-cuda
# This PyTorch brings its CUDA libraries; the driver comes from the host.
RUN pip install "torch==$(sed -n 's/^torch==//p' constraints.txt)"
RUN pip install --constraint constraints.txt --editable '.[services,gpu]'

FROM base AS app
COPY headrace headrace
COPY registry registry
COPY api api
COPY workers workers
COPY scheduler scheduler
COPY deploy deploy
ENV HEADRACE_DATA_DIR=/var/lib/headrace
USER headrace
ENTRYPOINT ["tini", "--"]
CMD ["python", "-m", "api"]

FROM app AS cuda
# nvidia-smi (utility) tells workers which GPUs there are.
ENV NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=dependencies-cuda /opt/venv /opt/venv

FROM app AS cpu
COPY --from=dependencies-cpu /opt/venv /opt/venv
