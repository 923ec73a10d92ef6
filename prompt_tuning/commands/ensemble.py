"""`ptune ensemble`: several prompts of a task vote, all in one pass of one frozen model."""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from omegaconf import DictConfig

from prompt_tuning.commands.plans import planned_runs, trained_runs
from prompt_tuning.config import (
    DecodingConfig,
    EnsembleConfig,
    EvaluateConfig,
    TrainConfig,
    typed,
)
from prompt_tuning.config_checks import evaluate_problems
from prompt_tuning.config_reading import choices
from prompt_tuning.ensembling.members import read_members
from prompt_tuning.errors import UserError, did_you_mean, raise_all
from prompt_tuning.report.seed_groups import repetitions, seed_groups
from prompt_tuning.task_data import check_data, check_rank, task_of


def check(cfg: DictConfig) -> EnsembleConfig:
    """What is to vote, or everything that is wrong with it; reads prompts, loads no model."""
    config = typed(EnsembleConfig, cfg)
    if (config.prompts is None) == (config.of is None):
        given = "both prompts= and experiment=" if config.of else "neither prompts= nor experiment="
        raise UserError(
            f"{given} given", fix="'prompts=[a.safetensors,b.safetensors]' or experiment=table3"
        )
    if config.of is None:
        _check_prompts(config)
    else:
        _check_experiment(config)
    return config


def run(config: EnsembleConfig) -> None:
    """Votes, once or for every configuration of an experiment."""
    if config.prompts is not None:
        members = read_members([Path(path) for path in config.prompts], tie=config.tie)
        from prompt_tuning.runs.ensemble import ensemble  # torch, once the prompts are read

        ensemble(config, members)
    else:
        _run_experiment(config)


def _run_experiment(config: EnsembleConfig) -> None:
    """Trains what is missing, then lets the seeds of each configuration vote."""
    assert config.of is not None, config
    overrides = training_overrides(config)
    _check_plan(config, planned_runs(config.of, overrides))
    runs = trained_runs(config.of, overrides)
    from prompt_tuning.runs.ensemble import ensemble

    groups = seed_groups([asdict(run) for run, _ in runs], config.num_prompts)
    for number, group in enumerate(groups, start=1):
        paths = [runs[index][1].prompt_path for index in group]
        of = [runs[index][0] for index in group]
        print(f"ensemble {number} of {len(groups)}")
        voting = ensemble_of_runs(config, of, paths)
        ensemble(voting, read_members(paths, tie=config.tie, runs=of))


def training_overrides(config: EnsembleConfig) -> list[str]:
    """Of the experiment's runs: those that were given, and where this command itself writes."""
    own = {
        "output_dir": json.dumps(config.output_dir),
        "tracking": config.tracking.name,
        "machine.num_threads": json.dumps(config.machine.num_threads),
    }
    given = {text.partition("=")[0] for text in config.train}
    return [*(f"{key}={value}" for key, value in own.items() if key not in given), *config.train]


def ensemble_of_runs(
    config: EnsembleConfig, runs: Sequence[TrainConfig], paths: Sequence[Path]
) -> EnsembleConfig:
    """The vote of runs that differ in their seed alone, on what a run reports by itself.

    That is all of its `report_split`; where it has none, what chose its best step.
    """
    run = runs[0]
    split, evaluation = run.evaluation.report_split, run.evaluation
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
    problems = [
        problem
        for path in config.prompts
        for problem in evaluate_problems(_evaluation_of(config, path))
    ]
    raise_all(list({str(problem): problem for problem in problems}.values()))
    read_members([Path(path) for path in config.prompts], tie=config.tie)
    task = task_of(config.task)
    check_rank(task, config.evaluation)
    check_data(task, config.data, (config.split,))


def _evaluation_of(config: EnsembleConfig, prompt: str) -> EvaluateConfig:
    """One of the prompts by itself: what is wrong with that is wrong with the ensemble."""
    assert config.task is not None, config
    return EvaluateConfig(
        prompt=prompt,
        split=config.split,
        model=config.model,
        variant=config.variant,
        task=config.task,
        evaluation=config.evaluation,
        data=config.data,
        machine=config.machine,
        tracking=config.tracking,
        output_dir=config.output_dir,
        rerun=config.rerun,
    )


def _check_experiment(config: EnsembleConfig) -> None:
    experiments = choices("experiment")
    if config.of not in experiments:
        raise UserError(
            f"experiment={config.of}: there is no such experiment",
            allowed=", ".join(experiments),
            fix=did_you_mean(config.of or "", experiments) or "ptune list what=experiment",
        )
    given = {
        "task": config.task,
        "variant": config.variant,
        "model": config.model.source != "prompt" or config.model.path,
        "data.dir": config.data.dir,
    }
    raise_all(
        [
            UserError(
                f"{key}= is for prompts=; the runs of experiment={config.of} have their own",
                fix=f"narrow them down: 'train=[\"{key}=<value>\"]'",
            )
            for key, value in given.items()
            if value
        ]
    )


def _check_plan(config: EnsembleConfig, runs: Sequence[TrainConfig]) -> None:
    """Nothing is trained for an ensemble that cannot be made."""
    if others := sorted({run.method for run in runs} - {"prompt_tuning"}):
        raise UserError(
            f"experiment={config.of} has runs of method={', '.join(others)}, which leave no prompt",
            fix="'train=[\"method=prompt_tuning\"]'",
        )
    counts = {len(of) for of in repetitions([asdict(run) for run in runs])}
    if any(count % config.num_prompts for count in counts):
        found = " or ".join(map(str, sorted(counts)))
        raise UserError(
            f"num_prompts={config.num_prompts}, and a configuration of experiment={config.of} has "
            f"{found} seeds",
            allowed="a number that divides them",
            fix="change num_prompts, or the seeds: 'train=[\"seed=0,1,2,3,4\"]'",
        )
