"""The prompts of an ensemble, read and checked; torch is not imported here."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from prompt_tuning.config import TrainConfig, config_hash, run_name
from prompt_tuning.errors import UserError, raise_all
from prompt_tuning.files import sha256_of
from prompt_tuning.prompt_files import PromptFile, load_prompt, mixed_models
from prompt_tuning.task_data import taught_by
from prompt_tuning.tasks import Task


@dataclass(frozen=True)
class Member:
    """One of the prompts that vote."""

    path: Path
    prompt: PromptFile
    sha256: str  # of the file
    run: TrainConfig | None = None  # that trained it, where an experiment asked for it

    @property
    def dev_score(self) -> float | None:
        """The score on the split that chose its step, as its file says; None: it says none."""
        return self.prompt.metadata.get("score")

    def facts(self) -> dict[str, Any]:
        """Which prompt it is, in a record."""
        facts = {"path": str(self.path), "sha256": self.sha256, "dev_score": self.dev_score}
        if self.run is None:
            return facts
        return {
            "name": run_name(self.run),
            "seed": self.run.seed,
            "config_hash": config_hash(self.run),
            "config": asdict(self.run),
            **facts,
        }


def read_members(
    paths: Sequence[Path], *, tie: str, runs: Sequence[TrainConfig] = ()
) -> list[Member]:
    """The prompts of some files, in their order, with the `runs` that trained them if known.

    Raises:
        UserError: fewer than two, the same one twice, different models, one cannot be read or, with
            `tie=best`, does not say its score.
    """
    if len(paths) < 2:
        raise UserError(
            f"{len(paths)} prompt is no ensemble",
            allowed="two prompts or more",
            fix="add prompts, or ptune evaluate prompt=<file>",
        )
    prompts = {str(path): load_prompt(path) for path in paths}
    raise_all(mixed_models(prompts))
    trained_by: list[TrainConfig | None] = [*runs] or [None] * len(paths)
    members = [
        Member(path, prompts[str(path)], sha256_of(path), run)
        for path, run in zip(paths, trained_by, strict=True)
    ]
    raise_all([*_problems(members, tie)])
    return members


def all_taught_by(members: Sequence[Member], task: Task) -> Task | None:
    """The task in whose words all members answer `task`; None: in its own.

    A prompt that does not say its task is taken for one of `task`.

    Raises:
        UserError: they were trained on different tasks.
    """
    paths: dict[str, list[str]] = {}
    for member in members:
        name = member.prompt.metadata.get("task", task.name)
        paths.setdefault(name, []).append(str(member.path))
    if len(paths) > 1:
        trained = "; ".join(f"of {name}: {', '.join(paths[name])}" for name in paths)
        problem = f"the prompts were trained on different tasks, {trained}"
        raise UserError(problem, fix="let prompts of one task vote")
    return taught_by(members[0].prompt.metadata, task)


def _problems(members: Sequence[Member], tie: str) -> Iterator[UserError]:
    paths: dict[str, list[str]] = {}
    for member in members:
        paths.setdefault(member.sha256, []).append(str(member.path))
    for same in paths.values():
        if len(same) > 1:
            fix = "give each prompt one vote"
            yield UserError(f"{' and '.join(same)} are the same prompt", fix=fix)
    sentinels = [str(m.path) for m in members if m.prompt.metadata.get("target_sentinel")]
    if len(sentinels) not in (0, len(members)):
        yield UserError(
            "only some of the prompts were trained with a sentinel before the targets: "
            + ", ".join(sentinels),
            fix="let prompts of one variant vote",
        )
    for member in members if tie == "best" else ():
        if member.dev_score is None:
            yield UserError(
                f"tie=best: {member.path} has no score on its dev split", fix="tie=first"
            )
