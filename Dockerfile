# The server alone, from the wheel: no TensorFlow, no compiler, no pip in its environment, not root.
#   docker build --tag cnnsvc .
#   docker run --read-only --tmpfs /tmp --publish 127.0.0.1:8500:8500 --publish 127.0.0.1:8501:8501 \
#     --volume ./models:/models:ro cnnsvc
# /opt/cnnsvc/sbom.cdx.json lists what is in it. Two more images, by --target: fetch, for `cnnsvc fetch` from an object
# store, and train-gpu, for training.
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
    && /tools/bin/pip --python /opt/cnnsvc/bin/python install --no-deps /wheels/cnnsvc-*.whl \
    && /tools/bin/cyclonedx-py environment --pyproject pyproject.toml --mc-type application --output-reproducible \
        --output-file /opt/cnnsvc/sbom.cdx.json /opt/cnnsvc/bin/python
# What serving never loads, 110 MB: other devices than the CPU, the GPU's tuned kernels, other formats than ONNX and
# OpenVINO's own, a decoder of images that are refused, headers, tests, source maps. An update that moves one of them
# fails here, and asks for another look.
WORKDIR /opt/cnnsvc/lib/python3.11/site-packages
RUN rm -r openvino/libs/libopenvino_intel_[gn]pu_plugin.so openvino/libs/cache.json \
    openvino/libs/libopenvino_[!io]*_frontend.so.* openvino/include openvino/cmake \
    numpy/tests numpy/*/tests numpy/f2py numpy/distutils PIL/_avif.*.so pillow.libs/libavif-*.so.* \
    swagger_ui_bundle/vendor/*/*.map

FROM build AS build-fetch
WORKDIR /src
COPY requirements/fetch.txt requirements/
RUN /tools/bin/pip --python /opt/cnnsvc/bin/python install --no-deps --require-hashes --requirement requirements/fetch.txt \
    && /tools/bin/cyclonedx-py environment --pyproject pyproject.toml --mc-type application --output-reproducible \
        --output-file /opt/cnnsvc/sbom.cdx.json /opt/cnnsvc/bin/python

FROM python:3.11-slim-bookworm AS fetch
COPY --from=build-fetch /opt/cnnsvc /opt/cnnsvc
ENV PATH=/opt/cnnsvc/bin:$PATH
RUN mkdir /models
USER 10001:10001
ENTRYPOINT ["cnnsvc"]
CMD ["fetch", "--help"]

FROM python:3.11-slim-bookworm AS build-train-gpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
RUN python -m venv /tools && python -m venv --without-pip /opt/cnnsvc
COPY requirements/train-gpu.txt requirements/
RUN /tools/bin/pip --python /opt/cnnsvc/bin/python install --no-deps --require-hashes --requirement requirements/train-gpu.txt
COPY --from=build /wheels /wheels
RUN /tools/bin/pip --python /opt/cnnsvc/bin/python install --no-deps /wheels/cnnsvc-*.whl

# Of CUDA it needs the driver alone, which the NVIDIA container toolkit lends; the rest comes with TensorFlow.
#   docker build --target train-gpu --tag cnnsvc-train .
#   docker run --gpus all --user "$(id -u):$(id -g)" --volume ./flowers:/flowers:ro --volume ./models:/models \
#     cnnsvc-train train /flowers --name flowers --models-dir /models
FROM python:3.11-slim-bookworm AS train-gpu
COPY --from=build-train-gpu /opt/cnnsvc /opt/cnnsvc
ENV PATH=/opt/cnnsvc/bin:$PATH NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility HOME=/tmp
RUN mkdir /models && chown 10001:10001 /models
USER 10001:10001
ENTRYPOINT ["cnnsvc"]
CMD ["train", "--help"]

# The last one, which is built where no target is named.
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
