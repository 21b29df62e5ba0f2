"""Tables of members and the options of their constructors, checked for a person to read."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from pydantic import (
    BaseModel,
    ConfigDict,
    ValidationError,
    ValidationInfo,
    create_model,
    field_validator,
)

from reacgan.config.synonyms import key_meaning, meaning, value_meaning

Member = TypeVar("Member")

PLUGINS = "reacgan.plugins"

_loaded: set[EntryPoint] = set()
_MOST = 40
"""Names that a message lists; of more it lists a few."""

DEFAULT_MEMBERS = {"generator": "biggan", "backbone": "biggan", "head": "d2dce"}
"""What an experiment is made of where it does not say."""


class ConfigError(ValueError):
    """A configuration that cannot be used: names the value, what is allowed and what to do."""


class UnknownNameError(ConfigError, KeyError):
    """A name that is in no table."""

    __str__ = ValueError.__str__  # a KeyError would show its text as a quoted key


class Checked(BaseModel):
    """A model whose numbers are numbers: ``true`` is not 1, alone or in a list."""

    @field_validator("*", mode="before")
    @classmethod
    def _booleans_are_no_numbers(cls, value: Any, info: ValidationInfo) -> Any:
        hint = cls.model_fields[str(info.field_name)].annotation
        if _holds_boolean(value) and _takes_numbers_alone(hint):
            raise ValueError(f"is {value!r}; needed: a number, which true and false are not")
        return value


def _holds_boolean(value: Any) -> bool:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return any(map(_holds_boolean, value))
    return isinstance(value, bool)


def _takes_numbers_alone(hint: Any) -> bool:
    """Whether a number may stand there and no boolean; a model within checks its own fields."""
    parts = _parts_of(hint)
    return not parts.isdisjoint({int, float}) and parts.isdisjoint({bool, Any, object})


def _parts_of(hint: Any) -> set[Any]:
    """The types that a hint is made of; of literals the types of their values."""
    if get_origin(hint) is Literal:
        return {type(value) for value in get_args(hint)}
    inner = [part for part in get_args(hint) if not isinstance(part, str)]
    if inner:
        return set[Any]().union(*map(_parts_of, inner))
    if inspect.isclass(hint) and issubclass(hint, BaseModel):
        return {Any}
    return {hint} if isinstance(hint, type) or hint is Any else set()


def load_plugins() -> None:
    """Load each entry point of the group ``reacgan.plugins``, once in a process.

    An entry point is a module that registers while it is imported, or a function that is called.
    One that fails is named in a warning, and the others are loaded all the same.
    """
    for entry_point in entry_points(group=PLUGINS):
        if entry_point in _loaded:
            continue
        _loaded.add(entry_point)  # first, since a plugin may look something up itself
        try:
            loaded = entry_point.load()
            if not inspect.ismodule(loaded):
                loaded()
        except Exception as error:
            package = (
                entry_point.dist.name if entry_point.dist is not None else "an unknown package"
            )
            warnings.warn(
                f"the plugin {entry_point.name!r} ({entry_point.value}, of {package}) could not be loaded: "
                f"{type(error).__name__}: {error}",
                stacklevel=2,
            )


def is_of_plugin(member: Any) -> bool:
    """Whether an installed package that has an entry point of ours has made a member."""
    package = (getattr(member, "__module__", None) or "").partition(".")[0]
    return any(
        entry_point.value.partition(":")[0].partition(".")[0] == package
        for entry_point in entry_points(group=PLUGINS)
    )


def unknown(family: str, name: str, known: Iterable[str]) -> UnknownNameError:
    """The error of a name that no member has: what it may mean, and the names there are."""
    known = sorted(known)
    listed = _listed(known)
    return UnknownNameError(
        f"unknown {family} {name!r}{meaning(name, known)} Known: {', '.join(listed)}."
    )


def _listed(known: list[str]) -> list[str]:
    """Names for a message."""
    return known if len(known) <= _MOST else [*known[:8], f"... ({len(known)} in all)"]


def lookup(family: str, table: Mapping[str, Member], name: str) -> Member:
    """The member called ``name``; raises :class:`ConfigError` that lists the known ones.

    Plugins are loaded before a name counts as unknown.
    """
    if not isinstance(name, str):
        raise ConfigError(
            f"{family} is {name!r}; needed: a name. Known: {', '.join(_listed(sorted(table)))}."
        )
    if name not in table:
        load_plugins()
    if name in table:
        return table[name]
    raise unknown(family, name, table)


class _Options(Checked):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


def unknown_option(
    where: str, name: str, known: Iterable[str], *, of: str = "", paths: Iterable[str] = ()
) -> ConfigError:
    """The error of an option that a member does not take: what it may mean, and the options there are.

    ``of`` is the member's name, ``paths`` are the keys of an experiment, where it may stand instead.
    """
    known = sorted(known)
    allowed = ", ".join(known) or (f"none, {of} has no options" if of else "none")
    whose = f" of {of}" if of else ""
    near = known if where.endswith(".options") else [*known, "name"]
    hint = key_meaning(name, near, paths)
    return ConfigError(f"{where}.{name}: unknown option{whose}{hint} Allowed: {allowed}.")


def options_of(member: Callable[..., Any], *, given: Iterable[str] = ()) -> list[str]:
    """The names of the options that a member takes, as :func:`check_options` reads them."""
    return list(_keywords(member, given))


def _constructor(member: Callable[..., Any]) -> Callable[..., Any]:
    return member.__init__ if inspect.isclass(member) else member


def _keywords(member: Callable[..., Any], given: Iterable[str]) -> dict[str, inspect.Parameter]:
    return {
        name: parameter
        for name, parameter in inspect.signature(_constructor(member)).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY and name not in set(given)
    }


def check_options(
    member: Callable[..., Any],
    options: Mapping[str, Any],
    *,
    where: str,
    given: Iterable[str] = (),
    also: Iterable[str] = (),
) -> dict[str, Any]:
    """Check options against a constructor's keyword-only parameters and fill in its defaults.

    Args:
        member: a class or function; each keyword-only parameter is annotated, constraints may be
            written with ``Annotated[..., pydantic.Field(...)]``.
        options: what a configuration says.
        where: the dotted path in the configuration, for messages (``model.head``).
        given: parameters that the caller supplies itself and a configuration may not set.
        also: options that the caller has taken out, named in messages.

    Returns:
        Every option with its validated value.

    Raises:
        ConfigError: an unknown or missing option, or a value of the wrong type or range.
    """
    target = _constructor(member)
    hints = get_type_hints(target, include_extras=True)
    fields: dict[str, Any] = {}
    for name, parameter in _keywords(member, given).items():
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[name] = (hints.get(name, Any), default)
    for name in options:
        if name not in fields:
            raise unknown_option(where, name, {*fields, *also})
    schema = create_model("Options", __base__=_Options, **fields)
    try:
        return dict(schema(**options).model_dump())
    except ValidationError as error:
        raise ConfigError(explain(error, prefix=where)) from None


def explain(
    error: ValidationError,
    *,
    prefix: str = "",
    known_keys: Callable[[str], Iterable[str]] = lambda path: (),
    paths: Iterable[str] = (),
) -> str:
    """Pydantic's errors as one short line each: path, what is wrong, the value that was given.

    ``known_keys`` gives the keys allowed beside the last part of a dotted path, ``paths`` are all.
    """
    lines = []
    for item in error.errors():
        path = ".".join(str(part) for part in ((prefix,) if prefix else ()) + tuple(item["loc"]))
        if item["type"] == "extra_forbidden":
            known = sorted(known_keys(path))
            leaf = str(item["loc"][-1])
            hint = key_meaning(leaf, known, paths)
            lines.append(f"{path}: unknown key{hint} Allowed: {', '.join(known)}.")
        elif item["type"] == "model_type" and (hint := value_meaning(item["input"])):
            lines.append(f"{path}: is {item['input']!r}; needed: a mapping of its values{hint}")
        else:
            message = item["msg"].removeprefix("Value error, ")
            given = "" if item["type"] == "value_error" else f" (got {item['input']!r})"
            lines.append(f"{path}: {message}{given}" if path else f"{message}{given}")
    return "\n".join(lines)
