"""Curves: metrics.jsonl in the run's folder always, W&B on top where it is wanted and works."""

import json
import logging
import math
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Self

from prompt_tuning.config import TrackingConfig

logger = logging.getLogger(__name__)

MAX_TAG = 64  # characters; W&B refuses longer ones
SECONDS_TO_ANSWER = 4  # that W&B's server has, once in a process; else its runs are offline
SECONDS_TO_START = 20
SECONDS_TO_FINISH = 15  # to upload the rest; what is left then is on disk for `wandb sync`


def wandb_run(
    tracking: TrackingConfig, *, name: str, job_type: str, group: str, axes: Sequence[str]
) -> dict[str, Any] | None:
    """How a run appears in W&B, as `wandb.init` takes it; None if it does not.

    Args:
        tracking: the config's group.
        name: ends in the config's hash, which makes the id: a resumed run goes on with its curves.
        job_type: the command.
        group: unless the config names one.
        axes: the run's place on every axis, as tags.
    """
    if tracking.name == "none":
        return None
    return {
        "project": tracking.project,
        "entity": tracking.entity,
        "group": tracking.group or group,
        "job_type": job_type,
        "tags": [tag[:MAX_TAG] for tag in (*axes, *tracking.tags)],
        "id": f"{job_type}-{name.rsplit('-', 1)[-1]}",
        "name": name,
    }


class Tracker:
    """Appends every measurement to metrics.jsonl and passes it on to W&B.

    W&B never asks for a login, and nothing it does stops a run: the first failure is logged with
    its reason and the file goes on alone.
    """

    def __init__(
        self, folder: Path, wandb: dict[str, Any] | None, config: Mapping[str, Any], step: int
    ) -> None:
        """Opens the curves of the run in `folder`; those after `step` are forgotten.

        Args:
            folder: the run's; W&B writes its files there too.
            wandb: see `wandb_run`; None tracks to the file alone.
            config: plain containers, shown in W&B.
            step: where the run starts or resumes.
        """
        path = folder / "metrics.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        kept = [line for line in lines if _step_of(line) <= step]
        unfinished = path.with_suffix(".tmp")
        unfinished.write_text("".join(line + "\n" for line in kept), encoding="utf-8")
        unfinished.replace(path)  # a process that dies here loses nothing
        self._file = path.open("a", encoding="utf-8")
        self._run: Any = None
        if wandb is not None:
            self._guarded("start", lambda: self._start(folder, wandb, config))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self._file.close()
        if self._run is not None:
            self._guarded("finish", lambda: self._run.finish(exit_code=0 if kind is None else 1))

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Records measurements of a step; names like "train/loss" make W&B's sections."""
        self._file.write(json.dumps({"step": step, **values}) + "\n")
        self._file.flush()
        if self._run is not None:
            self._guarded("log", lambda: self._run.log(dict(values), step=step))

    def summarise(self, values: Mapping[str, Any], prompt_path: Path | None = None) -> None:
        """Puts the run's best values, flat, into its summary, and a trained prompt beside it."""
        if self._run is not None:
            self._guarded("summarise", lambda: self._summarise(values, prompt_path))

    def _start(self, folder: Path, settings: dict[str, Any], config: Mapping[str, Any]) -> None:
        import wandb

        wandb.setup(wandb.Settings(silent=True))
        has_key = wandb.login(prompt=False, verify=False)
        mode = os.environ.get("WANDB_MODE") or ("online" if has_key else "offline")
        if mode == "online" and not _answers(str(wandb.setup().settings.base_url)):
            mode = "offline"
        self._run = wandb.init(
            **settings,
            config=dict(config),
            dir=folder,
            mode=mode,  # type: ignore[arg-type]
            resume="allow" if mode == "online" else None,
            reinit="create_new",  # runs of a sweep in one process stay apart
            settings=wandb.Settings(
                silent=True,
                console="off",
                init_timeout=SECONDS_TO_START,
                finish_timeout=SECONDS_TO_FINISH,
                finish_timeout_raises=True,
            ),
        )
        if mode == "offline":
            logger.info("W&B offline; upload later with: wandb sync %s", Path(self._run.dir).parent)

    def _summarise(self, values: Mapping[str, Any], prompt_path: Path | None) -> None:
        import wandb

        self._run.summary.update(dict(values))
        if prompt_path is None:
            return
        artifact = wandb.Artifact(f"prompt-{self._run.id}", type="prompt", metadata=dict(values))
        artifact.add_file(str(prompt_path))
        self._run.log_artifact(artifact)

    def _guarded(self, what: str, action: Any) -> None:
        try:
            action()
        except (Exception, SystemExit) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            logger.warning("W&B could not %s (%s); metrics.jsonl goes on without it", what, reason)
            self._run = None


@cache
def _answers(url: str) -> bool:
    """Whether a W&B server answers at all; asked once, since every run of a sweep would wait."""
    problem = ["no answer in time"]

    def ask() -> None:
        try:
            urllib.request.urlopen(url, timeout=SECONDS_TO_ANSWER).close()
        except urllib.error.HTTPError:  # an answer all the same
            pass
        except (OSError, ValueError) as error:
            problem[0] = str(getattr(error, "reason", error))
            return
        problem.clear()

    asking = threading.Thread(target=ask, daemon=True)  # looking a name up has no time limit
    asking.start()
    asking.join(SECONDS_TO_ANSWER)
    if problem:
        logger.warning("W&B at %s cannot be reached: %s", url, problem[0])
    return not problem


def _step_of(line: str) -> float:
    """The step of a measurement; infinity if the process died while it wrote the line."""
    try:
        return int(json.loads(line)["step"])
    except json.JSONDecodeError:
        return math.inf
