"""What metrics and curves are called in tables and figures."""

from __future__ import annotations

_WORDS: dict[str, str] = {
    "fid": "FID",
    "kid": "KID",
    "is": "IS",
    "ifid": "FID within classes",
    "f_8": "F8",
    "f_1_8": "F1/8",
    "top1": "label asked for (top 1)",
    "top5": "label asked for (top 5)",
    "gan_train_top1": "CAS (top 1)",
    "gan_test_top1": "label by CAS's classifier (top 1)",
    "real_top1": "CAS of real images (top 1)",
    "gan_train_ratio": "CAS, share of real images' CAS",
    "memorised_share": "memorised share",
    # watched while training
    "diagnosis/classifier_gradient": "gradient of the classifier",
    "diagnosis/feature_gradient": "gradient of the features",
    "diagnosis/feature_norm": "length of the features",
    "diagnosis/true_class": "probability of the true class",
    "diagnosis/right": "real images' class right",
    "watch/variety": "variety within classes",
    "watch/contrast": "contrast between classes",
    "d/conditioning": "D's conditioning loss",
    # mixtures
    "wasserstein": "Wasserstein distance",
    "variation": "total variation",
    "mmd": "MMD²",
    "deviation": "deviation, share of the true one",
    "agreement": "agreement with Bayes",
    "bayes": "Bayes's own accuracy",
    "covered": "modes covered",
    "overall": "total variation, all classes",
    # pictures
    "tsne/real.purity": "real neighbours of one class in D",
    "tsne/real.chance": "by chance",
    "tsne/fake.class_of_nearest_real": "nearest real image of the class asked for",
    "spectra/difference.generated.all": "spectrum's difference",
    "spectra/halves_of_real.all": "between halves of the real",
    "spectra/difference.generated.highest_quarter": "spectrum's difference, highest quarter",
    "neighbours-pixels/median_nearest": "distance to nearest training image",
    "neighbours-pixels/held_out_median_nearest": "distance of held-out images",
    # cost
    "cost/images_seen": "images seen",
    "cost/train_seconds": "seconds of training",
    "cost/images_per_second": "images a second",
    "cost/memory_mb": "memory, MB",
    "cost/evaluation_seconds": "seconds of scoring",
}
_SUMMARIES = {"max": "largest", "last": "at the end", "growth": "growth"}
_OF_FEATURES = ("fid", "kid", "is", "ifid")


def in_words(metric: str, features: str = "") -> str:
    """``diagnosis/true_class:last`` as "probability of the true class, at the end".

    Args:
        metric: its name, or a curve's, with or without a summary; one without words stays.
        features: whose they are (``domain``); distances in others than Inception's say it.
    """
    name, _, summary = metric.partition(":")
    told = _WORDS.get(name, name.replace("/", ": ").replace("_", " "))
    if name in _OF_FEATURES and features not in ("", "inception"):
        told = f"{told} ({features})"
    return f"{told}, {_SUMMARIES[summary]}" if summary else told
