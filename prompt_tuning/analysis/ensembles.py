"""Table 3: the average prompt, the best one and the vote of five."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean

from prompt_tuning.analysis.claims import Claim, gains
from prompt_tuning.analysis.collecting import Config, Found, Grid, Library
from prompt_tuning.analysis.paper import (
    FEW,
    MATCH,
    NOTHING,
    OFF,
    SUPERGLUE,
    Tolerances,
    rows,
)
from prompt_tuning.analysis.seed_groups import seed_groups
from prompt_tuning.analysis.spread import Estimate, Spread
from prompt_tuning.analysis.tables import Table, common_notes, number, with_mark

NUM_PROMPTS = 5  # of an ensemble (paper, section 6)
TIE = "first"  # of the records that are shown
COLUMNS = ("average", "best", "ensemble")
RECORD_KIND = "ensemble"


@dataclass
class Votes:
    """The ensembles of one model on one task: disjoint groups of its prompts."""

    size: str
    task: str
    num_planned: int = 0
    found: list[Found] = field(default_factory=list)

    @property
    def comparable(self) -> list[Found]:
        """The ensembles, unless they differ in weights or data."""
        return self.found if len({of.substance for of in self.found}) == 1 else []

    @property
    def prompts(self) -> Spread | None:
        """Scores of the single prompts."""
        members = (member for of in self.comparable for member in of.record["members"])
        return Spread.of([member["scores"]["score"] for member in members])

    def column(self, name: str) -> Spread | None:
        """Scores of `average`, `best` or `ensemble`, over ensembles."""
        return Spread.of([of.record["result"][name]["score"] for of in self.comparable])

    def gains(self, over: str) -> list[float]:
        """The vote minus `average` or `best` of its own prompts, one an ensemble."""
        results = [of.record["result"] for of in self.comparable]
        return [of["ensemble"]["score"] - of[over]["score"] for of in results]


def collect_votes(plan: Sequence[Config], library: Library) -> list[Votes]:
    """The ensembles of a plan's runs, model by model in its order."""
    votes: dict[tuple[str, str], Votes] = {}
    for group in seed_groups(plan, NUM_PROMPTS):
        configs = [plan[index] for index in group]
        place = str(configs[0]["model"]["name"]), str(configs[0]["task"]["name"])
        of = votes.setdefault(place, Votes(*place))
        of.num_planned += 1
        found = library.find_about(RECORD_KIND, configs, tie=TIE)
        of.found += [found] if found else []
    sizes = list(dict.fromkeys(size for size, _ in votes))
    return sorted(votes.values(), key=lambda of: sizes.index(of.size))


def ladder_votes_table(votes: Sequence[Votes], grid: Grid, min_seeds: int) -> Table:
    """Every model and task of the ladder, beside the floors."""
    header = (
        *("model", "task", "floor: best shortcut", "average", "best", "ensemble"),
        *("ensemble - average", "ensemble - best", "agreement, %", "calibration error, %"),
    )
    notes = [
        f"Percent on test. average: mean ± sample standard deviation over prompts (their number); "
        f"elsewhere over disjoint ensembles of {NUM_PROMPTS} prompts each, and † has fewer than "
        f"{min_seeds}. best: the best prompt of an ensemble, known only after the test. agreement: "
        "pairs of prompts with the same answer. calibration error: of the winner's share of the "
        f"votes as its confidence. Ties: tie={TIE}. No number here compares with one of the paper.",
        *_missing_notes(votes),
    ]
    body = [_ladder_row(of, min_seeds) for of in votes]
    return Table(header, body, (*notes, *common_notes(grid)))


def _ladder_row(votes: Votes, min_seeds: int) -> list[str]:
    results = [of.record["result"] for of in votes.comparable]
    floors = sorted({of["floor"]["shortcut"] for of in results if of["floor"]})
    agreements = Spread.of([100 * of["agreement"]["pairwise"] for of in results])
    errors = Spread.of([100 * of["calibration"]["error"] for of in results])
    return [
        votes.size,
        votes.task,
        "; ".join(f"{floor:.1f}" for floor in floors) or NOTHING,
        with_mark(votes.prompts, min_seeds),
        with_mark(votes.column("best"), min_seeds),
        with_mark(votes.column("ensemble"), min_seeds),
        _signed(votes.gains("average"), min_seeds),
        _signed(votes.gains("best"), min_seeds),
        with_mark(agreements, min_seeds),
        with_mark(errors, min_seeds),
    ]


def _signed(gains: Sequence[float], min_seeds: int) -> str:
    spread = Spread.of(gains)
    sign = "+" if spread and spread.mean >= 0 else ""
    return sign + with_mark(spread, min_seeds)


def vote_claims(votes: Sequence[Votes], min_seeds: int) -> list[Claim]:
    """Does the vote beat the average prompt? The best one? Answered by the ladder."""
    enough = [of for of in votes if len(of.comparable) >= min_seeds]
    return [_vote_claim(enough, over) for over in ("average", "best")]


def _vote_claim(votes: Sequence[Votes], over: str) -> Claim:
    means = {
        size: _mean_gain([of for of in votes if of.size == size], over) for size in _sizes(votes)
    }
    question = f"Does the vote beat the {over} prompt?"
    made = gains(question, f"Ensemble minus {over}, mean over tasks", means)
    by_task = f"By task: a gain for {_where(votes, over, 1)}; a loss for {_where(votes, over, -1)}."
    return replace(made, numbers=f"{made.numbers} {by_task}")


def _sizes(votes: Iterable[Votes]) -> list[str]:
    return list(dict.fromkeys(of.size for of in votes))


def _mean_gain(votes: Sequence[Votes], over: str) -> Estimate:
    """Over the tasks of one model; of each, its error over ensembles."""
    gains = [*zip(*(of.gains(over) for of in votes), strict=False)]
    spread = Spread.of([fmean(of_group) for of_group in gains])
    assert spread is not None, votes
    return Estimate.of(spread)


def _where(votes: Iterable[Votes], over: str, sign: int) -> str:
    """Tasks and models with a gain, or a loss, beyond its error."""
    found = [
        f"{of.task} on {of.size}"
        for of in votes
        if (spread := Spread.of(of.gains(over))) and Estimate.of(spread).sign == sign
    ]
    return ", ".join(found) or "none"


def paper_votes_table(votes: Sequence[Votes], grid: Grid, tolerances: Tolerances) -> Table:
    """The paper's table 3 beside ours, metric by metric; SuperGLUE's line needs all tasks."""
    by_task = {of.task: of.comparable[0].record for of in votes if of.comparable}
    body = []
    for row in rows("table3"):
        task, metric = row["task"], row["metric"]
        published = {name: float(row[name]) for name in COLUMNS}
        ours, spread = None, None
        if task == "superglue" and {*SUPERGLUE} <= {*by_task}:
            records = [by_task[name] for name in SUPERGLUE]
            ours = {name: fmean(of["result"][name]["score"] for of in records) for name in COLUMNS}
            scores = [[m["scores"]["score"] for m in of["members"]] for of in records]
            spread = Spread.of([fmean(of_seed) for of_seed in zip(*scores, strict=True)])
        elif task in by_task:
            result, members = by_task[task]["result"], by_task[task]["members"]
            ours = {name: result[name]["metrics"][metric] for name in COLUMNS}
            spread = Spread.of([member["scores"]["metrics"][metric] for member in members])
        body.append([task, metric, *_paper_cells(published, ours, spread, tolerances)])
    header = (
        *("task", "metric", *(f"paper {name}" for name in COLUMNS)),
        *(f"ours {name}" for name in COLUMNS),
        *("sd of prompts", "prompts", "differences", "verdict"),
    )
    note = (
        f"XXL on dev, {NUM_PROMPTS} prompts a task. best: of each metric by itself. The verdict is "
        f"on average, best and ensemble together. Ties: tie={TIE}; the paper does not say."
    )
    return Table(header, body, (note, *_missing_notes(votes), *common_notes(grid)))


def _paper_cells(
    published: Mapping[str, float],
    ours: Mapping[str, float] | None,
    spread: Spread | None,
    tolerances: Tolerances,
) -> list[str]:
    paper = [f"{published[name]:.1f}" for name in COLUMNS]
    if ours is None or spread is None:
        return [*paper, *[NOTHING] * 4, "0", NOTHING, NOTHING]
    differences = [ours[name] - published[name] for name in COLUMNS]
    band = tolerances.band(None, spread.deviation)
    verdict = MATCH if all(abs(difference) <= band for difference in differences) else OFF
    return [
        *paper,
        *(number(ours[name]) for name in COLUMNS),
        number(spread.deviation),
        str(spread.count),
        " / ".join(f"{difference:+.2f}" for difference in differences),
        verdict if spread.count >= tolerances.min_seeds else FEW,
    ]


def _missing_notes(votes: Sequence[Votes]) -> list[str]:
    planned, found = sum(of.num_planned for of in votes), [run for of in votes for run in of.found]
    if not planned:
        return []
    codes = "; ".join(f"{code}: {n}" for code, n in sorted(Counter(r.code for r in found).items()))
    notes = [
        f"Missing: {planned - len(found)} of {planned} ensembles.",
        f"Ensembles by commit: {codes or 'none'}.",
    ]
    mixed = [f"{of.task} on {of.size}" for of in votes if of.found and not of.comparable]
    if mixed:
        notes.append(f"Ensembles of different weights or data, not averaged: {', '.join(mixed)}.")
    return notes
