"""How cost grows: images/s over batch, width, resolution and classes; memory of heads over classes.

    python benchmarks/scaling.py

BigGAN's networks with ReACGAN's head. Batch and classes run at the size of cifar10-small, resolution at a
small width of its own. Each case is a cycle of one D and one G step; cases of an axis take turns in one
process. Memory is that of processes of their own: of a training step at each number of classes, and of each
head alone (its part of a D step on features of a batch, with loss and gradients) at few and many classes
and samples. From the latter follows how often a head holds a number for each sample *and* class:
(growth with the batch at many classes - growth at few) / (samples x classes x 4 bytes).
"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import harness

HERE = Path(__file__)
AXES: dict[str, list[int]] = {
    "batch": [8, 16, 32, 64, 128, 256],
    "width": [8, 16, 32, 64, 96],
    "resolution": [8, 16, 32, 64, 128, 256],
    "classes": [10, 100, 1_000, 10_000],
}
# By their nature these give a number for each class and each sample.
CLASSIFIERS = ("auxiliary", "multihinge", "multilogit", "twin", "discriminative", "infogan")
HEAD_CLASSES = (10, 10_000)
HEAD_BATCHES = (64, 512)
FEATURES = 128


def trainer_at(axis: str, value: int) -> Any:
    """The trainer of one case."""
    from benchmarks.workloads import pictures, trainer_of

    import reacgan

    changes: dict[str, Any] = {"training.batch": 32}
    resolution, classes = 32, 10
    if axis == "batch":
        changes["training.batch"] = value
    elif axis == "width":
        changes |= {"model.generator.width": value, "model.backbone.width": value}
        changes["training.batch"] = 16
    elif axis == "resolution":
        resolution = value
        changes |= {"model.generator.width": 8, "model.backbone.width": 8}
        changes |= {"model.generator.latent_dim": None, "training.batch": 8}
        changes |= {"model.generator.attention_after": (), "model.backbone.attention_after": ()}
        changes["data.resolution"] = value
    else:
        classes = value
    experiment = reacgan.experiment("cifar10-small/reacgan").replace(
        **changes, **{"training.precision": "float32"}
    )
    data = pictures(max(256, classes), resolution, classes)
    return trainer_of(experiment, data, device="cpu")


def child(spec: dict[str, Any]) -> dict[str, Any]:
    """One axis, or one head, in this process."""
    from benchmarks.workloads import cycle_of

    if "head" in spec:
        return head_memory(**spec)
    if "alone" in spec:
        axis, value = spec["alone"]
        return harness.measured_alone(lambda: cycle_of(trainer_at(axis, value)), 2)

    trainers = {value: trainer_at(spec["axis"], value) for value in spec["values"]}
    ways = {str(value): cycle_of(trainer) for value, trainer in trainers.items()}
    found = harness.interleave(ways, spec["turns"])
    points = []
    for value, trainer in trainers.items():
        seconds = statistics.median(found[str(value)])
        experiment = trainer.experiment
        speed = experiment.training.batch / seconds
        pixels = (
            trainer.steps.loader.data.images.shape[2] * trainer.steps.loader.data.images.shape[3]
        )
        points.append(
            {
                "value": value,
                "seconds": round(seconds, 5),
                "images_per_second": round(speed, 2),
                "megapixels_per_second": round(speed * pixels / 1e6, 4),
            }
        )
    return {"points": points}


def head_memory(head: str, classes: int, batch: int) -> dict[str, Any]:
    """Peak memory and time of a head's part of a D step."""
    from dataclasses import replace

    import torch

    from reacgan.config import CodesConfig, component
    from reacgan.heads import HEADS, build_head

    torch.set_num_threads(1)
    codes = CodesConfig(discrete=(10,)) if HEADS[head].needs_codes else None
    built = build_head(component(head), in_features=FEATURES, num_classes=classes, codes=codes)
    features = torch.randn(2 * batch, FEATURES)
    latents = torch.randn(batch, 20)

    def step() -> None:
        labels = torch.arange(2 * batch) % classes
        inputs = features.clone().requires_grad_()
        on_real, on_fake = built(inputs, labels).split([batch, batch])
        on_fake = replace(on_fake, latents=latents)
        loss = on_real.score.mean() - on_fake.score.mean() + built.d_loss(on_real, on_fake)
        loss.backward()
        for parameter in built.parameters():
            parameter.grad = None

    found = harness.measured_alone(lambda: step, 3, warm=0)
    own = sum(held.numel() * held.element_size() for held in built.parameters())
    return {
        "head": head,
        "classes": classes,
        "batch": batch,
        "seconds": round(statistics.median(found["seconds"]), 5),
        "table_mib": round(own / 2**20, 2),
        "peak_mib": round(found["peak_beyond_imports_mib"], 1),
    }


def main() -> None:
    """Measure all axes and heads; write JSON and print tables."""
    parser = harness.options(__doc__)
    parser.add_argument("--axis", nargs="+", choices=list(AXES), default=list(AXES))
    parser.add_argument("--no-heads", action="store_true")
    given = parser.parse_args()
    if given.child:
        harness.answer(child(given.child))
        return
    axes: dict[str, Any] = {}
    for axis in given.axis:
        values = AXES[axis][:-1] if given.quick and axis != "classes" else AXES[axis]
        spec = {"axis": axis, "values": values, "turns": harness.turns_of(given)}
        axes[axis] = harness.run_child(HERE, spec)["points"]
        for point in axes[axis]:
            if axis == "classes":
                alone = harness.run_child(HERE, {"alone": [axis, point["value"]]})
                point["peak_mib"] = round(alone["peak_beyond_imports_mib"], 1)
            print(f"{axis:11}{point['value']:7,}{point['images_per_second']:10.1f} images/s")
    heads = [] if given.no_heads else measure_heads(quick=given.quick)
    harness.write("scaling", {"axes": axes, "heads": heads}, given.out)


def measure_heads(*, quick: bool) -> list[dict[str, Any]]:
    """Each head with few and many classes and samples; ``quick`` leaves out the classifiers."""
    from reacgan.heads import HEADS

    found = []
    for head in HEADS:
        if quick and head in CLASSIFIERS:
            continue
        peaks, last = {}, {}
        for classes in HEAD_CLASSES:
            for batch in HEAD_BATCHES:
                spec = {"head": head, "classes": classes, "batch": batch}
                last = harness.run_child(HERE, spec)
                peaks[classes, batch] = last["peak_mib"]
        found.append({**last, "classifier": head in CLASSIFIERS, **growth_of(peaks)})
        print(
            f"{head:20}{last['peak_mib']:8.1f} MiB, table {last['table_mib']:.1f} MiB, "
            f"{found[-1]['of_batch_times_classes']:.1f} x batch x classes"
        )
    return found


def growth_of(peaks: dict[tuple[int, int], float]) -> dict[str, float]:
    """How many numbers a head holds for each sample and class, from peaks by (classes, batch)."""
    (few, many), (small, large) = HEAD_CLASSES, HEAD_BATCHES
    grown = (peaks[many, large] - peaks[many, small]) - (peaks[few, large] - peaks[few, small])
    one = 2 * (large - small) * many * 4 / 2**20  # real and fake samples
    return {"of_batch_times_classes": round(grown / one, 2)}


if __name__ == "__main__":
    main()
