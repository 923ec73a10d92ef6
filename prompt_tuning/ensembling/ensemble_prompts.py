"""Prompts of one task vote on a split, in one pass of one frozen model, from config to record.

Source: Lester et al. (2021), section 6: one forward pass, the example replicated in the batch.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch

from prompt_tuning.config import EnsembleConfig
from prompt_tuning.data.sources import load_split
from prompt_tuning.ensembling.ensemble_text import COLUMNS, cost_line, table
from prompt_tuning.ensembling.members import Member, all_taught_by
from prompt_tuning.ensembling.voting import (
    agreement,
    ballots_of,
    calibration,
    columns,
    tie_order,
    vote,
)
from prompt_tuning.evaluation import (
    Evaluation,
    EvaluationSet,
    answers_to,
    rank_text,
    write_predictions,
)
from prompt_tuning.examples import scored_examples
from prompt_tuning.ladder.baselines import floor_of
from prompt_tuning.metrics import score
from prompt_tuning.model_choice import load_model_of, variant_of
from prompt_tuning.models.frozen_t5 import Rows
from prompt_tuning.models.loading import Checkpoint
from prompt_tuning.protocol import Run, started
from prompt_tuning.run_folder import RunFolder
from prompt_tuning.task_data import data_spec, task_of


def ensemble(
    config: EnsembleConfig, folder: RunFolder, members: Sequence[Member], identity: str
) -> None:
    """Lets prompts vote, into a claimed folder; `identity` is by the prompts' content.

    Raises:
        UserError: the data or the model cannot be used, or do not belong to the prompts.
        Interrupted: Ctrl-C or SIGTERM.
    """
    assert config.task is not None, config
    task, limit = task_of(config.task), config.evaluation.num_examples
    split = load_split(task, config.split, data_spec(config.data), limit=limit)
    variant = variant_of(config.variant, members[0].prompt)
    prompts = {member.path: member.prompt for member in members}
    with started(folder, "ensemble", config, identity=identity) as run:
        checkpoint = load_model_of(
            prompts, config.model, config.variant, config.machine, folder.cache
        )
        run.header(
            {
                "prompts": ", ".join(str(member.path) for member in members),
                "task": f"{task.name}: {config.split}{rank_text(config.evaluation)}",
                "ties": f"tie={config.tie}",
                "model": f"{checkpoint.source}: {checkpoint.num_parameters:,} parameters",
            }
        )
        axes = [task.name, config.split, f"{len(members)} prompts"]
        group = config.experiment.name if config.experiment else task.name
        tracker = run.track(group=group, axes=axes)
        taught = all_taught_by(members, task)
        data = scored_examples(task, split.examples, checkpoint, config, variant, taught)
        max_tokens = config.machine.max_tokens_per_micro_batch
        answers, cost = answers_under_all(run, checkpoint, members, data, max_tokens)
        own, voted, votes = tally(config.tie, members, data, answers)
        for index, evaluation in enumerate(own):
            write_predictions(folder.predictions_path(f"prompt-{index}"), data, evaluation)
        write_predictions(folder.predictions_path("ensemble"), data, voted)
        result = {"split": config.split, **votes, "floor": floor_of(task, split)}
        tracker.log(0, _flat(result))
        tracker.summarise(_flat(result))
        run.finish(
            {
                "members": [
                    {**member.facts(), "scores": asdict(evaluation.scores)}
                    for member, evaluation in zip(members, own, strict=True)
                ],
                "result": result,
                "cost": cost,
                "model": checkpoint.facts(),
                "data": {config.split: split.provenance},
            }
        )
        run.say(*table(result), cost_line(cost), f"  {folder.record_path}")


@torch.no_grad()
def answers_under_all(
    run: Run,
    checkpoint: Checkpoint,
    members: Sequence[Member],
    data: EvaluationSet,
    max_tokens: int | None,
) -> tuple[list[list[str]], dict[str, Any]]:
    """Every example once under every prompt, as rows of the same batches.

    Returns:
        Answers [N][num_examples], and what they cost beside N models.
    """
    number, device, num_passes = len(members), checkpoint.model.device, 0
    rows = Rows(
        [torch.from_numpy(member.prompt.weight).to(device) for member in members],
        [ids for ids in data.inputs for _ in members],
        [*range(number)] * len(data.inputs),
    )
    begun = time.perf_counter()
    with run.counted("voting", len(rows.inputs)) as on_batch:

        def count(num_rows: int) -> None:
            nonlocal num_passes
            num_passes += 1
            on_batch(num_rows)

        answers = answers_to(checkpoint, rows, data, max_tokens=max_tokens, on_batch=count)
    duration_s = time.perf_counter() - begun
    model = checkpoint.num_parameters
    num_trained = sum(member.prompt.weight.size for member in members)
    cost = {
        "num_prompts": number,
        "num_parameters_prompts": num_trained,
        "num_parameters_ensemble": model + num_trained,
        "num_parameters_models": number * model,
        "num_rows": len(rows.inputs),
        "num_forward_passes": num_passes,  # of the encoder
        "duration_s": round(duration_s, 3),
    }
    return [answers[index::number] for index in range(number)], cost


def tally(
    tie: str, members: Sequence[Member], data: EvaluationSet, answers: Sequence[Sequence[str]]
) -> tuple[list[Evaluation], Evaluation, dict[str, Any]]:
    """The evaluations of the prompts, that of their vote, and what the record says of it."""
    task, examples = data.task, data.examples
    ballots = [ballots_of(task, examples, said) for said in answers]
    order = tie_order(tie, [member.dev_score for member in members])
    votes = [vote(of_example, order) for of_example in zip(*ballots, strict=True)]
    texts = [answers[won.winner][index] for index, won in enumerate(votes)]
    *own, voted = [Evaluation(score(task, examples, said), [*said]) for said in (*answers, texts)]
    scores = columns(task, [evaluation.scores for evaluation in own], voted.scores)
    result = {
        "num_examples": voted.scores.num_examples,
        "num_unparseable": voted.scores.num_unparseable,
        **{name: {"metrics": each.metrics, "score": each.score} for name, each in scores.items()},
        "num_ties": sum(won.is_tied for won in votes),
        "agreement": agreement(ballots),
        "calibration": calibration(task, examples, texts, votes, len(members)),
    }
    return own, voted, result


def _flat(result: Mapping[str, Any]) -> dict[str, float]:
    """What W&B can plot."""
    values = {"agreement": result["agreement"]["pairwise"]}
    for column in COLUMNS:
        if column in result and result[column]["score"] is not None:
            scored = {**result[column]["metrics"], "score": result[column]["score"]}
            values |= {f"{column}/{name}": value for name, value in scored.items()}
    return values
