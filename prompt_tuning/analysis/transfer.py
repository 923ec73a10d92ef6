"""Domain transfer: what was learnt on one task, asked of another (tables 1 and 2)."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any, NamedTuple

from prompt_tuning.analysis.claims import Claim, gains, listed
from prompt_tuning.analysis.collecting import Grid
from prompt_tuning.analysis.paper import NOTHING, Published, Tolerances, rows
from prompt_tuning.analysis.spread import Estimate, Spread
from prompt_tuning.analysis.tables import Table, common_notes, number, with_mark

PAPERS_MODEL = "xxl"  # not stated; inferred from its score on SQuAD and its count of runs
Results = dict[int, Mapping[str, Any]]  # by seed


class Place(NamedTuple):
    """What was trained, on which task, and which task was answered; the same one: in domain."""

    method: str
    model: str
    source: str
    target: str


@dataclass
class Transfers:
    """Results by place, of runs that are of the same weights and data."""

    results: dict[Place, Results] = field(default_factory=lambda: defaultdict(dict))

    @classmethod
    def of(cls, grid: Grid) -> "Transfers":
        """Those of a grid; a cell that must not be averaged has none."""
        found = cls()
        for config, run in grid.found:
            method, model = str(config["method"]), str(config["model"]["name"])
            source, result = config["task"]["name"], run.record["result"]
            if len(grid.cells[method, model].substances[source]) > 1:
                continue
            own = {**(result["report"] or result), "floor": result["floor"]}
            for target, scored in {source: own, **result.get("transfer", {})}.items():
                found.results[Place(method, model, source, target)][config["seed"]] = scored
        return found

    def spread(self, place: Place, metric: str | None = None) -> Spread | None:
        """Over seeds, of one metric or of the task's score; None if there are no runs."""
        seeds = sorted(self.results.get(place, {}).items())
        return Spread.of([r["metrics"][metric] if metric else r["score"] for _, r in seeds])

    def floor(self, place: Place) -> float | None:
        """What the target scores without any fact: the better of majority and shortcut."""
        floors = [r["floor"] for r in self.results.get(place, {}).values() if r["floor"]]
        return max(floors[0]["majority"], floors[0]["shortcut"]) if floors else None


def paper_table(name: str, grid: Grid, tolerances: Tolerances) -> Table:
    """The paper's table: published and measured, with verdicts."""
    transfers, lines = Transfers.of(grid), []
    for row in (row for row in rows("transfer") if row["artefact"] == name):
        place = Place(row["method"], PAPERS_MODEL, row["source"], row["target"])
        paper = Published(float(row["mean"]), float(row["sd"]), 0)
        ours = transfers.spread(place, row["metric"])
        lines.append(
            [
                *(row[key] for key in ("source", "target", "method", "metric")),
                f"{paper.mean:.1f} ± {row['sd']}",
                number(ours.mean if ours else None),
                number(ours.deviation if ours else None),
                str(ours.count if ours else 0),
                f"{ours.mean - paper.mean:+.2f}" if ours else NOTHING,
                tolerances.verdict(paper, ours),
            ]
        )
    header = ("trained on", "asked", "method", "metric", "paper", "ours mean", "ours sd", "n")
    note = (
        "Zero-shot where both tasks differ: the step is chosen on the dev set of what was trained "
        f"on. The paper does not state the size; {PAPERS_MODEL} is inferred. Its table 1 is F1."
    )
    return Table((*header, "difference", "verdict"), lines, (note, *common_notes(grid)))


def ladder_table(grid: Grid, tolerances: Tolerances) -> Table:
    """Every direction on the ladder: in domain, zero-shot, and trained on the target itself."""
    transfers, few = Transfers.of(grid), tolerances.min_seeds
    lines = []
    for place in (place for place in transfers.results if place.source != place.target):
        at_home = place._replace(target=place.source)
        of_target = place._replace(source=place.target)
        lines.append(
            [
                *place,
                with_mark(transfers.spread(at_home), few),
                with_mark(transfers.spread(place), few),
                number(transfers.floor(place), digits=1),
                with_mark(transfers.spread(of_target), few),
            ]
        )
    header = ("method", "model", "trained on", "asked", "in domain", "zero-shot")
    note = (
        "Percent on test: mean ± sample standard deviation over seeds (number of seeds). Floor: "
        "the better of majority and best shortcut on the task that is asked. Last column: the same "
        "method trained on that task. No number here compares with one of the paper."
    )
    return Table((*header, "floor", "trained on it"), lines, (note, *common_notes(grid)))


def transfer_claims(grid: Grid, min_seeds: int) -> list[Claim]:
    """Does a prompt transfer better than a tuned model, as most rows of the paper's tables say?"""
    transfers = Transfers.of(grid)
    zero_shot = _differences(transfers, grid.sizes, min_seeds, in_domain=False)
    at_home = _differences(transfers, grid.sizes, min_seeds, in_domain=True)
    question = "Does a prompt transfer better to another domain than a tuned model?"
    of = "Prompt minus model tuning, the mean of both directions, zero-shot"
    made = gains(question, of, zero_shot)
    return [replace(made, numbers=f"{made.numbers} In domain: {listed(at_home)}.")]


def _differences(
    transfers: Transfers, models: Sequence[str], min_seeds: int, *, in_domain: bool
) -> dict[str, Estimate]:
    """Prompt minus model tuning by model, where both have all directions and enough seeds."""
    differences = {}
    for model in models:
        means = [
            _mean(transfers, method, model, in_domain=in_domain)
            for method in ("prompt_tuning", "model_tuning")
        ]
        prompt, tuned = means
        if prompt and tuned and min(prompt.count, tuned.count) >= min_seeds:
            differences[model] = Estimate.of(prompt) - Estimate.of(tuned)
    return differences


def _mean(transfers: Transfers, method: str, model: str, *, in_domain: bool) -> Spread | None:
    """Over seeds, of the mean over directions; seeds that lack one do not count."""
    places = [
        place
        for place in transfers.results
        if (place.method, place.model) == (method, model)
        and (place.source == place.target) == in_domain
    ]
    if not places:
        return None
    results = [transfers.results[place] for place in places]
    seeds = sorted(set.intersection(*({*of} for of in results)))
    return Spread.of([fmean(of[seed]["score"] for of in results) for seed in seeds])
