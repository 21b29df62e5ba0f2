"""Batches on which the conditional losses are checked, and the formulas as slow loops."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

GOLDEN: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "golden_conditional_losses.json").read_text(encoding="utf-8")
)

# Six unit embeddings of three classes, and the unit axes as class vectors.
SIX = torch.tensor(
    [[1, 0, 0], [0.8, 0.6, 0], [0, 1, 0], [0, 0.6, -0.8], [0, 0, 1], [-0.6, 0, 0.8]],
    dtype=torch.float64,
)
AXES = torch.eye(3, dtype=torch.float64)
PAIRED = torch.tensor([0, 0, 1, 1, 2, 2])


def golden_batch(case: dict[str, Any]) -> tuple[Tensor, Tensor, Tensor]:
    features = torch.tensor(case["features"], dtype=torch.float64)
    vectors = torch.tensor(case["class_vectors"], dtype=torch.float64)
    return features, vectors, torch.tensor(case["labels"])


def random_batch(
    count: int = 7, classes: int = 3, width: int = 5, seed: int = 0, dtype: Any = torch.float64
) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(count, width, generator=generator, dtype=torch.float64).to(dtype)
    vectors = torch.randn(classes, width, generator=generator, dtype=torch.float64).to(dtype)
    labels = torch.randint(classes, (count,), generator=generator)
    return features, vectors, labels


@st.composite
def hostile_batches(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor]:
    """Few samples and classes; rows repeated, opposite, zero, tiny or huge; several precisions."""
    dtype = draw(st.sampled_from([torch.float32, torch.float64, torch.bfloat16, torch.float16]))
    count, classes = draw(st.integers(1, 6)), draw(st.integers(1, 3))
    features, vectors, labels = random_batch(count, classes, 4, draw(st.integers(0, 99)))
    largest = 1e4 if dtype == torch.float16 else 1e30
    scales = st.sampled_from([0.0, 1e-30, 1e-7, 1.0, -1.0, largest])
    same = draw(st.booleans())
    rows = features[:1].expand_as(features) if same else features
    scaled = rows * torch.tensor([[draw(scales)] for _ in range(count)])
    vectors = vectors * torch.tensor([[draw(scales)] for _ in range(classes)])
    if draw(st.booleans()):
        labels = torch.zeros_like(labels)
    return scaled.to(dtype), vectors.to(dtype), labels


def cosine(left: Tensor, right: Tensor) -> float:
    dot = sum(a * b for a, b in zip(left.tolist(), right.tolist(), strict=True))
    return dot / (math.hypot(*left.tolist()) * math.hypot(*right.tolist()))


def slow_d2dce(
    batch: tuple[Tensor, Tensor, Tensor], temperature: float, margin: float, form: str
) -> float:
    features, vectors, labels = batch
    y = labels.tolist()
    total = 0.0
    for i in range(len(y)):
        others = [j for j in range(len(y)) if j != i]
        to_class = cosine(features[i], vectors[y[i]])
        attraction = math.exp(min(to_class - margin, 0) / temperature)
        near = {j: (cosine(features[i], features[j]) - (1 - margin)) / temperature for j in others}
        shift = max(near.values(), default=0.0) if form == "released" else 0.0
        repulsion = sum(math.exp(max(near[j], 0) - shift) for j in others if y[j] != y[i])
        total -= math.log(attraction / (attraction + repulsion))
    return total / len(y)


def slow_2c(batch: tuple[Tensor, Tensor, Tensor], temperature: float) -> float:
    features, vectors, labels = batch
    y = labels.tolist()
    total = 0.0
    for i in range(len(y)):
        above = below = math.exp(cosine(features[i], vectors[y[i]]) / temperature)
        for j in range(len(y)):
            if j != i:
                term = math.exp(cosine(features[i], features[j]) / temperature)
                below += term
                above += term if y[j] == y[i] else 0.0
        total -= math.log(above / below)
    return total / len(y)
