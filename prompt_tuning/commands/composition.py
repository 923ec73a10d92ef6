"""From a command line to the configs that it asks for, and everything that is wrong with it.

Hydra stops at the first mistake and composes a point of a sweep in 0.1 s; this names all mistakes,
and composes each choice of groups only once.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from prompt_tuning.config_reading import choices, config_dir, unknown_key
from prompt_tuning.errors import UserError, did_you_mean

# Hydra takes a key with a group's name for a choice of the group's files: these are values.
VALUES_NAMED_AS_GROUPS = {
    "bench": {"model": "trained_model", "task": "trained_task"},
    "inspect": {"experiment": "of"},
    "list": {"experiment": "of"},
    "report": {"experiment": "artefact"},
    "ensemble": {"experiment": "of"},
}
MANY_RUNS = 50  # checking more than so many takes seconds


@dataclass(frozen=True)
class Point:
    """One run of a command line."""

    overrides: tuple[str, ...]  # all of them, the experiment file's too
    config: DictConfig


def configs_of(
    command: str, arguments: Sequence[str], *, multirun: bool = False, only_first: bool = False
) -> tuple[list[DictConfig], list[UserError]]:
    """The configs of `points_of`."""
    points, problems = points_of(command, arguments, multirun=multirun, only_first=only_first)
    return [point.config for point in points], problems


def points_of(
    command: str, arguments: Sequence[str], *, multirun: bool = False, only_first: bool = False
) -> tuple[list[Point], list[UserError]]:
    """The runs of `ptune <command> <arguments>`: one, or all points of a sweep.

    Arguments that are wrong are reported and left out, so that the others can be checked too.

    Args:
        command: names the primary config.
        arguments: overrides, without flags.
        multirun: whether -m was given; an experiment file may ask for a sweep by itself.
        only_first: leave out all points of a sweep but one.
    """
    problems: list[UserError] = []
    with _no_running_hydra(), initialize_config_dir(str(config_dir()), version_base="1.3"):
        composer = Composer(command)
        overrides = _parsed(spelled(command, arguments), problems)
        overrides = _existing_choices(overrides, problems)
        try:
            overrides = _existing_keys(composer, overrides, problems)
            first = [_first(override) for override in overrides]
            hydra = composer.hydra(first)
            is_sweep = multirun or hydra.mode == RunMode.MULTIRUN
            if not is_sweep:
                problems += [_needs_multirun(o) for o in overrides if o.is_sweep_override()]
            if only_first or not is_sweep:
                return [composer.point(first)], problems
            points = _grid(hydra.sweeper.get("params") or {}, overrides)
            if len(points) > MANY_RUNS:
                print(f"ptune: checking {len(points)} runs", file=sys.stderr)
            return [composer.point(point) for point in points], problems
        except (HydraException, OmegaConfBaseException) as error:
            return [], [*problems, hydra_problem(error)]


def own_overrides(points: Sequence[Point]) -> list[str]:
    """What distinguishes each point of a sweep from the others, as one text."""
    common = set.intersection(*(set(point.overrides) for point in points))
    kept = common if len(points) > 1 else set[str]()
    return [" ".join(text for text in p.overrides if text not in kept) for p in points]


def spelled(command: str, arguments: Sequence[str]) -> list[str]:
    """The arguments with Hydra's name of what a command has under the name of a group."""
    names = VALUES_NAMED_AS_GROUPS.get(command, {})
    split = [argument.partition("=") for argument in arguments]
    return [f"{names.get(key, key)}{equals}{value}" for key, equals, value in split]


class Composer:
    """Composes configs of one command; what differs in plain values only is composed once."""

    def __init__(self, command: str) -> None:
        """Use inside `initialize_config_dir`."""
        self._command = command
        self._parser = _parser()
        self._overrides: dict[str, Override] = {}
        self._composed: dict[tuple[str, ...], DictConfig] = {}

    def point(self, arguments: Sequence[str]) -> Point:
        """These arguments and their config."""
        return Point(tuple(arguments), self.compose(arguments))

    def compose(self, arguments: Sequence[str]) -> DictConfig:
        """The config as a command sees it, without Hydra's own part."""
        structure, values = self._split(arguments)
        composed = self._compose_structure(structure)
        config = OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"])
        for key, value in values.items():
            OmegaConf.update(config, key, value)
        return config

    def hydra(self, arguments: Sequence[str]) -> DictConfig:
        """Hydra's own part: mode and sweeper."""
        hydra: DictConfig = self._compose_structure(self._split(arguments)[0]).hydra
        return hydra

    def _split(self, arguments: Sequence[str]) -> tuple[tuple[str, ...], dict[str, Any]]:
        """The arguments that shape the config, and the plain values by key."""
        structure, values = [], {}
        for argument in arguments:
            if argument not in self._overrides:
                (self._overrides[argument],) = self._parser.parse_overrides([argument])
            override = self._overrides[argument]
            if is_plain_value(override):
                values[override.key_or_group] = override.value()
            else:
                structure.append(argument)
        return tuple(structure), values

    def _compose_structure(self, arguments: tuple[str, ...]) -> DictConfig:
        if arguments not in self._composed:
            self._composed[arguments] = compose(
                self._command, list(arguments), return_hydra_config=True
            )
        return self._composed[arguments]


def is_plain_value(override: Override) -> bool:
    """Whether it is `key=value` with a key of ours, no group, no + or ~."""
    return (
        override.type == OverrideType.CHANGE
        and not override.is_hydra_override()
        and not choices(override.key_or_group)
    )


@contextmanager
def _no_running_hydra() -> Iterator[None]:
    """Lets a command that Hydra runs compose the config of another one."""
    instance = GlobalHydra.instance()
    running = instance.hydra
    instance.clear()
    try:
        yield
    finally:
        if running is not None:
            GlobalHydra.instance().initialize(running)


def hydra_problem(error: Exception) -> UserError:
    """Hydra's own complaint, where none of ours fits."""
    return UserError(
        " ".join(line.strip() for line in str(error).splitlines() if line.strip()),
        fix="see what can be set with ptune <command> --help",
    )


def _parser() -> OverridesParser:
    """Hydra's parser, which knows the groups of conf/ (for `task=glob(*)`)."""
    return OverridesParser.create(GlobalHydra.instance().config_loader())


def _parsed(arguments: Sequence[str], problems: list[UserError]) -> list[Override]:
    parser, overrides = _parser(), []
    for argument in arguments:
        try:
            (override,) = parser.parse_overrides([argument])
        except HydraException:
            problems.append(_unreadable(argument))
            continue
        if override.is_sweep_override() and not _elements(override):
            allowed = f"{override.key_or_group}=a,b,c or range(1,10), or a glob(...) that matches"
            problems.append(UserError(f"{argument} names no values to try", allowed=allowed))
        else:
            overrides.append(override)
    return overrides


def _unreadable(argument: str) -> UserError:
    fix = f"write key={argument}"
    if "=" in argument:
        fix = "quote a value with spaces or special characters: 'key=\"value\"'"
    return UserError(f"{argument} cannot be read", allowed="key=value", fix=fix)


def _existing_choices(overrides: Sequence[Override], problems: list[UserError]) -> list[Override]:
    """Without those that choose a file which a group of ours does not have."""
    kept = []
    for override in overrides:
        group = override.key_or_group
        known = [] if override.is_hydra_override() or override.is_delete() else choices(group)
        names = [text.strip("'\"") for text in _elements(override)] if known else []
        wrong = [name for name in names if name not in known]
        if not wrong:
            kept.append(override)
        for name in wrong:
            problems.append(
                UserError(
                    f"{group}={name}: there is no such {group}",
                    allowed=", ".join(known),
                    fix=did_you_mean(name, known) or f"ptune list what={group}",
                )
            )
    return kept


def _existing_keys(
    composer: Composer, overrides: Sequence[Override], problems: list[UserError]
) -> list[Override]:
    """Without those that set a key which the config does not have."""
    structure = [_first(override) for override in overrides if not is_plain_value(override)]
    known = _keys(OmegaConf.to_container(composer.compose(structure)))
    kept = []
    for override in overrides:
        if is_plain_value(override) and override.key_or_group not in known:
            problems.append(unknown_key(override.key_or_group, known))
        else:
            kept.append(override)
    return kept


def _grid(params: Mapping[str, str], overrides: Sequence[Override]) -> list[list[str]]:
    """Every point of a sweep: the command line's values on top of those of the experiment file."""
    arguments = [f"{key}={value}" for key, value in params.items()]
    swept = _parser().parse_overrides(arguments)
    (points,) = BasicSweeper.split_arguments([*swept, *overrides], max_batch_size=None)
    return points


def _needs_multirun(override: Override) -> UserError:
    key = override.key_or_group
    return UserError(
        f"{override.input_line} names several values",
        fix=f"add -m to sweep over them; one list is '{key}=[a,b]', one text '{key}=\"a, b\"'",
    )


def _elements(override: Override) -> list[str]:
    """The override's value or, of a sweep, its values; none of an interval, which has no end."""
    if not override.is_sweep_override():
        return [override.get_value_element_as_str()]
    return list(override.sweep_string_iterator()) if override.is_discrete_sweep() else []


def _first(override: Override) -> str:
    if not override.is_sweep_override():
        return str(override.input_line)
    return f"{override.get_key_element()}={_elements(override)[0]}"


def _keys(values: Any, prefix: str = "") -> list[str]:
    """Every key and section, dotted."""
    if not isinstance(values, Mapping):
        return []
    own = [f"{prefix}{name}" for name in values]
    return own + [key for name in values for key in _keys(values[name], f"{prefix}{name}.")]
