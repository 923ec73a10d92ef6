"""`ptune ensemble`: several prompts of a task vote, all in one pass of one frozen model."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from omegaconf import DictConfig

from prompt_tuning.commands.train import trained_runs
from prompt_tuning.composition import planned_runs
from prompt_tuning.config import (
    DecodingConfig,
    EnsembleConfig,
    TrainConfig,
    config_hash,
    quoted,
    typed,
)
from prompt_tuning.config_checks import experiment_problems, in_file, prompt_problems
from prompt_tuning.ensembling.ensemble_text import table
from prompt_tuning.ensembling.members import Member, all_taught_by, read_members
from prompt_tuning.errors import UserError, raise_all
from prompt_tuning.made_from import changed_since
from prompt_tuning.protocol import Record, do_once
from prompt_tuning.report.seed_groups import repetitions, seed_groups
from prompt_tuning.run_folder import RunFolder
from prompt_tuning.task_data import check_data, check_rank, content_now, task_of
from prompt_tuning.tasks import Task


def check(cfg: DictConfig) -> EnsembleConfig:
    """What is to vote, or everything that is wrong with it; reads prompts, loads no model."""
    config = typed(EnsembleConfig, cfg)
    if (config.prompts is None) == (config.experiment is None):
        given = "both prompts= and" if config.experiment else "neither prompts= nor"
        fix = "'prompts=[a.safetensors,b.safetensors]' or experiment=table3"
        raise UserError(f"{given} experiment= given", fix=fix)
    if config.prompts is not None:
        config = replace(config, prompts=[in_file(path) for path in config.prompts])
        _check_prompts(config)
    else:
        raise_all(experiment_problems(config))
    return config


def run(config: EnsembleConfig) -> None:
    """Votes, once or for every configuration of an experiment."""
    if config.prompts is not None:
        _vote(config, read_members([Path(path) for path in config.prompts], tie=config.tie))
    else:
        _run_experiment(config)


def _vote(config: EnsembleConfig, members: Sequence[Member]) -> None:
    """Lets prompts vote, unless the same was done: then its record stands."""
    assert config.task is not None, config
    task = task_of(config.task)
    # By the prompts' content, not by where they lie or how they were asked for.
    digests = [member.sha256 for member in members]
    vote = replace(config, prompts=digests, experiment=None, train=[], num_prompts=len(digests))
    identity = config_hash(vote)
    axes = (task.name, config.model.name, config.split, f"{len(members)}prompts", identity)
    folder = RunFolder(Path(config.output_dir) / "-".join(("ensemble", *axes)))
    load = partial(_load, members=members, identity=identity)
    do_once(config, folder, load, partial(_changed, task=task), _describe, rerun=config.rerun)


def _load(
    config: EnsembleConfig, members: Sequence[Member], identity: str
) -> Callable[[EnsembleConfig, RunFolder], None]:
    from prompt_tuning.ensembling.ensemble_prompts import ensemble

    return partial(ensemble, members=members, identity=identity)


def _changed(record: Record, config: EnsembleConfig, task: Task) -> str | None:
    data = content_now(task, config.data, [config.split])
    return changed_since(record, data, config.model.path)


def _describe(record: Record, folder: RunFolder) -> str:
    return "\n".join([f"{folder.record_path}", *table(record["result"])])


def _run_experiment(config: EnsembleConfig) -> None:
    """Trains what is missing, then lets the seeds of each configuration vote."""
    assert config.experiment is not None, config
    overrides = training_overrides(config)
    _check_plan(config, planned_runs(config.experiment.name, overrides))
    runs = trained_runs(config.experiment.name, overrides)
    groups = seed_groups([asdict(run) for run, _ in runs], config.num_prompts)
    for number, group in enumerate(groups, start=1):
        trained_by, folders = zip(*(runs[index] for index in group), strict=True)
        paths = [folder.prompt_path for folder in folders]
        print(f"ensemble {number} of {len(groups)}")
        voting = ensemble_of_runs(config, trained_by, paths)
        _vote(voting, read_members(paths, tie=config.tie, runs=trained_by))


def training_overrides(config: EnsembleConfig) -> list[str]:
    """Overrides for the experiment's runs: the user's, and where this command itself writes."""
    own = {
        "output_dir": quoted(config.output_dir),
        "tracking": config.tracking.name,
        "machine.num_threads": quoted(config.machine.num_threads),
    }
    for key in ("compile", "max_tokens_per_micro_batch"):  # another order of sums, another run
        if value := getattr(config.machine, key):
            own[f"machine.{key}"] = quoted(value)
    given = {text.partition("=")[0] for text in config.train}
    return [*(f"{key}={value}" for key, value in own.items() if key not in given), *config.train]


def ensemble_of_runs(
    config: EnsembleConfig, runs: Sequence[TrainConfig], paths: Sequence[Path]
) -> EnsembleConfig:
    """The vote of runs that differ in their seed alone, on what a run reports by itself.

    That is all of its `report_split`; where it has none, what chose its best step.
    """
    run, evaluation = runs[0], runs[0].evaluation
    split = evaluation.report_split
    return replace(
        config,
        prompts=[str(path) for path in paths],
        split=split or evaluation.split,
        model=run.model,
        variant=run.variant,
        task=run.task,
        evaluation=DecodingConfig(
            num_examples=None if split else evaluation.num_examples,
            max_target_tokens=evaluation.max_target_tokens,
            rank=evaluation.rank,
        ),
        data=run.data,
        machine=replace(config.machine, dtype=run.machine.dtype),
    )


def _check_prompts(config: EnsembleConfig) -> None:
    assert config.prompts is not None, config
    if config.task is None:
        raise UserError("prompts= needs the task that they vote on", fix="add task=<name>")
    problems = [problem for path in config.prompts for problem in prompt_problems(path, config)]
    raise_all(problems)
    task = task_of(config.task)
    all_taught_by(read_members([Path(path) for path in config.prompts], tie=config.tie), task)
    check_rank(task, config.evaluation)
    check_data(task, config.data, (config.split,))


def _check_plan(config: EnsembleConfig, runs: Sequence[TrainConfig]) -> None:
    """Nothing is trained for an ensemble that cannot be made."""
    assert config.experiment is not None, config
    name = config.experiment.name
    if others := sorted({run.method for run in runs} - {"prompt_tuning"}):
        raise UserError(
            f"experiment={name} has runs of method={', '.join(others)}, which leave no prompt",
            fix="choose an experiment of prompt tuning: ptune list what=experiment",
        )
    counts = {len(seeds) for seeds in repetitions([asdict(run) for run in runs])}
    if any(count % config.num_prompts for count in counts):
        found = " or ".join(map(str, sorted(counts)))
        raise UserError(
            f"num_prompts={config.num_prompts}, and a configuration of experiment={name} has "
            f"{found} seeds",
            allowed="a number that divides them",
            fix="change num_prompts, or the seeds: 'train=[\"seed=0,1,2,3,4\"]'",
        )
