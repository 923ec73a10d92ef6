"""Letting prompts vote on a split, from the config to the record."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prompt_tuning.assembly import load_for_prompt, variant_of, wandb_settings
from prompt_tuning.config import EnsembleConfig, VariantConfig, config_hash
from prompt_tuning.data.sources import Split, load_split
from prompt_tuning.ensembling.members import Member
from prompt_tuning.ensembling.one_pass import cost_of, decode_under_all, outcome
from prompt_tuning.evaluation import Evaluation, EvaluationSet, write_predictions
from prompt_tuning.ladder.baselines import floor_of
from prompt_tuning.metrics import Scores
from prompt_tuning.models.loading import Checkpoint
from prompt_tuning.prompt_files import check_fits
from prompt_tuning.records import RunFolder, environment, peak_memory_gib
from prompt_tuning.reporting import Reporter, scores_line
from prompt_tuning.runs.facts import RECORD_FORMAT, model_facts, rank_text
from prompt_tuning.runs.parts import scored_examples
from prompt_tuning.task_data import data_spec, task_of
from prompt_tuning.tracking import Tracker

COLUMNS = ("average", "best", "ensemble")


def ensemble(config: EnsembleConfig, members: Sequence[Member]) -> None:
    """Lets prompts vote, unless the same was done: then its record stands.

    Args:
        config: with `prompts` and `task` set; of an experiment too.
        members: those prompts.

    Raises:
        UserError: the data or the model cannot be used, or do not belong to the prompts.
        InProgress: another process does the same.
    """
    identity = _hash(config, members)
    assert config.task is not None, config
    axes = (config.task.name, config.model.name, config.split, f"{len(members)}prompts")
    folder = RunFolder(Path(config.output_dir) / "-".join(("ensemble", *axes, identity)))
    if (done := folder.record()) and not config.rerun:
        print(f"{folder.name}: done before  {folder.record_path}")
        print("\n".join(_table(done["result"])))
        return
    with folder.claimed():
        _ensemble(config, members, folder, identity)


def _ensemble(
    config: EnsembleConfig, members: Sequence[Member], folder: RunFolder, identity: str
) -> None:
    """Decodes, votes and writes it all down, the record last."""
    assert config.task is not None, config
    task, limit = task_of(config.task), config.evaluation.num_examples
    split = load_split(task, config.split, data_spec(config.data), limit=limit)
    folder.start(asdict(config))
    with ExitStack() as stack:
        reporter = stack.enter_context(Reporter(folder.log_path))
        checkpoint, variant = _load(config, members, folder)
        reporter.header(f"ptune ensemble  {folder.name}", _header(config, members, checkpoint))
        tracker = stack.enter_context(_tracker(config, members, folder))
        data = scored_examples(task, split.examples, checkpoint, config, variant)
        made = decode_under_all(
            checkpoint,
            members,
            data,
            max_tokens=config.machine.max_tokens_per_micro_batch,
            on_batch=reporter.bar("voting", len(members) * len(split.examples)).advance,
        )
        own, voted, votes = outcome(config.tie, members, data, made)
        _write_predictions(folder, data, own, voted)
        result = {"split": config.split, **votes, "floor": floor_of(task, split)}
        tracker.log(0, _flat(result))
        tracker.summarise(_flat(result))
        cost = cost_of(checkpoint, members, made)
        record = _record(config, members, [of.scores for of in own], checkpoint, split)
        folder.finish({**record, "config_hash": identity, "result": result, "cost": cost})
        for line in [*_table(result), _cost_line(cost), f"  {folder.record_path}"]:
            reporter.line(line)


def _load(
    config: EnsembleConfig, members: Sequence[Member], folder: RunFolder
) -> tuple[Checkpoint, VariantConfig]:
    """The model that all of the prompts belong to."""
    prompt = members[0].prompt
    variant = variant_of(config.variant, prompt)
    checkpoint = load_for_prompt(config.model, variant, prompt, config.machine, folder.cache)
    for member in members:
        check_fits(
            member.prompt,
            member.path,
            hidden_size=checkpoint.model.hidden_size,
            fingerprint=checkpoint.fingerprint,
        )
    return checkpoint, variant


def _write_predictions(
    folder: RunFolder, data: EvaluationSet, own: Sequence[Evaluation], voted: Evaluation
) -> None:
    """A file for each prompt, by its place among the record's members, and one for the vote."""
    for index, evaluation in enumerate(own):
        write_predictions(folder.predictions_path(f"prompt-{index}"), data, evaluation)
    write_predictions(folder.predictions_path("ensemble"), data, voted)


def _hash(config: EnsembleConfig, members: Sequence[Member]) -> str:
    """By the prompts' content, not by where they lie or how they were asked for."""
    digests = [member.sha256 for member in members]
    asked_for = replace(config, prompts=digests, of=None, train=[], num_prompts=len(digests))
    return config_hash(asked_for)


def _header(
    config: EnsembleConfig, members: Sequence[Member], checkpoint: Checkpoint
) -> dict[str, str]:
    assert config.task is not None, config
    return {
        "prompts": ", ".join(str(member.path) for member in members),
        "task": f"{config.task.name}: {config.split}{rank_text(config.evaluation)}",
        "ties": f"tie={config.tie}",
        "model": f"{checkpoint.source}: {checkpoint.num_parameters:,} parameters",
    }


def _tracker(config: EnsembleConfig, members: Sequence[Member], folder: RunFolder) -> Tracker:
    assert config.task is not None, config
    settings = wandb_settings(
        config.tracking,
        run_name=folder.name,
        job_type="ensemble",
        group=config.of or config.task.name,
        axes=[config.task.name, config.split, f"{len(members)} prompts"],
    )
    return Tracker(folder.path, settings, asdict(config), step=0)


def _record(
    config: EnsembleConfig,
    members: Sequence[Member],
    scores: Sequence[Scores],
    checkpoint: Checkpoint,
    split: Split,
) -> dict[str, Any]:
    return {
        "format": RECORD_FORMAT,
        "kind": "ensemble",
        "members": [
            {**member.facts(), "scores": asdict(of)}
            for member, of in zip(members, scores, strict=True)
        ],
        "config": asdict(config),
        "model": model_facts(checkpoint),
        "data": {config.split: split.provenance},
        "peak_memory_gib": peak_memory_gib(),
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        **environment(),
    }


def _flat(result: Mapping[str, Any]) -> dict[str, float]:
    """What W&B can plot."""
    values = {
        f"{column}/{key}": value
        for column in COLUMNS
        if column in result
        for key, value in {
            **result[column]["metrics"],
            "score": result[column]["score"],
        }.items()
        if value is not None
    }
    return {**values, "agreement": result["agreement"]["pairwise"]}


def _table(result: Mapping[str, Any]) -> list[str]:
    """Average, best and ensemble; how far the prompts agree; how often so many votes are right."""
    agreed, calibrated = result["agreement"], result["calibration"]
    lines = [
        f"  {column:<9} {scores_line(result[column]['metrics'], result[column]['score'])}"
        for column in COLUMNS
        if column in result
    ]
    kappa = "-" if agreed["kappa"] is None else f"{agreed['kappa']:.2f}"
    error = "-" if calibrated is None else f"{100 * calibrated['error']:.2f} %"
    lines.append(
        f"  agreement {100 * agreed['pairwise']:.2f} %  unanimous {100 * agreed['unanimous']:.2f} %"
        f"  kappa {kappa}  ties {result['num_ties']}  calibration error {error}"
    )
    for of in calibrated["bins"] if calibrated else ():
        share = 100 * of["num_right"] / of["num_examples"]
        lines.append(
            f"  {of['num_votes']} votes: {of['num_examples']} examples, {share:.2f} % right"
        )
    return lines


def _cost_line(cost: Mapping[str, Any]) -> str:
    number = cost["num_prompts"]
    return (
        f"  {number} prompts in one pass: {cost['num_rows']:,} rows, "
        f"{cost['num_forward_passes']:,} forward passes, {cost['duration_s']:.1f} s; "
        f"{cost['num_parameters_ensemble']:,} parameters, "
        f"those of {number} models {cost['num_parameters_models']:,}"
    )
