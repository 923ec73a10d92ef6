"""Votes of several prompts on one example, how far they agree, and what a vote's share is worth.

Source: Lester et al. (2021), section 6: five prompts of one task on one frozen model, and the
simple majority of their predictions. Nothing here loads a model.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import fmean

from prompt_tuning.metrics import METRICS, Scores, Squad, is_right, normalise
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


@dataclass(frozen=True)
class Agreement:
    """How far prompts give the same answer, 0..1."""

    pairwise: float  # share of the examples on which two prompts agree, the mean over pairs
    unanimous: float  # share of the examples on which all agree
    kappa: float | None  # Fleiss': agreement beyond chance; None: all say the same throughout


@dataclass(frozen=True)
class Bin:
    """The examples whose winner had the same number of votes."""

    num_votes: int
    num_examples: int
    num_right: int


@dataclass(frozen=True)
class Calibration:
    """The winner's share of the votes as a confidence, against the share of right answers."""

    bins: list[Bin]  # fewest votes first, without empty ones
    error: float  # expected calibration error, 0..1


def ballots_of(task: Task, examples: Sequence[Example], answers: Sequence[str]) -> list[Ballot]:
    """What each answer of a prompt votes for.

    A class is voted for by its verbalizer, free text as its metric compares it. The paper does not
    say what becomes of an answer that is none: here it votes under its text, and loses every tie
    against one that is (Deviation: a choice of this project's).
    """
    simplify = normaliser(task)
    return [
        Ballot(simplify(answer), is_legal=task.parse(answer, example) is not None)
        for example, answer in zip(examples, answers, strict=True)
    ]


def normaliser(task: Task) -> Callable[[str], str]:
    """The text of an answer without what makes no difference to the task's score."""
    if task.parse_prediction is wsc.parse:
        return wsc.clean
    if issubclass(METRICS[task.metrics[0]], Squad):
        return normalise
    return str


def vote(ballots: Sequence[Ballot], order: Sequence[int]) -> Vote:
    """The plurality of the prompts' ballots on one example.

    Deviation: the paper states no rule for ties. Here legal answers win them, and among those the
    group of the prompt that comes first in `order`.

    Args:
        ballots: one a prompt.
        order: the prompts' indices, the one that wins ties first.
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

    Args:
        tie: `first` or `best`.
        scores: one a prompt, as saved with it.
    """
    if tie == "first":
        return [*range(len(scores))]
    known = [score for score in scores if score is not None]
    assert tie == "best" and len(known) == len(scores), (tie, scores)
    return sorted(range(len(known)), key=lambda index: -known[index])


def agreement(ballots: Sequence[Sequence[Ballot]]) -> Agreement:
    """How far prompts agree; what is no answer agrees with the same text.

    Source of kappa: Fleiss (1971); its observed agreement is the mean over pairs.

    Args:
        ballots: one sequence a prompt (at least two), of the same examples.
    """
    by_example = [*zip(*ballots, strict=True)]
    pairs = [*combinations(ballots, 2)]
    observed = fmean(
        fmean(one == other for one, other in zip(*pair, strict=True)) for pair in pairs
    )
    counts = Counter(ballot for of_prompt in ballots for ballot in of_prompt)
    by_chance = sum((count / counts.total()) ** 2 for count in counts.values())
    return Agreement(
        pairwise=observed,
        unanimous=fmean(len(set(of_example)) == 1 for of_example in by_example),
        kappa=None if len(counts) == 1 else (observed - by_chance) / (1 - by_chance),
    )


def calibration(
    task: Task,
    examples: Sequence[Example],
    answers: Sequence[str],
    votes: Sequence[Vote],
    num_prompts: int,
) -> Calibration | None:
    """Whether answers with more votes are right more often; None if no example is labelled.

    An answer is right on its own terms: the class, or the exact match of free text. MultiRC counts
    its answers one by one, ReCoRD a query once for each of its accepted answers.

    Args:
        task: of the examples.
        examples: those without a label are left out.
        answers: the ensemble's.
        votes: how it came to them.
        num_prompts: who voted.
    """
    right: dict[int, list[bool]] = {}
    for example, answer, won in zip(examples, answers, votes, strict=True):
        if example.is_labelled:
            right.setdefault(won.num_votes, []).append(is_right(task, example, answer))
    if not right:
        return None
    total = sum(map(len, right.values()))
    gaps = [len(each) * abs(fmean(each) - number / num_prompts) for number, each in right.items()]
    return Calibration(
        bins=[Bin(number, len(each), sum(each)) for number, each in sorted(right.items())],
        error=sum(gaps) / total,
    )


def columns(task: Task, members: Sequence[Scores], ensemble: Scores) -> dict[str, Scores]:
    """The columns of the paper's table 3, in percent: average, best and ensemble.

    `average` is the mean over the prompts; `best` the best single prompt of each metric by itself,
    and their mean where a task has several (recomputed from the paper's last line).
    """
    metrics = {
        name: {key: combine([m.metrics[key] for m in members]) for key in ensemble.metrics}
        for name, combine in (("average", fmean), ("best", max))
    }
    found = {
        name: replace(
            ensemble, metrics=each, score=fmean(each[key] for key in task.selection or each)
        )
        for name, each in metrics.items()
        if each
    }
    return {**found, "ensemble": ensemble}
