"""Gradients and probabilities of the conditioning loss: the paper's diagnosis of ACGAN.

Kang, Shim, Cho, Park (NeurIPS 2021), section 3.1 and figure 2: early in training the classifier's gradient
grows with the length of its input, while the probability of the true class is low. A diagnosis measures
both on the next batch of D. It is a pure function of the state: it changes no weight, no statistic
and no power iteration, and uses the batch and latents of the next step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from reacgan import distributed
from reacgan.heads import Head, HeadOutput
from reacgan.models import power_iteration_frozen
from reacgan.tensors import widened
from reacgan.training.step.builder import StepBuilder
from reacgan.training.step.losses import images_for_discriminator
from reacgan.training.step.work import Labelled


def diagnose(steps: StepBuilder) -> dict[str, float]:
    """Measure on the next batch of D, over all its parts and processes.

    - ``classifier_gradient``: length of the gradient of the conditioning loss with respect to the
      parameters of the head;
    - ``feature_gradient``: mean length of its gradient with respect to a real image's features, times
      the number of images, so that it does not depend on the batch size;
    - ``feature_norm``: mean length of a real image's features, before any normalisation;
    - ``true_class``: mean probability of a real image's class
      (:meth:`reacgan.heads.Head.class_logits`);
    - ``right``: share of real images whose class is the most probable.

    The last two need a head with class logits; the gradients need a conditioning loss.
    """
    head = steps.state.discriminator.head
    on_real, on_fake, latents = _features(steps)
    parameters = [weight for weight in head.parameters() if weight.is_floating_point()]
    required = [weight.requires_grad for weight in parameters]
    try:
        for weight in parameters:
            weight.requires_grad_(True)
        head.eval()
        features = on_real[0].requires_grad_(True)
        pairs = zip(on_real, on_fake, strict=True)
        both: HeadOutput = head(*(torch.cat(pair) for pair in pairs))
        real, fake = both.split([len(features), len(on_fake[0])])
        loss = head.d_loss(real, replace(fake, latents=latents))
        values = _gradients(loss, features, parameters)
    finally:
        head.train()
        for weight, before in zip(parameters, required, strict=True):
            weight.requires_grad_(before)
    values["feature_norm"] = float(features.detach().norm(dim=1).mean())
    values.update(_class_probability(head, real))
    return {name: _over_processes(value, features.device) for name, value in values.items()}


def _features(steps: StepBuilder) -> tuple[Labelled, Labelled, Tensor]:
    """Features [N, F] and labels of real and fake images, and z, of the next batch."""
    work, engine = steps.discriminator(), steps.engine
    generator, discriminator = steps.state.generator, steps.state.discriminator
    count = len(work.contexts)
    halves = (half.chunk(count) for half in steps.real())
    collected: list[tuple[Tensor, ...]] = []
    for context, images, labels, latents in zip(work.contexts, *halves, work.latents, strict=True):
        with engine.autocast(), power_iteration_frozen(generator):
            seen = images_for_discriminator(context, images, labels, latents)
        if seen.real is None or seen.labels is None:
            raise RuntimeError("D's step needs real images")
        discriminator.eval()
        try:
            with torch.no_grad(), engine.autocast():
                real = discriminator.backbone(seen.real).to(engine.dtype)
                fake = discriminator.backbone(seen.fake).to(engine.dtype)
        finally:
            discriminator.train()
        collected.append((real, seen.labels, fake, seen.fake_labels, seen.z.detach()))
    real, labels, fake, fake_labels, z = map(torch.cat, zip(*collected, strict=True))
    return (real, labels), (fake, fake_labels), z


def _gradients(loss: Tensor, features: Tensor, parameters: Sequence[Tensor]) -> dict[str, float]:
    if not loss.requires_grad:
        return {}
    wanted = [features, *parameters]
    of_features, *of_parameters = torch.autograd.grad(loss, wanted, allow_unused=True)
    lengths = {}
    reached = [gradient.flatten() for gradient in of_parameters if gradient is not None]
    if reached:
        # The mean over processes, as in the step.
        total = distributed.sum_over_processes(torch.cat(reached)) / distributed.world_size()
        lengths["classifier_gradient"] = float(total.norm())
    if of_features is not None:
        lengths["feature_gradient"] = float(of_features.norm(dim=1).mean()) * len(features)
    return lengths


@torch.no_grad()
def _class_probability(head: Head, output: HeadOutput) -> dict[str, float]:
    logits = head.class_logits(output)
    if logits is None:
        return {}
    probability = F.softmax(widened(logits), dim=1)
    of_own = probability.gather(1, output.labels[:, None])
    return {
        "true_class": float(of_own.mean()),
        "right": float((logits.argmax(dim=1) == output.labels).float().mean()),
    }


def _over_processes(value: float, device: torch.device) -> float:
    if distributed.world_size() == 1:
        return value
    return float(
        distributed.gather(torch.tensor([value], dtype=torch.float64, device=device)).mean()
    )
