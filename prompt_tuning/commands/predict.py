"""`ptune predict`: rows of mixed tasks in, answers out, each under its own prompt."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig
from rich.console import Console
from rich.progress import Progress

from prompt_tuning.commands.answers import (
    check_output,
    continued,
    is_stdout,
    opened_output,
    written,
)
from prompt_tuning.config import PredictConfig, typed
from prompt_tuning.config_checks import untold_problems
from prompt_tuning.errors import UserError, raise_all
from prompt_tuning.prompt_files import (
    RUN_FILE,
    PromptFile,
    library_paths,
    load_prompt,
    mixed_models,
    prompt_file,
)
from prompt_tuning.rows import STDIN, check_readable, opened, prompt_named_in, row_in
from prompt_tuning.task_data import task_of, task_of_prompt
from prompt_tuning.terminal import bar_columns

if TYPE_CHECKING:
    from prompt_tuning.use import Predictor

Files = Mapping[str, PromptFile | UserError]  # by name, prompts or why they cannot be read


def check(cfg: DictConfig) -> PredictConfig:
    """What to predict, or why not; loads no model and writes nothing."""
    config = config_of(cfg)
    check_readable(config.input, key="input")
    check_output(Path(config.output), config.input)
    return config


def config_of(cfg: DictConfig) -> PredictConfig:
    """The prompts and how they answer, whatever is asked; raises as `check`."""
    config = typed(PredictConfig, cfg)
    if config.probabilities and config.rank != "labels":
        raise UserError("probabilities=true are those of class labels", fix="add rank=labels")
    files = read_prompts(config)
    if config.library is None:
        _check_told(config, _readable(files))
    return config


def run(config: PredictConfig) -> None:
    """Answers the lines of input that the output has no line for."""
    files = read_prompts(config)
    prompts = prompts_of_rows(config, files)
    output = Path(config.output)
    try:
        with opened(config.input) as lines, opened_output(output) as file:
            num_done, remaining = continued(file, iter(lines), output, _only(config, prompts))
            predictor = _predictor(config, prompts, files)
            model = predictor.checkpoint
            print(f"model    {model.source}: {model.num_parameters:,} parameters", file=sys.stderr)
            print(f"prompts  {', '.join(prompts)}", file=sys.stderr)
            num_lines, num_errors, started = 0, 0, time.monotonic()
            with _bar(config.input, num_done) as bar:
                answers = predictor.answers(remaining, bar)
                for answer in written(answers, output, file, predictor.labels):
                    num_lines, num_errors = num_lines + 1, num_errors + ("error" in answer)
            speed = num_lines / (time.monotonic() - started)
    except OSError as error:
        if error.filename or isinstance(error, BrokenPipeError):
            raise
        raise UserError(f"output={output} cannot be written: {error.strerror}") from error
    if predictor.num_long:
        from prompt_tuning.evaluation import long_inputs  # imports torch, as the model has

        print(f"long     {long_inputs(predictor.num_long)}", file=sys.stderr)
    resumed = f", after {num_done:,} that were there" if num_done else ""
    counts = f"{num_lines:,} lines{resumed}, {num_errors:,} of them errors, {speed:,.1f} rows/s"
    print(f"{output}: {counts}", file=sys.stderr if is_stdout(output) else sys.stdout)
    if num_errors:
        raise UserError(f"{num_errors:,} of {num_lines:,} rows have no answer", fix=f"see {output}")


@contextmanager
def _bar(rows: str, num_done: int) -> Iterator[Callable[[int], None]]:
    """A live bar on standard error; yields what moves it on by a number of rows."""
    total = None
    if Path(rows).is_file():
        with opened(rows) as lines:
            total = sum(1 for _ in lines) - num_done
    console = Console(stderr=True)
    columns = bar_columns("predicting", "{task.speed:.1f} rows/s")
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("", total=total)
        yield lambda num_rows: bar.advance(task, num_rows)


def predictor_of(config: PredictConfig) -> Predictor:
    """Every prompt that the config names, in front of their model."""
    files = read_prompts(config)
    prompts = _readable(files)
    _check_told(config, prompts)
    return _predictor(config, prompts, files)


def _predictor(config: PredictConfig, prompts: Mapping[str, PromptFile], files: Files) -> Predictor:
    """Loads the model and puts the prompts in front of it."""
    import torch

    from prompt_tuning.model_choice import load_model_of, variant_of
    from prompt_tuning.use import LoadedPrompt, Predictor

    by_path = {Path(name): prompt for name, prompt in prompts.items()}
    cache = Path(config.cache_dir)
    checkpoint = load_model_of(by_path, config.model, config.variant, config.machine, cache)
    loaded: dict[str, LoadedPrompt | UserError] = {**_unreadable(files)}
    for name, prompt in prompts.items():
        task = task_of_prompt(prompt.metadata)
        loaded[name] = LoadedPrompt(
            torch.from_numpy(prompt.weight).to(checkpoint.model.device),
            variant_of(config.variant, prompt).target_sentinel,
            task_of(task) if task else None,
        )
    return Predictor(checkpoint, loaded, tasks_of(files), config, _only(config, prompts))


def _only(config: PredictConfig, prompts: Mapping[str, PromptFile]) -> str | None:
    """The prompt of all rows, whatever they name; None: a row names its own."""
    return next(iter(prompts)) if config.prompt is not None else None


def read_prompts(config: PredictConfig) -> dict[str, PromptFile | UserError]:
    """Every prompt by its name, or what is wrong with a file of the library.

    Raises:
        UserError: there is none, or one that `prompts` names cannot be read; all of them at once.
    """
    named = {name: Path(path) for name, path in (config.prompts or {}).items()}
    if config.prompt is not None:
        if config.prompts or config.library:
            raise UserError("prompt= is for every row", fix="leave prompts= and library= out")
        named = {_name_of(Path(config.prompt)): Path(config.prompt)}
    library = {} if config.library is None else library_paths(Path(config.library))
    files = {name: _read(path) for name, path in (library | named).items()}
    raise_all(error for name, error in _unreadable(files).items() if name in named)
    if not files:
        where = f" in library={config.library}" if config.library else ""
        raise UserError(
            f"there is no prompt{where}",
            fix="give prompt=<file or run>, 'prompts={name: file}' or library=<folder>",
        )
    return files


def _readable(files: Files) -> dict[str, PromptFile]:
    return {name: file for name, file in files.items() if isinstance(file, PromptFile)}


def _unreadable(files: Files) -> dict[str, UserError]:
    return {name: file for name, file in files.items() if isinstance(file, UserError)}


def _check_told(config: PredictConfig, prompts: Mapping[str, PromptFile]) -> None:
    """Raises what is not known of the model that the prompts belong to."""
    problems: list[UserError] = []
    for name, prompt in prompts.items():
        has_variant = config.variant is not None or "variant" in prompt.metadata
        problems += untold_problems(name, prompt, config.model, has_variant=has_variant)
    raise_all(problems)


def _name_of(path: Path) -> str:
    """A prompt's name in the answers: that of its file, or of the folder of its run."""
    return path.resolve().parent.name if path.name == RUN_FILE else path.resolve().stem


def _read(path: Path) -> PromptFile | UserError:
    try:
        return load_prompt(prompt_file(path))
    except UserError as error:
        return error


def tasks_of(files: Files) -> dict[str, str | None]:
    """The task that each prompt was trained on; None: it does not say, or cannot be read."""
    tasks = {name: prompt.metadata.get("task") for name, prompt in _readable(files).items()}
    return {name: tasks.get(name) for name in files}


def prompts_of_rows(config: PredictConfig, files: Files) -> dict[str, PromptFile]:
    """The prompts that rows of the input ask for; all that are whole, where it is read only once.

    Raises:
        UserError: a row asks for one that cannot be read, there is no other, or they are of several
            models; names a row of each.
    """
    is_read_twice = config.input != STDIN and config.prompt is None
    first_rows = first_row_of_each(config.input, tasks_of(files)) if is_read_twice else {}
    wanted = {name: files[name] for name in first_rows or files}
    prompts = _readable(wanted)
    if first_rows or not prompts:
        raise_all(_unreadable(wanted).values())
    if is_read_twice and not first_rows:  # no row can be answered: whichever model says so
        prompts = dict([next(iter(prompts.items()))])
    _check_told(config, prompts)
    places = {name: f"{name} (row {number})" for name, number in first_rows.items()}
    raise_all(mixed_models({places.get(name, name): prompts[name] for name in prompts}))
    return prompts


def first_row_of_each(rows: str, tasks: Mapping[str, str | None]) -> dict[str, int]:
    """The number, from 1, of the first row of a file that each prompt is to answer.

    `tasks` is as in `prompt_named_in`. A row that names no prompt is left to its line's error.
    """
    first_rows: dict[str, int] = {}
    with opened(rows) as lines:
        for number, line in enumerate(lines, start=1):
            with suppress(ValueError):
                first_rows.setdefault(prompt_named_in(row_in(line), tasks), number)
    return first_rows
