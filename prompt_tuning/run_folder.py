"""The folder of a run: its files, its lock, how far it is, what it scored; imports no torch.

The record is written last, by atomic rename: a folder with a record is a finished run.
"""

import errno
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prompt_tuning.errors import as_user_error, printable
from prompt_tuning.files import json_lines, read_json, with_checksum, write_json
from prompt_tuning.interrupts import Pruned
from prompt_tuning.locking import holder_of, locked
from prompt_tuning.resume_points import step_of

STATES = ("done", "running", "failed", "stopped", "missing")
Result = Mapping[str, Any]  # of a record: split, metrics, score; under `report` those of another


def scores_by_split(result: Result) -> list[Result]:
    """Those of the split that chose the step, then those of the split that is reported, if another.

    None of a run that has no scores.
    """
    return [scores for scores in (result, result.get("report")) if scores and "split" in scores]


def reported_scores(result: Result) -> Result:
    """Those of the split that chose nothing, where there is one."""
    return result.get("report") or result


@dataclass(frozen=True)
class RunState:
    """One of `STATES`, and what there is to say about it."""

    name: str
    detail: str = ""


class _File:
    """A file of every run's folder."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, folder: "RunFolder", owner: type) -> Path:
        return folder.path / self._name


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run; its name ends in a hash and is the run's name in W&B too."""

    path: Path

    @property
    def name(self) -> str:
        """Such as rte-base-lm_adapted-class_label-P100-s0-3f2a91c0."""
        return self.path.name

    record_path = _File("record.json")  # exists once the run is finished
    config_path = _File("config.json")  # exists once the run has started
    resume_path = _File("resume.pt")  # where an unfinished run goes on
    failure_path = _File("failure.json")  # exists if the last attempt failed
    lock_path = _File("lock")  # locked while a process works on the run
    curves_path = _File("metrics.jsonl")  # what was measured, a step a line
    log_path = _File("log.txt")  # what the run said on the terminal
    prompt_path = _File("prompt.safetensors")  # the prompt of the best step
    prompt_text_path = _File("prompt.txt")  # what a frozen model is shown (prompt design)
    model_path = _File("model")  # the model of the best step, a folder in the hub's layout

    @property
    def cache(self) -> Path:
        """Shared by the runs beside this one."""
        return self.path.parent / "cache"

    def predictions_path(self, name: int | str = "predictions", task: str = "") -> Path:
        """Predictions of a step while training, or of a finished prompt under a name.

        Those of one task among several have a folder by its name.
        """
        file = name if isinstance(name, str) else f"step-{name:06d}"
        return self.path / "predictions" / task / f"{file}.jsonl"

    def predictions(self, name: int | str) -> list[dict[str, Any]]:
        """The lines of such a file: idx, targets, label, prediction; none of a damaged one.

        Those of earlier versions have no label.
        """
        lines, num_damaged = json_lines(self.predictions_path(name))
        texts = [line.get(key) for line in lines for key in ("targets", "prediction")]
        is_whole = not num_damaged and all("idx" in line for line in lines)
        return lines if is_whole and all(isinstance(text, str) for text in texts) else []

    def reported_predictions(self, result: Result) -> list[dict[str, Any]]:
        """Those on the split that is reported; none where none were kept, as of `predictions`."""
        name = "report" if result.get("report") else result.get("best_step", "predictions")
        return self.predictions(name)

    def record(self) -> dict[str, Any] | None:
        """The record of a finished run; None of any other, and, with a warning, a damaged one."""
        return read_json(self.record_path, result=dict)

    def failure(self) -> dict[str, Any] | None:
        """What the last attempt failed of; None if it did not fail, or its file is damaged."""
        return read_json(self.failure_path, error=str, is_users=bool)

    def config(self) -> dict[str, Any] | None:
        """What the run was started with; None as of `record`."""
        return read_json(self.config_path)

    def curve(self) -> list[tuple[int, float, float | None]]:
        """Evaluations on the split that chooses the step: step, score, seconds of training so far.

        Seconds are None where no clock was logged. Lines that are damaged are left out.
        """
        logged, _ = json_lines(self.curves_path)
        names = ("step", "eval/score", "time/duration_s")
        points = [tuple(line.get(name) for name in names) for line in logged]
        numbers = (int, float)
        return [
            (step, score, seconds if isinstance(seconds, numbers) else None)
            for step, score, seconds in points
            if isinstance(step, int) and isinstance(score, numbers)
        ]

    def state(self) -> RunState:
        """Running while a process holds the lock; else what that process left behind."""
        if holder := holder_of(self.lock_path):
            return RunState("running", holder)
        if self.record_path.exists():
            if self.record() is not None:
                return RunState("done")
            return RunState("failed", f"{self.record_path} cannot be read: start the run again")
        if failure := self.failure():
            return RunState("failed", printable(failure["error"]))
        if not self.config_path.exists():
            return RunState("missing")
        step = step_of(self.resume_path)
        if step is None:
            return RunState("stopped", "before its first resume point: it starts again")
        return RunState("stopped", f"goes on at step {step}")

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """The run is this process's own; an exception inside leaves its reason in failure.json.

        Raises:
            InProgress: another process has claimed it.
        """
        with locked(self.lock_path, self.name):
            self.failure_path.unlink(missing_ok=True)
            try:
                yield
            except Pruned:
                raise
            except Exception as error:
                if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                    error.filename = error.filename or str(self.path)  # a write names no file
                self._fail(error)
                raise

    def start(self, config: Mapping[str, Any]) -> None:
        """Makes the folder, plainly unfinished, with the resolved config in it."""
        self.path.mkdir(parents=True, exist_ok=True)
        if self.record_path.exists():
            self.resume_path.unlink(missing_ok=True)  # of a process that died as it finished
            self.record_path.unlink()
        write_json(self.config_path, config)

    def finish(self, record: Mapping[str, Any]) -> None:
        """Marks the run as finished; nothing is left to resume."""
        write_json(self.record_path, with_checksum(record))
        self.resume_path.unlink(missing_ok=True)

    def tidy(self) -> None:
        """Removes from a finished run what a process left to resume that died as it finished."""
        with suppress(OSError):  # a folder to look at and not to write in
            self.resume_path.unlink(missing_ok=True)

    def _fail(self, error: Exception) -> None:
        """Writes the reason down; where that fails too, the error says so."""
        mistake = as_user_error(error)
        failure = {
            "error": str(mistake) if mistake else f"{type(error).__name__}: {error}",
            "is_users": mistake is not None,
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": sys.argv,
            "traceback": "".join(traceback.format_exception(error)),
        }
        try:
            write_json(self.failure_path, failure)
        except OSError as reason:
            error.add_note(f"{self.failure_path} could not be written: {reason}")
