"""The one pass of an ensemble: every example under every prompt, and what the votes come to."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from prompt_tuning.ensembling.members import Member
from prompt_tuning.ensembling.voting import (
    agreement,
    ballots_of,
    calibration,
    columns,
    tie_order,
    vote,
)
from prompt_tuning.evaluation import Evaluation, EvaluationSet, answers_to
from prompt_tuning.metrics import score
from prompt_tuning.models.frozen_t5 import Rows
from prompt_tuning.models.loading import Checkpoint


@dataclass(frozen=True)
class Pass:
    """The one pass over all examples under all prompts."""

    answers: list[list[str]]  # [N][num_examples]
    num_forward_passes: int  # of the encoder, each as large as the machine's budget of tokens
    duration_s: float


@torch.no_grad()
def decode_under_all(
    checkpoint: Checkpoint,
    members: Sequence[Member],
    data: EvaluationSet,
    *,
    max_tokens: int,
    on_batch: Callable[[int], None] = lambda num_rows: None,
) -> Pass:
    """Every example once under every prompt, as rows of the same batches.

    Source: Lester et al. (2021), section 6: one forward pass, the example replicated in the batch.
    """
    num_passes = 0

    def count(num_rows: int) -> None:
        nonlocal num_passes
        num_passes += 1
        on_batch(num_rows)

    number, device = len(members), checkpoint.model.device
    start = time.perf_counter()
    rows = Rows(
        [torch.from_numpy(member.prompt.weight).to(device) for member in members],
        [ids for ids in data.inputs for _ in members],
        [*range(number)] * len(data.inputs),
    )
    answers = answers_to(checkpoint, rows, data, max_tokens=max_tokens, on_batch=count)
    by_prompt = [answers[index::number] for index in range(number)]
    return Pass(by_prompt, num_passes, round(time.perf_counter() - start, 3))


def outcome(
    tie: str, members: Sequence[Member], data: EvaluationSet, made: Pass
) -> tuple[list[Evaluation], Evaluation, dict[str, Any]]:
    """The evaluations of the prompts, that of their vote, and what the record says of it."""
    task, examples = data.task, data.examples
    ballots = [ballots_of(task, examples, answers) for answers in made.answers]
    order = tie_order(tie, [member.dev_score for member in members])
    votes = [vote(of_example, order) for of_example in zip(*ballots, strict=True)]
    texts = [made.answers[of.winner][index] for index, of in enumerate(votes)]
    *own, voted = [Evaluation(score(task, examples, of), of) for of in (*made.answers, texts)]
    calibrated = calibration(task, examples, texts, votes, len(members))
    scores = columns(task, [of.scores for of in own], voted.scores)
    result = {
        "num_examples": voted.scores.num_examples,
        "num_unparseable": voted.scores.num_unparseable,
        **{name: {"metrics": of.metrics, "score": of.score} for name, of in scores.items()},
        "num_ties": sum(of.is_tied for of in votes),
        "agreement": asdict(agreement(ballots)),
        "calibration": calibrated and asdict(calibrated),
    }
    return own, voted, result


def cost_of(checkpoint: Checkpoint, members: Sequence[Member], made: Pass) -> dict[str, Any]:
    """N prompts in front of one model, against N models."""
    model, number = checkpoint.num_parameters, len(members)
    prompts = sum(member.prompt.weight.size for member in members)
    return {
        "num_prompts": number,
        "num_parameters_prompts": prompts,
        "num_parameters_ensemble": model + prompts,
        "num_parameters_models": number * model,
        "num_rows": sum(map(len, made.answers)),
        "num_forward_passes": made.num_forward_passes,
        "duration_s": made.duration_s,
    }
