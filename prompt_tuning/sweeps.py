"""A sweep as one watches it: how far it is before each of its runs, and a table of all at its end.

Everything is read from the runs' folders, so that processes which share a sweep say the same.
"""

import shlex
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from statistics import mean, stdev
from typing import Any

from rich.table import Table

from prompt_tuning.errors import UserError, raise_all
from prompt_tuning.run_folder import RunFolder, scores_by_split
from prompt_tuning.terminal import prefixed, print_table, say

SEED = "seed"  # the axis that a table takes the mean over


@dataclass(frozen=True)
class SweepRun:
    axes: Mapping[str, str]  # what distinguishes it from the others: {"task": "rte", "seed": "0"}
    folder: RunFolder

    @property
    def label(self) -> str:
        """The same as on the command line: "task=rte seed=0"."""
        return " ".join(f"{key}={value}" for key, value in self.axes.items())

    @cached_property
    def scores(self) -> dict[str, float]:
        """A finished run's scores by split; the one that chose its step comes first."""
        record = self.folder.record()
        scored = scores_by_split(record["result"]) if record else []
        return {part["split"]: part["score"] for part in scored if part.get("score") is not None}

    def is_done(self, since: float = 0.0) -> bool:
        """Whether it has a record, written after a time in seconds since 1970."""
        return _written_after(since, self.folder.record_path)

    def has_failed(self, since: float) -> bool:
        """Whether its last attempt failed, after a time in seconds since 1970.

        The record of an earlier start may still be there.
        """
        return _written_after(since, self.folder.failure_path)


def _written_after(since: float, path: Any) -> bool:
    try:
        return bool(path.stat().st_mtime >= since)
    except OSError:
        return False


@dataclass(frozen=True)
class Sweep:
    """The runs of one command line, in the order in which they are done."""

    runs: Sequence[SweepRun]
    began: float = field(default_factory=time.time)  # seconds since 1970

    def __post_init__(self) -> None:
        """Raises a UserError if a run is named twice: it is no sample of two."""
        counts = Counter(str(run.folder.path) for run in self.runs)
        raise_all(
            UserError(f"{path}: this sweep names one run {number} times", fix="name it once")
            for path, number in counts.items()
            if number > 1
        )

    @contextmanager
    def doing(self, folder: RunFolder, *, is_alone: bool) -> Iterator[None]:
        """Says which run begins and how far the sweep is; the run's own lines get its number.

        It has bars if it `is_alone`: no other process writes to the same terminal.
        """
        folders = [run.folder for run in self.runs]
        if folder not in folders:  # a job on a machine that names it otherwise
            with prefixed(f"{folder.name}  ", has_bars=is_alone):
                yield
            return
        number = folders.index(folder) + 1
        if not self.runs[number - 1].is_done():
            say(self.progress_line(number))
        prefix, status = f"{number}/{len(self.runs)}  ", partial(self.progress_line, number)
        with prefixed(prefix, has_bars=is_alone, status=status):
            yield

    def progress_line(self, number: int, now: float | None = None) -> str:
        """Such as "run 12 of 45: seed=1 (3 done before, 8 done, about 1 h 10 min left)".

        The time left supposes that runs take as long as those that this sweep has done so far.
        `number` is counted from 1; `now` is in seconds since 1970, None: the clock's.
        """
        elapsed = (time.time() if now is None else now) - self.began
        going = [run for run in self.runs if not run.has_failed(self.began)]
        failed = len(self.runs) - len(going)
        done = sum(run.is_done(self.began) for run in going)
        before = sum(run.is_done() for run in going) - done
        left = len(self.runs) - before - done - failed
        counts = ((before, "done before"), (done, "done"), (failed, "failed"))
        facts = [f"{count} {what}" for count, what in counts if count]
        if done:
            facts.append(f"about {_in_words(elapsed / done * left)} left")
        label = self.runs[number - 1].label
        return f"run {number} of {len(self.runs)}: {label}" + f" ({', '.join(facts)})" * bool(facts)

    def print_results(self) -> None:
        """A line for each place on the axes, and the best run of each task with its folder.

        The best run is the best where its step was chosen: the reported split chooses nothing.
        """
        scored = [run for run in self.runs if run.scores]
        if not scored:
            return
        print_table(self._table())
        for task in dict.fromkeys(run.axes.get("task") for run in scored):
            runs = [run for run in scored if run.axes.get("task") == task]
            best = max(runs, key=_chosen_by)
            shown = "  ".join(f"{split} {score:.2f}" for split, score in best.scores.items())
            say(f"best: {shown}  {best.label}  {best.folder.path}")
        if len(scored) > 1:
            ranked = sorted(scored, key=_chosen_by, reverse=True)
            best_and_worst = [str(ranked[place].folder.path) for place in (0, -1)]
            say(f"next: {shlex.join(['ptune', 'compare', *best_and_worst])}")

    def _table(self) -> Table:
        axes = [key for key in self.runs[0].axes if key != SEED] or [*self.runs[0].axes]
        splits = [*dict.fromkeys(split for run in self.runs for split in run.scores)]
        table = Table(*axes, box=None, pad_edge=False, header_style="")
        for split in splits:
            table.add_column(split, justify="right")
            table.add_column("sd", justify="right")
        table.add_column("runs", justify="right")
        places: dict[tuple[str, ...], list[SweepRun]] = {}
        for run in self.runs:
            places.setdefault(tuple(run.axes[key] for key in axes), []).append(run)
        for place, runs in places.items():
            cells = [cell for split in splits for cell in _mean_and_sd(runs, split)]
            done = sum(bool(run.scores) for run in runs)
            table.add_row(*place, *cells, f"{done} of {len(runs)}")
        return table


def _chosen_by(run: SweepRun) -> float:
    """The score that chose the run's step."""
    return next(iter(run.scores.values()))


def _mean_and_sd(runs: Sequence[SweepRun], split: str) -> tuple[str, str]:
    """Mean and deviation of the runs that have a score there; a dash stands for none."""
    scores = [run.scores[split] for run in runs if split in run.scores]
    return (
        f"{mean(scores):.2f}" if scores else "-",
        f"{stdev(scores):.2f}" if len(scores) > 1 else "-",
    )


def _in_words(seconds: float) -> str:
    """40 s, 12 min, 1 h 10 min."""
    minutes = round(seconds / 60)
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
