"""The names and options of the package's own members, known without PyTorch.

What is misspelt is refused where it is written, not where training begins. A name that is not here may be
that of a member from outside: then its family's table knows it.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from reacgan.config.registry import is_of_plugin, load_plugins, options_of, unknown, unknown_option

if TYPE_CHECKING:
    from reacgan.config.schema import Experiment


class OwnMembers(NamedTuple):
    """A family whose members an experiment names."""

    noun: str
    table: str
    """``module:name`` of the table with all members, where the module is loaded."""
    options: Mapping[str, tuple[str, ...]]
    """Of each of the package's own members, by name."""
    given: tuple[str, ...] = ()
    """Keyword parameters that are no options, since the package passes them itself."""

    @property
    def names(self) -> frozenset[str]:
        """Of the package's own members."""
        return frozenset(self.options)


def _family(noun: str, table: str, members: str, given: str = "") -> OwnMembers:
    """A family from lines ``NAME: OPTION OPTION ...``."""
    rows = [line.partition(":") for line in members.strip().splitlines()]
    options = {name.strip(): tuple(words.split()) for name, _, words in rows}
    return OwnMembers(noun, f"reacgan.{table}", options, tuple(given.split()))


OWN_MEMBERS: Mapping[str, OwnMembers] = {
    "head": _family(
        "head",
        "heads:HEADS",
        """
        unconditional:
        projection:
        mapped_projection: mapping_layers width
        auxiliary: normalize_features normalize_weights temperature
        contrastive: embedding_dim temperature
        d2dce: embedding_dim temperature margin form suppress_easy negatives false_negatives partners
        twin: over twin_weight
        discriminative: over together
        multihinge:
        multilogit:
        infogan: over discrete_weight continuous_weight variance
        """,
        given="in_features num_classes layers codes build",
    ),
    "generator": _family(
        "generator",
        "models:GENERATORS",
        """
        biggan: width latent_dim shared_dim attention_after spectral_norm
        biggan_deep: width latent_dim shared_dim depth shortcut attention_after spectral_norm
        resnet: width latent_dim conditional attention_after spectral_norm
        dcgan: width latent_dim conditional spectral_norm
        stylegan2: latent_dim style_dim mapping_layers channel_base channel_max mixing architecture
        r3gan: width latent_dim shared_dim conditional blocks expansion group_size last_gain resampling
        """,
        given="resolution channels num_classes",
    ),
    "backbone": _family(
        "backbone",
        "models:BACKBONES",
        """
        biggan: width attention_after spectral_norm preactivated_shortcut
        biggan_deep: width depth shortcut attention_after spectral_norm preactivated_shortcut
        resnet: width attention_after norm preactivated_shortcut
        dcgan: width norm leak first_norm
        stylegan2: architecture channel_base channel_max group
        r3gan: width blocks expansion group_size last_gain resampling
        """,
        given="resolution channels",
    ),
    "adversarial": _family(
        "adversarial loss",
        "losses:ADVERSARIAL",
        "\n".join(
            ["hinge", "non_saturating", "least_squares", "wasserstein", "relativistic", "none"]
        ),
    ),
    "penalties": _family(
        "penalties",
        "losses:PENALTIES",
        """
        r1: weight every
        r2: weight every
        gradient_penalty: weight every
        dragan: weight spread form every
        max_gradient: weight every
        lecam: weight decay start form every
        weight_clipping: limit
        path_length: weight every decay shrink constant_mean
        """,
    ),
    "consistency": _family(
        "consistency",
        "losses:CONSISTENCY",
        """
        cr: weight representation every
        bcr: real_weight fake_weight representation every
        zcr: radius d_weight g_weight representation every
        feature_matching: weight every
        """,
    ),
    "augment": _family(
        "augmentation",
        "augment:AUGMENTS",
        """
        identity:
        diffaug: color translation cutout
        ada: operations probability target speed every
        """,
    ),
    "dataset": _family(
        "data set",
        "data:DATASETS",
        """
        digits:
        glyphs: images colours seed
        folder: white max_refused
        csv: white max_refused label file split_column encoding
        jsonl: white max_refused label file split_column
        archive:
        cifar10:
        cifar100:
        tiny_imagenet: white max_refused
        cub200: box white max_refused
        imagenet: white max_refused
        afhq: white max_refused
        ffhq: train_on_all white max_refused
        hub: subset image label
        shards: window workers excerpt
        """,
        given="split resolution channels",
    ),
    "extractor": _family(
        "extractor",
        "extractors:EXTRACTORS",
        """
        inception: weights resizer bias
        domain: epochs width seed flip
        resnet50: weights revision resizer
        swav: weights revision resizer
        dino: weights revision resizer
        dinov2: weights revision resizer
        clip: weights revision resizer
        """,
        given="train held_out cache device expect",
    ),
    "metric": _family(
        "metric",
        "metrics:METRICS",
        """
        fid: interval
        fid_infinity: pieces resamples seed
        kid: subsets subset_size seed exact canonical
        is: splits
        prdc: k num
        f_beta: clusters runs angles images seed
        ifid:
        per_class: k
        accuracy:
        cas: epochs width repeats batch flip seed
        memorisation: percentile pairs
        """,
    ),
}
INNER_HEADS = {"twin": "d2dce", "discriminative": "d2dce", "infogan": "unconditional"}
"""The head within each of these where ``over`` does not name it."""


class _Named(NamedTuple):
    """A member that an experiment names, and the options that it says."""

    family: str
    name: str
    where: str
    """The dotted path of the options, for messages; empty where there are none."""
    options: Mapping[str, Any]


def check_members(experiment: Experiment, before: Experiment, *, paths: Iterable[str] = ()) -> None:
    """See that each member and option is known that an experiment names and the one before it did not.

    Raises:
        ConfigError: a member that nobody has registered, or an option that it does not take.
    """
    trusted = {(member.family, member.name) for member in _named(before)}
    for member in _named(experiment):
        family, name = member.family, member.name
        if (family, name) not in trusted and not _is_known(OWN_MEMBERS[family], name):
            members = OWN_MEMBERS[family]
            raise unknown(members.noun, name, _table(members) or members.names)
    check_member_options(experiment, before, paths=paths)


def check_member_options(
    experiment: Experiment, before: Experiment | None = None, *, paths: Iterable[str] = ()
) -> None:
    """See that members take the options that an experiment says and the one before it did not.

    A member that is not known yet may still be registered, and is checked when it is built. ``paths`` are
    the keys of an experiment, for messages.

    Raises:
        ConfigError: an option that its member does not take.
    """
    trusted = {
        (member.where, member.name, option)
        for member in (_named(before) if before is not None else ())
        for option in member.options
    }
    for member in _named(experiment):
        new = [
            option
            for option in member.options
            if (member.where, member.name, option) not in trusted
        ]
        known = _options_of(OWN_MEMBERS[member.family], member.name) if new else None
        wrong = [option for option in new if known is not None and option not in known]
        if wrong:
            raise unknown_option(member.where, wrong[0], known or (), of=member.name, paths=paths)


PARTS = {
    "model.generator": "generator",
    "model.backbone": "backbone",
    "model.head": "head",
    "model.head.over": "head",
    "augment": "augment",
    "scores.extractor": "extractor",
    "data.options": "dataset",
}
"""Families of the members that have one place each, by the dotted path of their options."""


def check_some_member_takes(part: str, option: str, *, paths: Iterable[str] = ()) -> None:
    """See that any member of a part's family has an option, where it is open which member it will be.

    Raises:
        ConfigError: none has.
    """
    members = OWN_MEMBERS[PARTS[part]]
    names = {*members.options, *_table(members)}
    known = {each for name in names for each in _options_of(members, name) or ()}
    if option not in known:
        raise unknown_option(part, option, known, of=f"any {members.noun}", paths=paths)


def from_scripts(experiment: Experiment) -> list[tuple[str, str]]:
    """Families and names of members that neither this package nor an installed plugin registers.

    The command line does not know them: a script has registered them in this process.
    """
    others = []
    for member in _named(experiment):
        members = OWN_MEMBERS[member.family]
        known = _table(members).get(member.name)
        if member.name not in members.names and known is not None and not is_of_plugin(known):
            others.append((member.family, member.name))
    return list(dict.fromkeys(others))


def _named(experiment: Experiment) -> Iterator[_Named]:
    """The members of an experiment."""
    model, data, scores = experiment.model, experiment.data, experiment.scores
    yield _Named("generator", model.generator.name, "model.generator", model.generator.options)
    yield _Named("backbone", model.backbone.name, "model.backbone", model.backbone.options)
    yield from _heads(model.head.name, model.head.options, "model.head")
    yield _Named("adversarial", experiment.loss.adversarial, "", {})
    yield _Named("augment", experiment.augment.name, "augment", experiment.augment.options)
    yield _Named("dataset", data.name, "data.options", data.options)
    for family in ("penalties", "consistency"):
        for name, options in getattr(experiment, family).items():
            yield _Named(family, name, f"{family}.{name}", options)
    for name, options in scores.metrics.items():
        if name != "all":
            yield _Named("metric", name, f"scores.metrics.{name}", options)
    if not set(r"/\.") & set(scores.extractor.name):  # else it is a file
        yield _Named(
            "extractor", scores.extractor.name, "scores.extractor", scores.extractor.options
        )


def _heads(name: str, options: Mapping[str, Any], where: str) -> Iterator[_Named]:
    """A head and those within it."""
    yield _Named("head", name, where, options)
    over = options.get("over")
    if isinstance(over, str):
        over = {"name": over}
    if isinstance(over, Mapping) and isinstance(over.get("name", ""), str):
        inner = over.get("name") or INNER_HEADS.get(name)
        if inner is not None:
            others = {key: value for key, value in over.items() if key != "name"}
            yield from _heads(inner, others, f"{where}.over")


def _is_known(members: OwnMembers, name: str) -> bool:
    if name in members.names or name in _table(members):
        return True
    load_plugins()
    return name in _table(members)


def _options_of(members: OwnMembers, name: str) -> Collection[str] | None:
    """The options that a member takes; None where it is not known yet."""
    own, member = members.options.get(name), _table(members).get(name)
    if member is None or (own is not None and member.__module__.startswith("reacgan.")):
        return own
    return options_of(member, given=members.given)


def _table(members: OwnMembers) -> Mapping[str, Any]:
    """All members where their module is loaded, which whoever registers one has done; else nothing."""
    module, _, name = members.table.partition(":")
    table: Mapping[str, Any] = getattr(sys.modules.get(module), name, {})
    return table
