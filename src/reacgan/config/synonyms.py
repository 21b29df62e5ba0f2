"""What people call things elsewhere, and what that is in a configuration here."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

_RESNET = "model.generator.name=resnet model.backbone.name=resnet"
_STYLEGAN2 = "model.generator.name=stylegan2 model.backbone.name=stylegan2"
_ADAM = (
    "not chosen, since every run has Adam: set lr, beta1, beta2, eps of g_optimizer and d_optimizer"
)

# Names without case, blanks, hyphens and underscores.
_NAMES: dict[str, str] = {
    # methods
    "reacgan": "model.head.name=d2dce",
    "acgan": "model.head.name=auxiliary",
    "contragan": "model.head.name=contrastive",
    "cganpd": "model.head.name=projection",
    "pd": "model.head.name=projection",
    "projgan": "model.head.name=projection",
    "projectiongan": "model.head.name=projection",
    "tacgan": "model.head.name=twin",
    "tac": "model.head.name=twin",
    "adcgan": "model.head.name=discriminative",
    "adc": "model.head.name=discriminative",
    "mhgan": "model.head.name=multihinge",
    "mh": "model.head.name=multihinge",
    "mdgan": "model.head.name=multilogit",
    "sngan": _RESNET,
    "sagan": f"{_RESNET} model.generator.attention_after=[2]",
    "stylegan": _STYLEGAN2,
    "biggandeep": "model.generator.name=biggan_deep model.backbone.name=biggan_deep",
    "logan": "loss.latent_optimisation={}",
    "crgan": "consistency=cr",
    "icrgan": "consistency=[bcr,zcr]",
    "icr": "consistency=[bcr,zcr]",
    "stylegan2ada": f"{_STYLEGAN2} augment.name=ada",
    "apa": "apa={}",
    "topk": "loss.top_k={}",
    "freezed": "training.freeze_d=2 training.start_from=RUN",
    # losses
    "lsgan": "loss.adversarial=least_squares",
    "ls": "loss.adversarial=least_squares",
    "mse": "loss.adversarial=least_squares",
    "l2": "loss.adversarial=least_squares",
    "logistic": "loss.adversarial=non_saturating",
    "nonsaturating": "loss.adversarial=non_saturating",
    "ns": "loss.adversarial=non_saturating",
    "bce": "loss.adversarial=non_saturating",
    "vanilla": "loss.adversarial=non_saturating",
    "softplus": "loss.adversarial=non_saturating",
    "wgan": "loss.adversarial=wasserstein penalties=weight_clipping",
    "wgangp": "loss.adversarial=wasserstein penalties=gradient_penalty",
    "rpgan": "loss.adversarial=relativistic",
    "rsgan": "loss.adversarial=relativistic",
    "d2dcrossentropy": "model.head.name=d2dce",
    "d2dceloss": "model.head.name=d2dce",
    "crossentropy": "model.head.name=auxiliary",
    "ce": "model.head.name=auxiliary",
    "2c": "model.head.name=contrastive",
    "gp": "penalties=gradient_penalty",
    "clip": "penalties=weight_clipping",
    "weightclip": "penalties=weight_clipping",
    "ppl": "penalties=path_length",
    "fm": "consistency=feature_matching",
    # data and scores
    "differentiableaugmentation": "augment.name=diffaug",
    "diffaugment": "augment.name=diffaug",
    "none": "augment.name=identity",
    "imagefolder": "data.name=folder",
    "cub": "data.name=cub200",
    "inceptionv3": "scores.extractor.name=inception",
    "inceptionscore": "scores.metrics=is",
    "precision": "scores.metrics=prdc",
    "recall": "scores.metrics=prdc",
    "density": "scores.metrics=prdc",
    "coverage": "scores.metrics=prdc",
    # optimizers
    "adam": _ADAM,
    "adamw": _ADAM,
    "sgd": _ADAM,
    "rmsprop": _ADAM,
}

# Keys, as their last part is called elsewhere.
_KEYS: dict[str, str] = {
    "batchsize": "training.batch",
    "epoch": "training.images (images seen, repeats counted)",
    "epochs": "training.images (images seen, repeats counted)",
    "steps": "training.images (images seen, repeats counted)",
    "iterations": "training.images (images seen, repeats counted)",
    "kimg": "training.images (images seen; 25 kimg are 25_000)",
    "learningrate": "g_optimizer.lr and d_optimizer.lr",
    "glr": "g_optimizer.lr",
    "dlr": "d_optimizer.lr",
    "betas": "beta1 and beta2 of g_optimizer and d_optimizer",
    "optimizer": "g_optimizer and d_optimizer",
    "imagesize": "data.resolution",
    "imgsize": "data.resolution",
    "size": "data.resolution",
    "ncritic": "training.d_steps",
    "zdim": "model.generator.latent_dim",
    "nz": "model.generator.latent_dim",
    "numclasses": "given by the data",
    "emadecay": "ema.half_life (in images)",
    "hflip": "data.flip",
}


def suggest(name: str, known: Iterable[str]) -> str:
    """The end of a sentence: ``; did you mean 'x'?`` where something close is known, else a stop."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else "."


def meaning(name: str, known: Iterable[str]) -> str:
    """As :func:`suggest`, for a member's name: also by what it is called elsewhere."""
    known = list(known)
    plain = _plain(name)
    spelt = [other for other in known if _plain(other) == plain]
    if spelt:
        return f"; did you mean {spelt[0]!r}?"
    here = _NAMES.get(plain)
    if here is None:
        return suggest(name, known)
    _, _, value = here.partition("=")
    return f"; did you mean {value!r}?" if value in known else f"; {name} is {here}."


def key_meaning(key: str, known: Iterable[str], paths: Iterable[str]) -> str:
    """As :func:`suggest`, for the last part of a key: also what it is called here, or where it stands."""
    here = _KEYS.get(_plain(key))
    if here is None and key != "name":
        here = " or ".join(path for path in paths if path.rpartition(".")[2] == key)
    known = list(known)
    longer = key != "" and any(name.startswith(key) for name in known)  # epoch for epochs
    return f"; {key} is {here}." if here and not longer else suggest(key, known)


def value_meaning(value: object) -> str:
    """What a word means that stands where a mapping belongs, as the end of a sentence."""
    here = _NAMES.get(_plain(value)) if isinstance(value, str) else None
    return f"; {value} is {here}" if here else ""


def _plain(name: str) -> str:
    return re.sub(r"[\s_\-]", "", name.lower())
