"""`ptune predict`: rows of mixed tasks in, answers out, each under its own prompt."""

from __future__ import annotations

import json
import os
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import chain, takewhile
from pathlib import Path
from typing import IO, TYPE_CHECKING

from omegaconf import DictConfig
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from prompt_tuning.config import PredictConfig, typed
from prompt_tuning.errors import UserError, raise_all
from prompt_tuning.locking import hold
from prompt_tuning.prompt_files import (
    PromptFile,
    library_paths,
    load_prompt,
    mixed_models,
    prompt_of,
)
from prompt_tuning.rows import STDIN, check_readable, opened, row_in

if TYPE_CHECKING:
    from prompt_tuning.use import Predictor

OF_ANSWERS = ("prediction", "probabilities", "error")  # fields that are the answer's, not the row's


def check(cfg: DictConfig) -> PredictConfig:
    """What to predict, or why not; loads no model and writes nothing."""
    config = typed(PredictConfig, cfg)
    check_readable(config.input, key="input")
    _check_output(config)
    if config.probabilities and not config.rank:
        raise UserError("probabilities=true are those of class labels", fix="add rank=labels")
    read_prompts(config)
    return config


def run(config: PredictConfig) -> None:
    """Answers the lines of input that the output has no line for."""
    found = read_prompts(config)
    prompts = prompts_of_rows(config, found)
    output = Path(config.output)
    try:
        with opened(config.input) as lines, _opened_output(output) as answers:
            num_done, remaining = continued(answers, iter(lines), output)
            predictor = _predictor(config, prompts, tasks_of(found))
            model = predictor.checkpoint
            print(f"model    {model.source}: {model.num_parameters:,} parameters", file=sys.stderr)
            print(f"prompts  {', '.join(prompts)}", file=sys.stderr)
            num_lines, num_errors, started = 0, 0, time.monotonic()
            with _bar(config.input, num_done) as bar:
                for answer in predictor.answers(remaining, bar):
                    answers.write(json.dumps(answer, ensure_ascii=False).encode() + b"\n")
                    num_lines, num_errors = num_lines + 1, num_errors + ("error" in answer)
            speed = num_lines / (time.monotonic() - started)
    except OSError as error:
        raise UserError(f"output={output} cannot be written: {error.strerror}") from error
    resumed = f", after {num_done:,} that were there" if num_done else ""
    counts = f"{num_lines:,} lines{resumed}, {num_errors:,} of them errors, {speed:,.1f} rows/s"
    print(f"{output}: {counts}")


def continued(output: IO[bytes], lines: Iterator[bytes], path: Path) -> tuple[int, Iterable[bytes]]:
    """Counts the answers that an output has already, and returns the lines without one.

    An unfinished last answer is cut off, and nothing else is touched.

    Raises:
        UserError: the output holds anything but answers to the first of these lines.
    """
    if not stat.S_ISREG(os.fstat(output.fileno()).st_mode):
        return 0, lines
    num_done = end = 0
    output.seek(0)
    for number, answer in enumerate(output):
        line = next(lines, None)
        begins = b"" if line is None else _beginning_of_answer(line)
        is_whole = answer.endswith(b"\n")
        if line is None or not (
            _is_answer(answer, begins)
            if is_whole
            else answer.startswith(begins) or begins.startswith(answer)
        ):
            raise UserError(
                f"output={path}: line {number + 1} is not the answer to line {number + 1} of input",
                fix="name another output; one that exists must hold answers to this input",
            )
        if not is_whole:
            output.truncate(end)
            return number, chain([line], lines)
        num_done, end = number + 1, end + len(answer)
    return num_done, lines


def _beginning_of_answer(line: bytes) -> bytes:
    """What the answer to a line starts with: the row's own fields."""
    row = {}
    with suppress(ValueError):
        row = row_in(line)
    own = dict(takewhile(lambda field: field[0] not in OF_ANSWERS, row.items()))
    return json.dumps(own, ensure_ascii=False).encode()[:-1]


def _is_answer(line: bytes, begins: bytes) -> bool:
    try:
        return line.startswith(begins) and not {"prediction", "error"}.isdisjoint(row_in(line))
    except ValueError:
        return False


def _check_output(config: PredictConfig) -> None:
    """Raises a UserError if the output is the input, by whatever name, or can be no file."""
    output = Path(config.output)
    if not output.parent.is_dir() or output.is_dir():
        raise UserError(
            f"output={output} is no file in a folder that exists", fix="make the folder"
        )
    if not output.exists():
        return
    if config.input == STDIN:
        with suppress(OSError, ValueError):  # no descriptor: nothing that could be a file
            taken = os.fstat(sys.stdin.fileno())
            if stat.S_ISREG(taken.st_mode) and os.path.samestat(taken, output.stat()):
                raise UserError("output is the file on standard input", fix="name another output")
    elif output.samefile(config.input):
        raise UserError("input and output are the same file", fix="name another output")


def _opened_output(path: Path) -> IO[bytes]:
    """The file for reading and appending, locked; a device or a pipe for writing alone."""
    if path.exists() and not path.is_file():
        return path.open("wb")
    file = path.open("a+b")
    try:
        hold(file, f"output={path}")
    except BaseException:
        file.close()
        raise
    return file


@contextmanager
def _bar(rows: str, num_done: int) -> Iterator[Callable[[int], None]]:
    """A live bar on standard error; yields what moves it on by a number of rows."""
    total = None
    if Path(rows).is_file():
        with opened(rows) as lines:
            total = sum(1 for _ in lines) - num_done
    console = Console(stderr=True)
    columns = (
        TextColumn("predicting"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.speed:.1f} rows/s"),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("", total=total)
        yield lambda num_rows: bar.advance(task, num_rows)


def _predictor(
    config: PredictConfig, prompts: Mapping[str, PromptFile], tasks: Mapping[str, str | None]
) -> Predictor:
    """Loads the model and puts the prompts in front of it."""
    import torch

    from prompt_tuning.model_choice import load_model_of, variant_of
    from prompt_tuning.use import Answering, Predictor, Prompt

    by_path = {Path(name): prompt for name, prompt in prompts.items()}
    cache = Path(config.cache_dir)
    checkpoint = load_model_of(by_path, config.model, config.variant, config.machine, cache)
    loaded = {
        name: Prompt(
            torch.from_numpy(prompt.weight).to(checkpoint.model.device),
            variant_of(config.variant, prompt).target_sentinel,
        )
        for name, prompt in prompts.items()
    }
    how = Answering(
        rank=config.rank,
        probabilities=config.probabilities,
        max_input_tokens=config.max_input_tokens,
        max_target_tokens=config.max_target_tokens,
        max_tokens=config.machine.max_tokens_per_micro_batch,
        rows_in_memory=config.rows_in_memory,
    )
    return Predictor(checkpoint, loaded, tasks, how)


def read_prompts(config: PredictConfig) -> dict[str, PromptFile | UserError]:
    """Every prompt by its name, or what is wrong with a file of the library.

    Raises:
        UserError: there is none, or one that `prompts` names cannot be read; all of them at once.
    """
    named = {name: Path(path) for name, path in (config.prompts or {}).items()}
    library = {} if config.library is None else library_paths(Path(config.library))
    found = {name: _read(path) for name, path in (library | named).items()}
    raise_all(each for name, each in found.items() if name in named and isinstance(each, UserError))
    if not found:
        where = f" in library={config.library}" if config.library else ""
        raise UserError(
            f"there is no prompt{where}",
            fix="give 'prompts={name: file.safetensors}', or library=<folder of files or runs>",
        )
    return found


def _read(path: Path) -> PromptFile | UserError:
    try:
        return load_prompt(path)
    except UserError as error:
        return error


def tasks_of(found: Mapping[str, PromptFile | UserError]) -> dict[str, str | None]:
    """The task that each prompt was trained on; None: it does not say, or cannot be read."""
    return {
        name: None if isinstance(each, UserError) else each.metadata.get("task")
        for name, each in found.items()
    }


def prompts_of_rows(
    config: PredictConfig, found: Mapping[str, PromptFile | UserError]
) -> dict[str, PromptFile]:
    """The prompts that rows of the input ask for; all of them, where it can be read only once.

    Raises:
        UserError: one cannot be read, or they are of several models; names a row of each.
    """
    tasks = tasks_of(found)
    first_row: dict[str, str] = {}  # of each prompt
    if config.input == STDIN:
        first_row = dict.fromkeys(found, "")
    else:
        with opened(config.input) as lines:
            for number, line in enumerate(lines, start=1):
                with suppress(ValueError):  # it gets an error in its line
                    first_row.setdefault(prompt_of(row_in(line), tasks), f" (row {number})")
    wanted = {name: found[name] for name in first_row or found}
    raise_all(each for each in wanted.values() if isinstance(each, UserError))
    prompts = {name: each for name, each in wanted.items() if isinstance(each, PromptFile)}
    if first_row:
        raise_all(mixed_models({name + first_row[name]: each for name, each in prompts.items()}))
    else:  # no row can be answered: whichever model says so
        prompts = dict([next(iter(prompts.items()))])
    return prompts
