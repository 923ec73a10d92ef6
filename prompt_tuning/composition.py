"""From a command line to the configs that it asks for, and everything that is wrong with it.

Hydra stops at the first mistake and composes a point of a sweep in 0.1 s; this names all mistakes,
and composes each choice of groups only once.
"""

import pickle
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice, product
from math import prod
from pathlib import Path
from typing import Any, NamedTuple, cast

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, OverrideType, RangeSweep
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from prompt_tuning.config import TrainConfig, choices, config_dir, file_of, quoted, unknown_key
from prompt_tuning.config_checks import train_config
from prompt_tuning.devices import has_cuda
from prompt_tuning.errors import UserError, did_you_mean, raise_all
from prompt_tuning.own_data import with_own_data
from prompt_tuning.task_data import data_spec
from prompt_tuning.task_registry import CHOICES

# Groups whose files a command only names: what they say is for `train`.
ONLY_NAMED = {
    "bench": ("model", "task"),
    "doctor": ("model", "experiment"),
    "ensemble": ("experiment",),
    "inspect": ("experiment",),
    "list": ("experiment",),
    "report": ("experiment",),
}
# The group `task` has one file in conf/, for a user's own data: Hydra gets ours from the tasks.
TASK_NODES = {
    name: {"name": name, "report_split": task.report_split} for name, task in CHOICES.items()
}
for _name, _node in TASK_NODES.items():
    ConfigStore.instance().store(group="task", name=_name, node=_node, provider="ptune")

Axes = dict[str, str]  # a run's place in a sweep: {"task": "rte", "seed": "0"}

MANY_RUNS = 10  # checking more than so many, each of another model, takes more than a second
FIRST_VALUES = 20  # of an axis of a sweep of many runs, which are checked before the others
MOST_NESTED = 20  # lists and objects: what reads a config calls itself for each
MOST_RUNS = 10_000  # of a command line: all are checked before the first begins


def recipe_of(model: str) -> str:
    """What `ptune train` takes where recipe= is not given, by where a model's weights are.

    The hub's are the paper's models and their kin; a packaged one is small enough for a CPU, and
    what was made here is for the mini tasks, as is a file that is not in conf/.
    """
    source = file_of("model", model).source if model in choices("model") else "embedded"
    return {"hub": "paper", "packaged": "short"}.get(source, "mini")


# conf/ asks for both, in whichever process Hydra composes a run.
OmegaConf.register_new_resolver("recipe_of", recipe_of, replace=True)
OmegaConf.register_new_resolver("gpus_of_a_run", lambda: int(has_cuda()), replace=True)


Check = Callable[[DictConfig], Any]  # makes of a config what a command works with


@dataclass(frozen=True)
class Point:
    overrides: tuple[str, ...]  # all of them, the experiment file's too
    config: DictConfig
    checked: Any = None  # what a `Check` has made of the config, where one was asked


def composed(
    command: str,
    arguments: Sequence[str],
    *,
    only_first: bool = False,
    own_files: Path | None = None,
) -> DictConfig:
    """The config of a single run; raises as `points_of`."""
    (point,) = points_of(command, arguments, only_first=only_first, own_files=own_files)
    return point.config


def points_of(
    command: str,
    arguments: Sequence[str],
    *,
    multirun: bool = False,
    only_first: bool = False,
    own_files: Path | None = None,
    check: Check | None = None,
) -> list[Point]:
    """The runs of `ptune <command> <arguments>`: one, or all points of a sweep.

    Args:
        arguments: overrides, without flags; `multirun` stands for -m.
        only_first: leave out all points of a sweep but one.
        own_files: a folder like conf/ with files of the user's (--config-dir); None: there is none.
        check: raises a UserError of a config that is wrong; None: nothing is checked.

    Raises:
        UserError: all that is wrong. Arguments that are wrong are left out, so that the others can
            be checked too. Of a sweep of many runs few are looked at first, and no other is
            composed if those are wrong.
    """
    problems: list[UserError] = []  # those that others can be looked for after
    try:
        with _composing(own_files):
            composer = _Composer(command, own_files)
            readable = [*_readable(command, arguments, problems, own_files)]
            overrides = _existing_keys(composer, readable, problems)
            problems += _recipe_problems(command, overrides)
            _refuse_nested_sweep(composer, overrides, own_files)

            first = [_first_point(override) for override in overrides]
            swept = composer.swept(first)
            axes = [*{o.get_key_element(): o for o in (*swept, *overrides)}.values()]
            num_points = _num_points(axes)
            if not multirun:
                problems += [_several_values_problem(o) for o in overrides if o.is_sweep_override()]
                if swept and not only_first:
                    problems.append(_sweep_problem(overrides, num_points, own_files))

            if only_first:
                points = [composer.point(first)]
            elif multirun:
                if check is not None and num_points > MANY_RUNS:
                    _check_few(composer, axes, check, problems)
                    print(f"ptune: checking {num_points} runs", file=sys.stderr)
                values = [_with_values(axis, _elements(axis)) for axis in axes]
                points = [composer.point(point) for point in product(*values)]
            else:
                points = [composer.point([_first_point(axis) for axis in axes])]
        if check is not None:
            points = _checked(points, check, problems)
    except UserError as error:
        problems += error.parts
    # A key that was given, and is left out because it is wrong, is not missing.
    given = {f"{argument.partition('=')[0]} is missing" for argument in arguments}
    raise_all([each for each in problems if each.problem not in given] or problems)
    return points


@contextmanager
def _composing(own_files: Path | None) -> Iterator[None]:
    """Hydra with our conf/; raises what it complains of as a UserError."""
    with _no_running_hydra(), initialize_config_dir(str(config_dir()), version_base="1.3"):
        try:
            yield
        except (HydraException, OmegaConfBaseException, YAMLError) as error:
            raise hydra_problem(error) from error
        except (UnicodeDecodeError, RecursionError):
            raise_all(_damaged_files(own_files))
            raise


def _num_points(axes: Sequence[Override]) -> int:
    """The runs of a sweep; raises a UserError if they are too many."""
    num_points = prod(len(_elements(axis)) for axis in axes)
    if num_points > MOST_RUNS:
        allowed = f"at most {MOST_RUNS:,}"
        raise UserError(f"this sweep has {num_points:,} runs", allowed=allowed)
    return num_points


def _check_few(
    composer: "_Composer", axes: Sequence[Override], check: Check, problems: list[UserError]
) -> None:
    """Checks a sweep's first run and, if nothing is wrong, those one value away from it.

    Raises:
        UserError: what is wrong with them, and `problems`, which are known already.
    """
    first = [_first_point(axis) for axis in axes]
    for points in ([composer.point(first)], _one_value_away(composer, axes, first)):
        _checked(points, check, problems)
        raise_all(problems)


def _one_value_away(
    composer: "_Composer", axes: Sequence[Override], first: Sequence[Override]
) -> Iterator[Point]:
    """The runs that differ from a sweep's first in one value: of an axis some, and the last."""
    for place, axis in enumerate(axes):
        _, *others = _elements(axis)
        few = others[:FIRST_VALUES] + others[FIRST_VALUES:][-1:]
        for value in _with_values(axis, few) if few else []:
            yield composer.point([*first[:place], value, *first[place + 1 :]])


def _checked(points: Iterable[Point], check: Check, problems: list[UserError]) -> list[Point]:
    """Those that are right, with what the check makes of them; adds to the problems."""
    checked = []
    for point in points:
        try:
            checked.append(replace(point, checked=check(point.config)))
        except UserError as error:
            problems += error.parts
    return checked


def planned_runs(experiment: str, overrides: Sequence[str] = ()) -> list[TrainConfig]:
    """Every run of `ptune train -m experiment=<experiment> <overrides>`, in its order.

    Whether the data is there is not looked at, except of a user's own task: the names of its runs
    have the labels that are in it.

    Raises:
        UserError: there is no such experiment, or an override is wrong.
    """
    return [config for _, config in planned_points(experiment, overrides)]


def planned_points(experiment: str, overrides: Sequence[str]) -> list[tuple[Axes, TrainConfig]]:
    """The runs of `planned_runs`, each with its place on the axes; raises as that does."""
    arguments = [f"experiment={experiment}", *overrides]
    points = points_of("train", arguments, multirun=True, own_files=own_files_now())
    configs = [train_config(point.config) for point in points]
    configs = [with_own_data(config, data_spec(config.data)) for config in configs]
    return list(zip(axes_of(points), configs, strict=True))


def own_files_now() -> Path | None:
    """The --config-dir of the command that Hydra runs in this process; None: there is none."""
    if not (GlobalHydra.instance().is_initialized() and HydraConfig.initialized()):
        return None
    return own_files_of(HydraConfig.get())


def own_files_of(hydra: Any) -> Path | None:
    """The --config-dir in Hydra's own config; None: there is none."""
    sources = hydra.runtime.config_sources
    return next((Path(each.path) for each in sources if each.provider == "command-line"), None)


def choices_with(own_files: Path | None, group: str) -> tuple[str, ...]:
    """The names in a group, and after them those of the user's own files."""
    names = choices(group)
    own = sorted(path.stem for path in (own_files / group).glob("*.yaml")) if own_files else ()
    return (*names, *(name for name in own if name not in names))


def axes_of(points: Sequence[Point]) -> list[Axes]:
    """What distinguishes each point of a sweep from the others; of a single point, all of it."""
    common = set.intersection(*(set(point.overrides) for point in points))
    kept = common if len(points) > 1 else set[str]()
    own = [[text for text in point.overrides if text not in kept] for point in points]
    return [{key: value for key, _, value in (t.partition("=") for t in texts)} for texts in own]


def spelled(command: str, argument: str) -> str:
    """The argument in the form that Hydra needs.

    `experiment=fig1` becomes `experiment={name:fig1}` where the command only names the file; Hydra
    would compose it otherwise.
    """
    if argument.partition("=")[0] not in ONLY_NAMED.get(command, ()):
        return argument
    return re.sub(r"(?<=[=,])[^,{}]+", r"{name:\g<0>}", argument)


class _Composer:
    """Composes configs of one command; what differs in tasks or plain values is composed once."""

    def __init__(self, command: str, own_files: Path | None) -> None:
        """Use inside `initialize_config_dir`."""
        self._command = command
        path = quoted(f"file://{own_files.resolve()}") if own_files else ""
        self._places = [f"hydra.searchpath=[{path}]"] if own_files else []
        self._composed = {} if own_files else _COMPOSED.setdefault((command, _state_of_conf()), {})

    def point(self, overrides: Sequence[Override]) -> Point:
        """These overrides, one value each, and the config as a command sees it."""
        tasks = [each for each in overrides if _is_task(each)]
        composed = self._compose([each for each in overrides if each not in tasks])
        if isinstance(composed.task, list):
            text = " ".join(str(each.input_line) for each in overrides)
            raise UserError(f"{text}: the task's file is a list", allowed="keys and values")
        # A task is a node of its own: nothing else depends on it but by interpolation.
        if composed.task not in TASK_NODES.values():
            composed, tasks = self._compose(overrides), []
        config: DictConfig = pickle.loads(composed.pickled)
        for override in tasks:
            OmegaConf.update(config, "task", TASK_NODES[str(override.value())], merge=False)
        for override in filter(_is_plain_value, overrides):
            OmegaConf.update(config, override.key_or_group, override.value())
        return Point(tuple(str(override.input_line) for override in overrides), config)

    def swept(self, overrides: Sequence[Override]) -> list[Override]:
        """What an experiment file sweeps over."""
        axes = self._compose(overrides).axes
        return _parser().parse_overrides([f"{key}={values}" for key, values in axes.items()])

    def _compose(self, overrides: Sequence[Override]) -> "_Composed":
        """Without the plain values."""
        kept = tuple(str(each.input_line) for each in overrides if not _is_plain_value(each))
        if kept not in self._composed:
            whole = compose(self._command, [*kept, *self._places], return_hydra_config=True)
            ours = OmegaConf.masked_copy(whole, [str(key) for key in whole if key != "hydra"])
            axes = whole.hydra.sweeper.get("params") or {}
            task = cast(dict[str, Any], OmegaConf.to_container(ours)).get("task")
            self._composed[kept] = _Composed(pickle.dumps(ours), task, axes)
        return self._composed[kept]


class _Composed(NamedTuple):
    """What Hydra made of a choice of groups."""

    pickled: bytes  # its config without Hydra's own part: read again in a tenth of a copy's time
    task: Any  # the node in it
    axes: Mapping[str, str]  # what its experiment sweeps over


# What has been composed of conf/ alone in this process, by the command and the files' state.
_COMPOSED: dict[tuple[str, frozenset[tuple[Path, int]]], dict[tuple[str, ...], _Composed]] = {}


def _state_of_conf() -> frozenset[tuple[Path, int]]:
    """The files of conf/, each with the time of its last change: a checkout's are edited."""
    files = config_dir().rglob("*.yaml")
    return frozenset((path, path.stat().st_mtime_ns) for path in files)


def _is_task(override: Override) -> bool:
    """Whether it is `task=name`."""
    is_change = override.type == OverrideType.CHANGE and override.key_or_group == "task"
    return is_change and str(override.value()) in TASK_NODES


def _is_plain_value(override: Override) -> bool:
    """Whether it is `key=value` with a key of ours, no group, no + or ~."""
    is_ours = override.type == OverrideType.CHANGE and not override.is_hydra_override()
    return is_ours and not choices(override.key_or_group)


@contextmanager
def _no_running_hydra() -> Iterator[None]:
    """Lets a command that Hydra runs compose the config of another one."""
    running = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        yield
    finally:
        if running is not None:
            GlobalHydra.instance().initialize(running)


def _recipe_problems(command: str, overrides: Sequence[Override]) -> Iterator[UserError]:
    """A model's folder or hub id has no recipe, and the default model's may not be meant."""
    given = {override.get_key_element(): override for override in overrides}
    path = given.get("model.path")
    if command != "train" or path is None or path.value() is None:
        return
    if not given.keys() & {"recipe", "model", "experiment"}:
        yield UserError(
            f"{path.input_line} does not say how it is trained",
            allowed=", ".join(f"recipe={name}" for name in choices("recipe")),
            fix="recipe=paper is for a T5 of the hub on a GPU, short for one on a CPU, "
            "mini for what the ladder's kin can learn",
        )


def _damaged_files(folder: Path | None) -> Iterator[UserError]:
    """The files of the user's that Hydra fails at without a name."""
    for path in sorted(folder.rglob("*.yaml")) if folder else ():
        try:
            OmegaConf.load(path)
        except (UnicodeDecodeError, RecursionError) as error:
            reason = "lists nested too deep" if isinstance(error, RecursionError) else error
            yield UserError(f"{path} cannot be read: {reason}", fix="write it as YAML, in UTF-8")


def hydra_problem(error: Exception) -> UserError:
    """Hydra's own complaint, where none of ours fits."""
    return UserError(
        " ".join(line.strip() for line in str(error).splitlines() if line.strip()),
        fix="see what can be set with ptune <command> --help",
    )


def _parser() -> OverridesParser:
    """Hydra's parser, which knows the groups of conf/ (for `task=glob(*)`)."""
    return OverridesParser.create(GlobalHydra.instance().config_loader())


def _readable(
    command: str, arguments: Sequence[str], problems: list[UserError], own_files: Path | None
) -> Iterator[Override]:
    """The arguments that have values, and name files that there are where they choose a file."""
    for argument in arguments:
        try:
            override = _parsed(command, argument)
        except UserError as error:
            problems.append(error)
            continue
        mistakes = [*_missing_choices(command, override, own_files)]
        if override.is_sweep_override() and not _elements(override):
            allowed = f"{override.key_or_group}=a,b,c or range(1,10), or a glob(...) that matches"
            mistakes.append(UserError(f"{argument} names no values to try", allowed=allowed))
        problems += mistakes
        spelling = spelled(command, argument)
        if not mistakes or spelling != argument:  # of a file that is only named nothing is composed
            yield from _parser().parse_overrides([spelling])


def _parsed(command: str, argument: str) -> Override:
    """The argument, read by Hydra.

    Raises:
        UserError: it cannot be read, or names more than anybody has the time for.
    """
    try:
        (override,) = _parser().parse_overrides([argument])
    except (HydraException, RecursionError, ValueError):  # ValueError: a number of 5,000 digits
        fix = f"write key={argument}"
        if "=" in argument:
            fix = "quote a value with spaces or special characters: 'key=\"value\"'"
        elif argument.startswith("-"):
            fix = f"leave it out: flags are for a shell, as in ptune {command} -m"
        unreadable = f"{argument} cannot be read"
        raise UserError(unreadable, allowed="key=value", fix=fix) from None
    group, value = override.key_or_group, override.value()
    if override.is_delete() and "." not in group and not isinstance(value, str | None):
        allowed = f"~{group}, or ~{group}=<the name of its file>"
        raise UserError(f"{argument} cannot be read", allowed=allowed, fix=f"write ~{group}")
    if _is_nested_deeply(value):
        allowed = f"lists and objects inside each other at most {MOST_NESTED} times"
        raise UserError(f"{argument} cannot be read", allowed=allowed)
    if _is_too_many(override):
        allowed = f"at most {MOST_RUNS:,}, in steps other than 0"
        raise UserError(f"{argument} names too many values", allowed=allowed)
    return override


def _is_nested_deeply(value: Any, most: int = MOST_NESTED) -> bool:
    """Whether lists and objects stand inside each other more often than `most` times."""
    if isinstance(value, ChoiceSweep):
        return any(_is_nested_deeply(each, most) for each in value.list)
    if isinstance(value, Mapping):
        value = [*value.values()]
    if not isinstance(value, list):
        return False
    return most == 0 or any(_is_nested_deeply(each, most - 1) for each in value)


def _is_too_many(override: Override) -> bool:
    """Whether a range has no end, or one that nobody has the time for."""
    values = override.value()
    if not isinstance(values, RangeSweep):
        return False
    try:
        return sum(1 for _ in islice(values.range(), MOST_RUNS + 1)) > MOST_RUNS
    except ValueError:  # range(0,3,0)
        return True


def _missing_choices(
    command: str, override: Override, own_files: Path | None
) -> Iterator[UserError]:
    """Files that an override chooses and nobody has, or the user's where ours come first."""
    group = override.key_or_group
    if override.is_hydra_override() or override.is_delete() or not choices(group):
        return
    if command == "report" and group == "experiment":  # some reports need no run
        return
    names = choices_with(own_files, group)
    for name in (text.strip("'\"") for text in _elements(override)):
        if name not in names:
            yield UserError(
                f"{group}={name}: there is no such {group}",
                allowed=", ".join(names),
                fix=did_you_mean(name, names)
                or f"--config-dir <folder>, if {group}/{name}.yaml is a file of yours",
            )
        elif own_files and (theirs := own_files / group / f"{name}.yaml").is_file():
            ours = config_dir() / group / theirs.name
            if ours.is_file() and ours.read_bytes() != theirs.read_bytes():
                problem = f"{theirs} is not read: {group}={name} is a file of ptune's"
                yield UserError(problem, fix="give it another name")


def _existing_keys(
    composer: _Composer, overrides: Sequence[Override], problems: list[UserError]
) -> list[Override]:
    """Without those that set a key which the config does not have."""
    choosing = [_first_point(o) for o in overrides if not _is_plain_value(o)]
    keys = _keys(OmegaConf.to_container(composer.point(choosing).config))
    unknown = [o for o in overrides if _is_plain_value(o) and o.key_or_group not in keys]
    problems += [unknown_key(override.key_or_group, keys) for override in unknown]
    return [override for override in overrides if override not in unknown]


def _several_values_problem(override: Override) -> UserError:
    key = override.key_or_group
    fix = f"add -m to sweep over them; one list is '{key}=[a,b]', one text '{key}=\"a, b\"'"
    return UserError(f"{override.input_line} names several values", fix=fix)


def _refuse_nested_sweep(
    composer: _Composer, overrides: Sequence[Override], own_files: Path | None
) -> None:
    """Raises a UserError of several experiments: Hydra would silently leave out their axes."""
    for override in overrides:
        if override.key_or_group != "experiment" or not override.is_sweep_override():
            continue
        rest = [_first_point(other) for other in overrides if other is not override]
        values = _with_values(override, _elements(override))
        if any(composer.swept([*rest, value]) for value in values):
            one = [values[0] if other is override else other for other in overrides]
            raise UserError(
                f"{override.input_line} names experiments, each of which is a sweep",
                fix=f"start them one after the other: {_started_with_m(one, own_files)}",
            )


def _started_with_m(overrides: Sequence[Override], own_files: Path | None) -> str:
    flags = ["-m", "--config-dir", str(own_files)] if own_files else ["-m"]
    return shlex.join(["ptune", "train", *flags, *(str(o.input_line) for o in overrides)])


def _sweep_problem(
    overrides: Sequence[Override], num_runs: int, own_files: Path | None
) -> UserError:
    """An experiment without -m: what it would start, and what its file says of the cost."""
    name = next(str(o.value()) for o in overrides if o.key_or_group == "experiment")
    path = config_dir() / "experiment" / f"{name}.yaml"
    if own_files is not None and not path.is_file():
        path = own_files / "experiment" / f"{name}.yaml"
    head = " ".join(re.findall("^# (?![@ ])(.*)", path.read_text(encoding="utf-8"), re.MULTILINE))
    cost = re.search(r"\d+ runs\b.*", head)
    problem = f"experiment={name} would start {num_runs} run{'s' if num_runs > 1 else ''}"
    if cost:
        problem += f"\n  in full: {cost[0]}"
    return UserError(problem, fix=f"add -m to start them: {_started_with_m(overrides, own_files)}")


def _elements(override: Override) -> list[str]:
    """The override's value or, of a sweep, its values; none of an interval, which has no end."""
    if not override.is_sweep_override():
        return [override.get_value_element_as_str()]
    return list(override.sweep_string_iterator()) if override.is_discrete_sweep() else []


def _first_point(override: Override) -> Override:
    """The override, or with the first of the values that it names."""
    return _with_values(override, _elements(override)[:1])[0]


def _with_values(override: Override, elements: Sequence[str]) -> list[Override]:
    """The override once for each of some of its values; each costs a fifth of a millisecond."""
    if not override.is_sweep_override():
        return [override]
    key = override.get_key_element()
    return _parser().parse_overrides([f"{key}={element}" for element in elements])


def _keys(values: Any, prefix: str = "") -> list[str]:
    """Every key and section, dotted."""
    if not isinstance(values, Mapping):
        return []
    own = [f"{prefix}{name}" for name in values]
    return own + [key for name in values for key in _keys(values[name], f"{prefix}{name}.")]
