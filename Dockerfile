# An image with reacgan and its page, for a CPU or for CUDA. Written by the rules of the reference, but not
# built: the machine that tests this repository has no Docker daemon. tests/documentation reads it.
#
#   docker build -t reacgan .                                      # CPU
#   docker build -t reacgan:cuda --build-arg TORCH=cu130 .         # CUDA 13; needs NVIDIA's container toolkit
#   docker run --rm -v "$PWD:/work" reacgan train --data photos/ --minutes 60
#   docker run --rm --gpus all -v "$PWD:/work" reacgan:cuda doctor
ARG PYTHON=3.12
FROM python:${PYTHON}-slim

# The folder of https://download.pytorch.org/whl that torch comes from: cpu, cu130, ...
ARG TORCH=cpu
ARG EXTRAS=plots

ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PYTHONUNBUFFERED=1 \
    REACGAN_CACHE=/cache

# torch first, in a layer of its own: it is the largest part and changes least.
RUN pip install --index-url "https://download.pytorch.org/whl/${TORCH}" "torch>=2.11"

COPY pyproject.toml README.md LICENSE NOTICE /src/
COPY licenses /src/licenses
COPY src /src/src
RUN pip install "/src[${EXTRAS}]" && rm -rf /src

RUN useradd --create-home --uid 1000 reacgan \
    && mkdir /work /cache \
    && chown reacgan /work /cache
USER reacgan
WORKDIR /work
VOLUME ["/work", "/cache"]

ENTRYPOINT ["reacgan"]
CMD ["--help"]
