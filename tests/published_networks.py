"""Networks whose state has the names, shapes and order of computation of published BigGAN-type ones.

Written from the published layout alone, without anything of the package's own networks, so that a
converted checkpoint can be compared with what its file came from. ReLUs of the discriminator really
write over their input, unless ``in_place`` says otherwise.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import spectral_norm

# Channels in multiples of the width: where blocks start, what each gives; and which of D's halve.
MADE = {32: [4, 4, 4, 4], 64: [16, 8, 4, 2, 1]}
JUDGED = {32: ([2, 2, 2, 2], 2), 64: ([1, 2, 4, 8, 16], 4)}


def maybe_normed(layer, spectral):
    return spectral_norm(layer, eps=1e-6) if spectral else layer


def batch_norm(channels, affine=True):
    return nn.BatchNorm2d(channels, eps=1e-4, affine=affine)


class Conditional(nn.Module):
    def __init__(self, length, channels, spectral):
        super().__init__()
        self.bn = batch_norm(channels, affine=False)
        self.gain = maybe_normed(nn.Linear(length, channels, bias=False), spectral)
        self.bias = maybe_normed(nn.Linear(length, channels, bias=False), spectral)

    def forward(self, x, condition):
        wide = [part(condition)[..., None, None] for part in (self.gain, self.bias)]
        return self.bn(x) * (1 + wide[0]) + wide[1]


class Attention(nn.Module):
    def __init__(self, channels, spectral):
        super().__init__()
        sizes = {
            "theta": (channels, channels // 8),
            "phi": (channels, channels // 8),
            "g": (channels, channels // 2),
            "attn": (channels // 2, channels),
        }
        for name, (before, after) in sizes.items():
            layer = maybe_normed(nn.Conv2d(before, after, 1, bias=False), spectral)
            self.add_module(f"conv1x1_{name}", layer)
        self.sigma = nn.Parameter(torch.zeros(1))

    def forward(self, x, *_):
        n, _, height, width = x.shape
        theta = self.conv1x1_theta(x).flatten(2)
        phi = F.max_pool2d(self.conv1x1_phi(x), 2).flatten(2)
        values = F.max_pool2d(self.conv1x1_g(x), 2).flatten(2)
        weights = torch.einsum("nca,ncb->nab", theta, phi).softmax(-1)
        mixed = torch.einsum("ncb,nab->nca", values, weights).view(n, -1, height, width)
        return x + self.sigma * self.conv1x1_attn(mixed)


class Triple(nn.Module):
    """The three convolutions of any block: shortcut, first, second."""

    def __init__(self, before, after, spectral, shortcut=True):
        super().__init__()
        if shortcut:
            self.conv2d0 = maybe_normed(nn.Conv2d(before, after, 1), spectral)
        self.conv2d1 = maybe_normed(nn.Conv2d(before, after, 3, padding=1), spectral)
        self.conv2d2 = maybe_normed(nn.Conv2d(after, after, 3, padding=1), spectral)


class Making(Triple):
    def __init__(self, length, before, after, spectral):
        super().__init__(before, after, spectral)
        for place, channels in ((1, before), (2, after)):
            norm = Conditional(length, channels, spectral) if length else batch_norm(channels)
            self.add_module(f"bn{place}", norm)

    def forward(self, x, condition):
        given = () if condition is None else (condition,)
        y = F.interpolate(F.relu(self.bn1(x, *given)), scale_factor=2, mode="nearest")
        y = self.conv2d2(F.relu(self.bn2(self.conv2d1(y), *given)))
        return y + self.conv2d0(F.interpolate(x, scale_factor=2, mode="nearest"))


def in_a_list(blocks, attentions):
    """Blocks with the attentions behind them, each in a list of its own."""
    parts = []
    for place, block in enumerate(blocks, start=1):
        parts += [block, *([attentions[place]] if place in attentions else [])]
    return nn.ModuleList(nn.ModuleList([part]) for part in parts)


class PublishedGenerator(nn.Module):
    """``shared``: length of the class embedding; 0: labels come as one-hot; None: none.

    ``chunks`` without an embedding: norms see their chunk of z alone (BigGAN without labels).
    """

    def __init__(
        self, size, width, classes, latent, shared=16, attention=(), spectral=True, chunks=False
    ):
        super().__init__()
        stages = [width * multiple for multiple in MADE[size]]
        blocks = len(stages) - 1
        self.classes, self.chunks = classes, chunks or bool(shared)
        self.piece = latent // (blocks + 1) if self.chunks else latent
        length = {True: (shared or 0) + self.piece, False: 0 if shared is None else classes}
        self.given = length[self.chunks]
        self.linear0 = maybe_normed(nn.Linear(self.piece, stages[0] * 16), spectral)
        if shared:
            self.shared = nn.Embedding(classes, shared)
        self.blocks = in_a_list(
            [Making(self.given, a, b, spectral) for a, b in zip(stages, stages[1:], strict=False)],
            {place: Attention(stages[place], spectral) for place in attention},
        )
        self.bn4 = batch_norm(stages[-1])
        self.conv2d5 = maybe_normed(nn.Conv2d(stages[-1], 3, 3, padding=1), spectral)

    def forward(self, z, labels):
        first, *rest = z.split(self.piece, 1)
        x = self.linear0(first)
        x = x.view(len(z), -1, 4, 4)
        for (part,) in self.blocks:
            if not self.given:
                condition = None
            elif not self.chunks:
                condition = F.one_hot(labels, self.classes).to(z.dtype)
            elif isinstance(part, Making):
                table = [self.shared(labels)] if hasattr(self, "shared") else []
                condition = torch.cat([*table, rest.pop(0)], 1)
            x = part(x, condition)
        return self.conv2d5(F.relu(self.bn4(x))).tanh()


class Judging(Triple):
    def __init__(self, before, after, spectral, *, first, halved, in_place):
        super().__init__(before, after, spectral, shortcut=first or halved or before != after)
        self.first, self.halved = first, halved
        self.normed = not spectral
        self.relu = nn.ReLU(inplace=in_place)
        if self.normed:
            if hasattr(self, "conv2d0"):
                self.bn0 = batch_norm(before)
            self.bn1 = batch_norm(after if first else before)
            if not first:
                self.bn2 = batch_norm(after)

    def forward(self, x):
        kept = x
        if not self.first:
            x = self.relu(self.bn1(x) if self.normed else x)
        x = self.conv2d1(x)
        if self.normed:
            x = self.bn1(x) if self.first else self.bn2(x)
        x = self.conv2d2(self.relu(x))
        if self.first:
            kept = self._halved(kept)
        if hasattr(self, "bn0"):
            kept = self.bn0(kept)
        if hasattr(self, "conv2d0"):
            kept = self.conv2d0(kept)
        return self._halved(x) + (kept if self.first else self._halved(kept))

    def _halved(self, x):
        return F.avg_pool2d(x, 2) if self.halved else x


class PublishedDiscriminator(nn.Module):
    """``conditioning``: W/O, PD, AC, 2C, D2DCE, MH or MD; ``classifier``: none, TAC or ADC."""

    def __init__(
        self,
        size,
        width,
        classes,
        conditioning,
        *,
        embedding=24,
        attention=(),
        spectral=True,
        in_place=True,
        normalize=False,
        classifier=None,
    ):
        super().__init__()
        multiples, halvings = JUDGED[size]
        stages = [3, *(width * multiple for multiple in multiples)]
        self.conditioning, self.normalize, self.twin = conditioning, normalize, classifier == "TAC"
        blocks = [
            Judging(a, b, spectral, first=i == 0, halved=i < halvings, in_place=in_place)
            for i, (a, b) in enumerate(zip(stages, stages[1:], strict=False))
        ]
        self.blocks = in_a_list(
            blocks, {place: Attention(stages[place], spectral) for place in attention}
        )
        last = stages[-1]
        scores = {"MH": classes + 1, "MD": classes}.get(conditioning, 1)
        self.linear1 = maybe_normed(nn.Linear(last, scores), spectral)
        rows = classes * 2 if classifier == "ADC" else classes
        for end in ("2", "_mi") if self.twin else ("2",):
            table = end.removesuffix("2")
            if conditioning == "AC":
                layer = nn.Linear(last, rows, bias=False)
            elif conditioning in ("2C", "D2DCE"):
                layer = nn.Linear(last, embedding)
            else:
                layer = None
            if layer is not None:
                self.add_module(f"linear{end}", maybe_normed(layer, spectral))
            length = {"PD": last, "2C": embedding, "D2DCE": embedding}.get(conditioning)
            if length:
                self.add_module(
                    f"embedding{table}", maybe_normed(nn.Embedding(rows, length), spectral)
                )

    def forward(self, x, labels):
        for (part,) in self.blocks:
            x = part(x)
        h = F.relu(x).sum((2, 3))
        score = self.linear1(h)
        found = {}
        if self.conditioning == "MD":
            score = score.gather(1, labels[:, None])
        if self.conditioning == "MH":
            return {"logits": score}
        score = score.squeeze(1)
        if self.conditioning == "PD":
            score = score + (self.embedding(labels) * h).sum(1)
        for end in ("2", "_mi") if self.twin else ("2",):
            role = "" if end == "2" else "twin."
            if self.conditioning == "AC":
                inputs = F.normalize(h, dim=1) if self.normalize else h
                found[f"{role}logits"] = getattr(self, f"linear{end}")(inputs)
            if self.conditioning in ("2C", "D2DCE"):
                table = getattr(self, f"embedding{end.removesuffix('2')}")
                found[f"{role}embedding"] = getattr(self, f"linear{end}")(h)
                found[f"{role}own vector"] = table(labels)
        return {"score": score, **found}


def used(network, inputs):
    """The network as after some training: no tensor at its start, in evaluation mode."""
    with torch.no_grad():
        for value in network.parameters():
            value.add_(torch.randn_like(value) * 0.2)
        for _ in range(3):
            network(*inputs())
    return network.eval().requires_grad_(False)
