"""Curves: metrics.jsonl in the run's folder always, W&B on top where it is wanted and works."""

import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Self

from prompt_tuning.config import TrackingConfig
from prompt_tuning.files import json_lines, written_whole
from prompt_tuning.network import SECONDS_TO_ANSWER, bounded, problem_with

logger = logging.getLogger(__name__)

MAX_TAG = 64  # characters; W&B refuses longer ones
SECONDS_TO_START = 20
SECONDS_TO_FINISH = 15  # to upload the rest; what is left then is on disk for `wandb sync`


def wandb_run(
    tracking: TrackingConfig, *, name: str, job_type: str, group: str, axes: Sequence[str]
) -> dict[str, Any] | None:
    """How a run appears in W&B, as `wandb.init` takes it; None if it does not.

    `name` ends in the config's hash, which makes the id: a resumed run goes on with its curves,
    and one that is done again takes the place of what W&B has of it.
    `group` counts unless the config names one. `job_type` is the command, and `axes` are the run's
    place on each, for tags.
    """
    if tracking.name == "none":
        return None
    return {
        "project": tracking.project,
        "entity": tracking.entity,
        "group": tracking.group or group,
        "job_type": job_type,
        "tags": [*dict.fromkeys(tag[:MAX_TAG] for tag in (*axes, *tracking.tags) if tag)],
        "id": f"{job_type}-{name.rsplit('-', 1)[-1]}",
        "name": name,
    }


class Tracker:
    """Appends every measurement to metrics.jsonl and passes it on to W&B.

    W&B never asks for a login, and nothing it does stops a run: the first failure is logged with
    its reason and the file goes on alone.
    """

    def __init__(
        self,
        folder: Path,
        wandb: dict[str, Any] | None,
        config: Mapping[str, Any],
        step: int | None,
    ) -> None:
        """Opens the curves of the run in `folder`, of which those up to `step` are kept.

        Args:
            folder: the run's; W&B writes its files there too.
            wandb: see `wandb_run`; None tracks to the file alone.
            config: plain containers, shown in W&B.
            step: where the run resumes; None: it starts, and nothing is kept.
        """
        path = folder / "metrics.jsonl"
        found, num_damaged = json_lines(path)
        if num_damaged:
            logger.warning("%s: %d damaged lines are left out", path, num_damaged)
        steps = () if step is None else range(step + 1)
        kept = [line for line in found if line.get("step") in steps]
        with written_whole(path) as unfinished:  # a process that dies here loses nothing
            unfinished.write_text("".join(json.dumps(line) + "\n" for line in kept), "utf-8")
        self._file = path.open("a", encoding="utf-8")
        self._run: Any = None
        if wandb is not None:
            self._guarded("start", lambda: self._start(folder, wandb, config, step))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self._file.close()
        if self._run is not None:
            finish = partial(self._run.finish, exit_code=0 if kind is None else 1)
            self._guarded("finish", lambda: self._in_time(finish))

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Records measurements of a step; names like "train/loss" make W&B's sections."""
        self._file.write(json.dumps({"step": step, **values}) + "\n")
        self._file.flush()
        if self._run is not None:
            self._guarded("log", lambda: self._run.log(dict(values), step=step))

    def summarise(self, values: Mapping[str, Any], prompt_path: Path | None = None) -> None:
        """Puts the run's best values, flat, into its summary, and a trained prompt beside it."""
        if self._run is not None:
            summarise = partial(self._summarise, values, prompt_path)
            self._guarded("summarise", lambda: self._in_time(summarise))

    def _start(
        self, folder: Path, settings: dict[str, Any], config: Mapping[str, Any], step: int | None
    ) -> None:
        import wandb

        wandb.setup(wandb.Settings(silent=True))
        has_key = wandb.login(prompt=False, verify=False)
        mode = os.environ.get("WANDB_MODE") or ("online" if has_key else "offline")
        url = str(wandb.setup().settings.base_url)
        if mode == "online" and (problem := problem_with(url)):
            logger.warning("W&B at %s cannot be reached: %s", url, problem)
            mode = "offline"
        self._run = wandb.init(
            **settings,
            config=dict(config),
            dir=folder,
            mode=mode,  # type: ignore[arg-type]
            # A run that resumes loses every step that W&B has already: one from the start must not.
            resume="allow" if step is not None and mode == "online" else None,
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

        self._run.log({}, commit=True)  # else the last step, ending later, writes over these values
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

    def _in_time(self, action: Callable[[], None]) -> None:
        """Does what waits for wandb-core, which may hang itself; then that process is ended.

        Raises:
            TimeoutError: it took longer than W&B's own time limits allow.
        """
        run, late = self._run, object()
        if bounded(action, SECONDS_TO_FINISH + SECONDS_TO_ANSWER, otherwise=late) is not late:
            return
        with suppress(Exception):  # private: else Python waits for it when it exits
            run._wl.assert_service()._proc._process.kill()
        raise TimeoutError("wandb-core does not answer")
