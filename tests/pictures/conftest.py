from sampling.conftest import untrained  # noqa: F401
