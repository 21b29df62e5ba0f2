"""Cases of benchmarks/metrics.py: one file a metric, each with ``run(...) -> dict``."""
