# The server alone, from the wheel: no TensorFlow, no compiler, no pip in its environment, not root.
#   docker build --tag cnnsvc .
#   docker run --publish 127.0.0.1:8500:8500 --publish 127.0.0.1:8501:8501 --volume ./models:/models:ro cnnsvc
FROM python:3.11-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
RUN python -m venv /tools && python -m venv --without-pip /opt/cnnsvc
# The locked packages come first: they stay cached until a lock changes.
COPY requirements/build.txt requirements/serve.txt requirements/
RUN /tools/bin/pip install --no-deps --require-hashes --requirement requirements/build.txt \
    && /tools/bin/pip --python /opt/cnnsvc/bin/python install --no-deps --require-hashes --requirement requirements/serve.txt
COPY pyproject.toml README.md LICENSE ./
COPY cnnsvc cnnsvc/
COPY service service/
COPY training training/
RUN /tools/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
    && /tools/bin/pip --python /opt/cnnsvc/bin/python install --no-deps /wheels/cnnsvc-*.whl

FROM python:3.11-slim-bookworm
COPY --from=build /opt/cnnsvc /opt/cnnsvc
# Inside a container its own loopback is of no use; what is published decides who reaches it.
ENV PATH=/opt/cnnsvc/bin:$PATH CNNSVC_HOST=0.0.0.0
RUN mkdir /models
# A number, so that Kubernetes can see that it is not root. It needs no home and writes nothing.
USER 10001:10001
EXPOSE 8500 8501
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["cnnsvc", "health"]
ENTRYPOINT ["cnnsvc"]
CMD ["serve", "--models-dir", "/models"]
