"""What a run says on the terminal: header, live progress, a line an evaluation, a closing line.

Everything but the bar is kept in the run's log.txt as well.
"""

import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from prompt_tuning.interrupts import silence_stdout

PACKAGE_LOGGER = "prompt_tuning"
_prefix: ContextVar[str] = ContextVar("prefix", default="")  # of every line on the terminal
_has_bars: ContextVar[bool] = ContextVar("has_bars", default=True)
_status: ContextVar[Callable[[], str] | None] = ContextVar("status", default=None)
SECONDS_OF_A_STATUS = 5.0  # then it is asked for again: it may read many folders


@contextmanager
def prefixed(
    text: str, *, has_bars: bool = True, status: Callable[[], str] | None = None
) -> Iterator[None]:
    """Lines that are printed inside begin with `text`; those of a log file do not.

    Args:
        text: the beginning.
        has_bars: False where several processes would draw them over each other.
        status: what stands in a line of its own below the bars; None: nothing.
    """
    prefix, bars, below = _prefix.set(text), _has_bars.set(has_bars), _status.set(status)
    try:
        yield
    finally:
        _prefix.reset(prefix)
        _has_bars.reset(bars)
        _status.reset(below)


def is_prefixed() -> bool:
    """Whether lines are one run's among others."""
    return bool(_prefix.get())


class _Console(Console):
    """Rich's, but a reader that goes away (`ptune train | head -1`) does not end the run."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        silence_stdout()


def say(text: str) -> None:
    """One line on the terminal, at once.

    Its end is written with it: another process may write to the same terminal in between.
    """
    try:
        print(f"{_prefix.get()}{text}\n", end="", flush=True)
    except BrokenPipeError:
        silence_stdout()


def print_table(table: Table) -> None:
    """A table as wide as the terminal; where output is no terminal, no line is broken."""
    width = None if sys.stdout.isatty() else 1000
    _Console(width=width, highlight=False, markup=False).print(table)


def bar_columns(name: str, note: str) -> list[ProgressColumn]:
    """What a progress bar shows: a name before it, a note behind it, both as Rich formats them."""
    counts = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return [TextColumn(name), *counts, TextColumn(note)]


class _Bars(Progress):
    """Progress bars above a line on what they are a part of."""

    def __init__(self, status: Callable[[], str] | None, *columns: Any, **settings: Any) -> None:
        self._status, self._shown, self._asked = status, "", -SECONDS_OF_A_STATUS
        super().__init__(*columns, **settings)

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        if self._status is not None:
            if time.monotonic() - self._asked >= SECONDS_OF_A_STATUS:
                self._shown, self._asked = self._status(), time.monotonic()
            yield Text(self._shown, no_wrap=True, overflow="ellipsis")


class Reporter(logging.Handler):
    """Prints the lines of one run, and what the package logs while the run lasts."""

    def __init__(self, log_path: Path) -> None:
        """Opens `log_path` for appending; use as a context manager."""
        super().__init__(level=logging.INFO)
        self._console = _Console(highlight=False, soft_wrap=True)
        self._log = log_path.open("a", encoding="utf-8")
        self._bars = _Bars(
            _status.get(),
            *bar_columns("{task.description}", "{task.fields[note]}"),
            console=self._console,
            transient=True,
            disable=not (self._console.is_terminal and _has_bars.get()),
        )

    def __enter__(self) -> Self:
        logger = logging.getLogger(PACKAGE_LOGGER)
        logger.setLevel(logging.INFO)
        logger.addHandler(self)
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self._bars.stop()
        logging.getLogger(PACKAGE_LOGGER).removeHandler(self)
        self._log.close()

    def emit(self, record: logging.LogRecord) -> None:
        """Prints a log message of the package."""
        level = "" if record.levelno < logging.WARNING else f"{record.levelname.lower()}: "
        self.line(f"{level}{record.getMessage()}")

    def line(self, text: str) -> None:
        """One line on the terminal and, with its time, in the log."""
        self._console.print(f"{_prefix.get()}{text}", markup=False)
        self._log.write(f"{datetime.now().isoformat(timespec='seconds')} {text}\n")
        self._log.flush()

    def header(self, title: str, facts: Mapping[str, object]) -> None:
        """The title, and one aligned line for each fact."""
        width = max(len(name) for name in facts)
        self.line(title)
        for name, value in facts.items():
            self.line(f"  {name:<{width}}  {value}")

    def bar(self, description: str, total: int, completed: int = 0) -> "Bar":
        """A live progress bar; invisible where output is not a terminal."""
        task = self._bars.add_task(
            f"{_prefix.get()}{description}", total=total, completed=completed, note=""
        )
        return Bar(self._bars, task)


class Bar:
    def __init__(self, bars: Progress, task: TaskID) -> None:
        self._bars = bars
        self._task = task

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Moves the bar on and shows `note` at its end."""
        self._bars.update(self._task, advance=steps, note=note)

    def remove(self) -> None:
        self._bars.remove_task(self._task)


def scores_line(metrics: Mapping[str, float], score: float | None) -> str:
    """ "f1 88.1  exact_match 80.0  score 84.1"; a missing score is a dash."""
    parts = [f"{name} {value:.2f}" for name, value in metrics.items()]
    return "  ".join([*parts, f"score {'-' if score is None else f'{score:.2f}'}"])


def scored_line(result: Mapping[str, Any]) -> str:
    """A result's scores and the number of its unparseable answers, or that it has no labels."""
    if result["score"] is None:
        return "no labels, predictions only"
    return (
        f"{scores_line(result['metrics'], result['score'])}  "
        f"unparseable {result['num_unparseable']}/{result['num_examples']}"
    )
