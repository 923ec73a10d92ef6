"""Votes of several prompts on one example, how far they agree, and what a vote's share is worth.

Source: Lester et al. (2021), section 6: five prompts of one task on one frozen model, and the
simple majority of their predictions. Nothing here loads a model.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import fmean
from typing import Any

from prompt_tuning.metrics import Scores, compares_normalised, is_right, normalise
from prompt_tuning.tasks import Example, Task, wsc


@dataclass(frozen=True)
class Ballot:
    """What a prompt's answer to one example votes for: answers with equal ballots are one group."""

    answer: str  # normalised as the task's metric does
    is_legal: bool  # whether it is an answer to the task at all


@dataclass(frozen=True)
class Vote:
    """How the prompts voted on one example."""

    winner: int  # the first prompt of the group that won: its answer, as it wrote it, is scored
    num_votes: int  # of that group
    is_tied: bool  # another group had as many


def ballots_of(task: Task, examples: Sequence[Example], answers: Sequence[str]) -> list[Ballot]:
    """What each answer of a prompt votes for.

    A class is voted for by its verbalizer, free text as its metric compares it. The paper does not
    say what becomes of an answer that is none: here it votes under its text, and loses every tie
    against one that is (Deviation: a choice of this project's).
    """
    texts = map(normaliser(task), answers)
    return [
        Ballot(text, is_legal=task.parse(text, example) is not None)
        for example, text in zip(examples, texts, strict=True)
    ]


def normaliser(task: Task) -> Callable[[str], str]:
    """The text of an answer without what makes no difference to the task's score."""
    if task.parse is wsc.parse:
        return wsc.clean
    return normalise if compares_normalised(task) else str


def vote(ballots: Sequence[Ballot], order: Sequence[int]) -> Vote:
    """The plurality of the prompts' ballots on one example, one a prompt.

    Deviation: the paper states no rule for ties. Here legal answers win them, and among those the
    group of the prompt that comes first in `order`.
    """
    assert sorted(order) == [*range(len(ballots))], (order, len(ballots))
    counts = Counter(ballots)
    rank = {ballots[index]: -place for place, index in reversed([*enumerate(order)])}
    won = max(counts, key=lambda ballot: (counts[ballot], ballot.is_legal, rank[ballot]))
    return Vote(
        winner=ballots.index(won),
        num_votes=counts[won],
        is_tied=sum(count == counts[won] for count in counts.values()) > 1,
    )


def tie_order(tie: str, scores: Sequence[float | None]) -> list[int]:
    """The prompts' indices, the one that wins ties first.

    `first` is the order in which they were given; `best` that of their scores on the split that
    chose their steps, so that the rule does not look at the split which the vote is scored on.
    """
    if tie == "first":
        return [*range(len(scores))]
    known = [score for score in scores if score is not None]
    assert tie == "best" and len(known) == len(scores), (tie, scores)
    return sorted(range(len(known)), key=lambda index: -known[index])


def agreement(ballots: Sequence[Sequence[Ballot]]) -> dict[str, float | None]:
    """How far prompts (two or more) agree on examples, 0..1; no answer agrees with the same text.

    pairwise: share of the examples on which two prompts agree, the mean over pairs.
    unanimous: share of the examples on which all agree.
    kappa: Fleiss' (1971), agreement beyond chance; None: all say the same throughout.
    """
    observed = fmean(
        fmean(one == other for one, other in zip(*pair, strict=True))
        for pair in combinations(ballots, 2)
    )
    counts = Counter(ballot for own in ballots for ballot in own)
    by_chance = sum((count / counts.total()) ** 2 for count in counts.values())
    return {
        "pairwise": observed,
        "unanimous": fmean(len({*said}) == 1 for said in zip(*ballots, strict=True)),
        "kappa": None if len(counts) == 1 else (observed - by_chance) / (1 - by_chance),
    }


def calibration(
    task: Task,
    examples: Sequence[Example],
    answers: Sequence[str],
    votes: Sequence[Vote],
    num_prompts: int,
) -> dict[str, Any] | None:
    """The winner's share of the votes as a confidence, against the share of right answers.

    An answer is right on its own terms: the class, or the exact match of free text. MultiRC counts
    its answers one by one, ReCoRD a query once for each of its accepted answers.

    Returns:
        `bins` of examples whose winner had the same number of votes, fewest first, and the expected
        calibration `error`, 0..1; None if no example is labelled.
    """
    right: dict[int, list[bool]] = {}
    for example, answer, won in zip(examples, answers, votes, strict=True):
        if example.is_labelled:
            right.setdefault(won.num_votes, []).append(is_right(task, example, answer))
    if not right:
        return None
    total = sum(map(len, right.values()))
    gaps = [len(each) * abs(fmean(each) - number / num_prompts) for number, each in right.items()]
    bins = [
        {"num_votes": number, "num_examples": len(each), "num_right": sum(each)}
        for number, each in sorted(right.items())
    ]
    return {"bins": bins, "error": sum(gaps) / total}


def columns(task: Task, members: Sequence[Scores], ensemble: Scores) -> dict[str, Scores]:
    """The columns of the paper's table 3, in percent: average, best and ensemble.

    `average` is the mean over the prompts; `best` the best single prompt of each metric by itself,
    and their mean where a task has several (recomputed from the paper's last line).
    """
    found = {}
    for name, combine in ("average", fmean), ("best", max):
        metrics = {key: combine([m.metrics[key] for m in members]) for key in ensemble.metrics}
        if metrics:
            score = fmean(metrics[key] for key in task.selection or metrics)
            found[name] = replace(ensemble, metrics=metrics, score=score)
    return {**found, "ensemble": ensemble}
