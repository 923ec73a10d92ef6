"""Where the configuration's values are, and how they become objects of a schema.

A schema is a dataclass without defaults whose fields may be dataclasses. OmegaConf's own would stop
at the first value that does not fit; here all of them are reported, with their full keys.
"""

from collections.abc import Iterable, Mapping
from dataclasses import is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from prompt_tuning.errors import UserError, closest
from prompt_tuning.task_registry import CHOICES

T = TypeVar("T")

_TYPE_WORDS: dict[Any, str] = {
    int: "an integer",
    float: "a number",
    bool: "true or false",
    str: "a text",
    int | None: "an integer, or null",
    str | None: "a text, or null",
    list[str]: "a list of texts: '[a,b]'",
    list[str] | None: "a list of texts: '[a,b]', or null",
    dict[int, str]: "texts by integers: '{0:a,1:b}'",
}


def config_dir() -> Path:
    """conf/: inside an installed package, or at the top of a checkout."""
    package = Path(__file__).resolve().parent
    packaged = package / "_conf"
    return packaged if packaged.is_dir() else package.parent / "conf"


def choices(group: str) -> list[str]:
    """The names in a group: its files in conf/, or all tasks; none if there is no such group."""
    if group == "task":
        return sorted(CHOICES)
    return sorted(path.stem for path in (config_dir() / group).glob("*.yaml"))


def hidden_sizes() -> dict[str, int]:
    """The models of conf/ with a known width, each with it, narrowest first."""
    widths = {}
    for name in choices("model"):
        file = OmegaConf.load(config_dir() / "model" / f"{name}.yaml")
        width = OmegaConf.select(file, "hidden_size")
        if width is not None:
            widths[name] = int(width)
    return dict(sorted(widths.items(), key=lambda item: item[1]))


def fill(schema: type, cfg: DictConfig) -> tuple[dict[str, Any], list[UserError]]:
    """The values of `cfg` that fit `schema`, and what is wrong with the others.

    Raises:
        UserError: an interpolation does not resolve.
    """
    try:
        values = cast(dict[str, Any], OmegaConf.to_container(cfg, resolve=True))
    except OmegaConfBaseException as error:
        problem = f"{error.full_key}: {str(error).splitlines()[0]}"
        raise UserError(problem, fix="write a plain value, or escape it: \\${...}") from error
    problems: list[UserError] = []
    return _filled(schema, values, "", problems), problems


def build(schema: type[T], values: Mapping[str, Any]) -> T:
    """The `schema` object of values that all fit."""
    parts = {}
    for name, hint in get_type_hints(schema).items():
        section, value = _section(hint), values[name]
        parts[name] = value if section is None or value is None else build(section, value)
    return schema(**parts)


def unknown_key(key: str, known: Iterable[str]) -> UserError:
    """The error for a key that no config has; the closest may be in another section."""
    known = list(known)
    by_name = {known_key.rpartition(".")[2]: known_key for known_key in known}
    near = closest(key, known) or by_name.get(closest(key.rpartition(".")[2], by_name) or "")
    fix = f"did you mean {near}?" if near else "see every key with ptune <command> --help"
    return UserError(f"{key} is not a key of the configuration", fix=fix)


def _filled(
    schema: type, values: Mapping[str, Any], prefix: str, problems: list[UserError]
) -> dict[str, Any]:
    hints = get_type_hints(schema)
    keys = [f"{prefix}{name}" for name in hints]
    problems += [unknown_key(f"{prefix}{name}", keys) for name in values if name not in hints]
    filled: dict[str, Any] = {}
    for (name, hint), key in zip(hints.items(), keys, strict=True):
        value, section = values.get(name, MISSING), _section(hint)
        if value == MISSING:
            problems.append(_missing_key(key))
        elif section is not None and isinstance(value, Mapping):
            filled[name] = _filled(section, value, f"{key}.", problems)
        else:
            try:
                filled[name] = _converted(value, hint)
            except TypeError:
                problems.append(_wrong_type(key, value, hint))
    return filled


def _converted(value: Any, hint: Any) -> Any:
    """The value as `hint` has it: a number given for a text, and an integer for a number, are fine.

    Raises:
        TypeError: it is something else.
    """
    options = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    if value is None and NoneType in options:
        return None
    kind, parts = options[0], get_args(options[0])
    if get_origin(kind) is list and isinstance(value, list):
        return [_converted(item, parts[0]) for item in value]
    if get_origin(kind) is dict and isinstance(value, dict):
        return {_converted(k, parts[0]): _converted(v, parts[1]) for k, v in value.items()}
    if type(value) is kind or (type(value) is int and kind in (str, float)):
        return kind(value)
    raise TypeError


def _section(hint: Any) -> type | None:
    """The dataclass in a field's type, which may be optional."""
    found = [part for part in (hint, *get_args(hint)) if isinstance(part, type)]
    return next((part for part in found if is_dataclass(part)), None)


def _missing_key(key: str) -> UserError:
    options = ", ".join(choices(key)) or None
    return UserError(f"{key} is missing", allowed=options, fix=f"add {key}=<value>")


def _wrong_type(key: str, value: Any, hint: Any) -> UserError:
    section = _section(hint)
    if section is not None:
        allowed = ", ".join(f"{key}.{name}" for name in get_type_hints(section))
        fix = "set one of its keys"
        if choices(key):
            fix += f", or choose a file: ptune list what={key}"
        return UserError(f"{key}={value}: {key} is a section", allowed=allowed, fix=fix)
    allowed = _TYPE_WORDS.get(hint, str(hint))
    fix = f"correct {key}, or leave it out for its default"
    return UserError(f"{key}={value} has the wrong type", allowed=allowed, fix=fix)
