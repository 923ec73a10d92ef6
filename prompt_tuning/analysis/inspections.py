"""Section 7 on the ladder: what inspected prompts have in common, in a table and in sentences.

A number is that of every seed, the mean over tasks; then mean and deviation over seeds. A
difference is taken run by run, and counts where it is further from 0 than twice its standard error.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from prompt_tuning.analysis.claims import Claim, answer
from prompt_tuning.analysis.collecting import Config, Found, Grid, Library, flat
from prompt_tuning.analysis.paper import NOTHING
from prompt_tuning.analysis.spread import Estimate, Spread, num_of_sign
from prompt_tuning.analysis.tables import FEW_SEEDS, Table, common_notes

KIND = "inspect"
TOP_K = 5  # Lester et al. (2021), section 7
AS_IN_THE_PAPER = {"top_k": TOP_K, "control_tokens": False}
PROMPT, INIT, RANDOM = "prompt", "init", "random"
MEASURES = {
    "tightness": "tightness: cosine between the neighbours of a row",
    "nearest_cosine": "cosine to the nearest piece",
    "lexical_clusters": "rows with a lexical cluster, share",
    "rows_sharing": "rows that share a neighbour, share",
    "distinct": "different neighbours, share",
    "domain_share": "of those, in the task's texts, share",
    "labels_persist": "labels among their own row's neighbours, share",
    "labels_found": "labels among some row's neighbours, share",
    "labels_in_several": "labels among several rows' neighbours, share",
    "label_rows": "rows that a label is among the neighbours of",
}
FACTS: dict[str, tuple[str, Callable[[Mapping[str, Any]], float | None]]] = {
    "score": ("score of the prompts, percent", lambda result: result["score"]),
    "norm_ratio": ("norm of rows, of the embedding's", lambda result: result["norms"]["ratio"]),
    "drift_cosine": (
        "cosine to the row before training",
        lambda result: result["drift"] and result["drift"]["mean_cosine"],
    ),
    "vocabulary_share": (
        "pieces of the whole vocabulary in the task's texts, share",
        lambda result: result["domain"]["vocabulary_share"] if "domain" in result else None,
    ),
    "shared_stems": (
        "pieces that have the stem of another, share",
        lambda result: result["shared_stems"],
    ),
}
Place = tuple[str, str]  # series and model
Value = Callable[[Mapping[str, Any]], float | None]  # of a record's result


class Inspections:
    """The inspections of an artefact, by series and model."""

    def __init__(self, grid: Grid, series: Sequence[str]) -> None:
        """Of a grid that `collect_inspections` made, and the keys that make its series."""
        self.tasks = grid.tasks
        self._results: dict[Place, dict[tuple[str, int], Mapping[str, Any]]] = {}
        for config, found in grid.found:
            run = config["task"]["name"], config["seed"]
            (member,) = found.record["members"]
            result = {**found.record["result"], "score": member["score"]}
            self._results.setdefault(place_of(config, series), {})[run] = result

    @property
    def places(self) -> list[Place]:
        """In the plan's order."""
        return [*self._results]

    def over_seeds(self, place: Place, value: Value) -> Spread | None:
        """Of seeds that have every task; None if there are none, or the number is not known."""
        results = self._results.get(place, {})
        values = {run: value(result) for run, result in results.items()}
        seeds = sorted({seed for _, seed in values})
        means = []
        for seed in seeds:
            of_seed = [values.get((task, seed)) for task in self.tasks]
            known = [number for number in of_seed if number is not None]
            if len(known) == len(self.tasks):
                means.append(fmean(known))
        return Spread.of(means)

    def difference(self, place: Place, value: Value, other: Value) -> Estimate | None:
        """One number minus another of the same prompts."""

        def of_run(result: Mapping[str, Any]) -> float | None:
            first, second = value(result), other(result)
            return None if first is None or second is None else first - second

        spread = self.over_seeds(place, of_run)
        return None if spread is None else Estimate.of(spread)


def collect_inspections(plan: Iterable[Config], series: Sequence[str], library: Library) -> Grid:
    """The inspections of a plan's runs: one of each."""
    grid = Grid()
    for config in plan:
        task = config["task"]["name"]
        grid.num_planned += 1
        if task not in grid.tasks:
            grid.tasks.append(task)
        found: Found | None = library.find_about(KIND, [config], **AS_IN_THE_PAPER)
        if found is None:
            grid.missing.append((*place_of(config, series), task, config["seed"]))
        else:
            grid.found.append((config, found))
    return grid


def place_of(config: Config, series: Sequence[str]) -> Place:
    """Series and model of a run: "class_label, 20" and "ladder_400k"."""
    values = dict(flat(config))
    return ", ".join(str(values[key]) for key in series), str(config["model"]["name"])


def value_of(measure: str, column: str) -> Value:
    """A measure of the prompt, of the prompt before training, or of random vectors."""

    def value(result: Mapping[str, Any]) -> float | None:
        number: float | None = (result["measures"][column] or {}).get(measure)
        return number

    return value


def inspections_table(grid: Grid, series: Sequence[str], min_seeds: int) -> Table:
    """A line for every measure, series and model."""
    inspections = Inspections(grid, series)
    rows = []
    for measure, title in MEASURES.items():
        for place in inspections.places:
            spreads = [
                inspections.over_seeds(place, value_of(measure, column))
                for column in (PROMPT, INIT, RANDOM)
            ]
            if any(spreads):
                count = next(spread.count for spread in spreads if spread)
                rows.append([title, *place, *(_text(s, min_seeds) for s in spreads), str(count)])
    for title, value in FACTS.values():
        for place in inspections.places:
            if spread := inspections.over_seeds(place, value):
                text = _text(spread, min_seeds)
                rows.append([title, *place, text, NOTHING, NOTHING, str(spread.count)])
    note = (
        f"{len(grid.found)} inspected prompts. Mean ± sample standard deviation over n seeds of "
        f"the mean over {', '.join(grid.tasks) or 'no task'}; {FEW_SEEDS} has fewer than "
        f"{min_seeds} seeds. Random vectors: as many Gaussian ones as the prompt has rows, the "
        f"mean over draws. Neighbours: the nearest {TOP_K} pieces by cosine, without control "
        "tokens. No number here compares with one of the paper, which gives none."
    )
    header = ("measure", ", ".join(series), "model", "trained", "before training", "random vectors")
    return Table((*header, "n"), rows, (note, *common_notes(grid)))


def _text(spread: Spread | None, min_seeds: int) -> str:
    if spread is None:
        return NOTHING
    deviation = NOTHING if spread.deviation is None else f"{spread.deviation:.3f}"
    return f"{spread.mean:.3f} ± {deviation}{FEW_SEEDS if spread.count < min_seeds else ''}"


def inspection_claims(grid: Grid, series: Sequence[str]) -> list[Claim]:
    """What the paper describes in its section 7, and whether it is here.

    The answers are of the comparison with random vectors; those with the prompt before training say
    whether training made it so.
    """
    asked = Inspections(grid, series)
    places = asked.places
    labelled = [place for place in places if place[0].startswith("class_label")]
    others = [place for place in places if not place[0].startswith("class_label")]
    long = [place for place in places if place[0].endswith(", 100")]
    asking: tuple[tuple[str, str, Sequence[Place], int], ...] = (
        ("Are the neighbours of a row a tight cluster?", "tightness", places, 1),
        ("Are there lexical clusters among the neighbours?", "lexical_clusters", places, 1),
        (
            "With other initialisations, are labels among the neighbours of several rows?",
            "labels_in_several",
            others,
            1,
        ),
        ("Do rows share neighbours?", "rows_sharing", places, 1),
        ("At length 100, are fewer of the neighbours different ones?", "distinct", long, -1),
        ("Are words of the task's texts over-represented?", "domain_share", places, 1),
    )
    return [
        Claim(question, *compared(asked, measure, of, direction))
        for question, measure, of, direction in asking
    ] + [_labels_kept(asked, labelled)]


def _labels_kept(asked: Inspections, places: Sequence[Place]) -> Claim:
    """Of random vectors no row has a label of its own: the prompt before training stands there."""
    question = "With class-label initialisation, do rows keep their label among their neighbours?"
    trained, before = (value_of("labels_persist", column) for column in (PROMPT, INIT))
    lost = [asked.difference(place, before, trained) for place in places]
    shares = [spread.mean for place in places if (spread := asked.over_seeds(place, trained))]
    signs = [-value.sign or 1 for value in lost if value is not None]
    if not signs:
        return Claim(question)
    kept = f"{100 * min(shares):.0f} to {100 * max(shares):.0f} % of the labels do"
    fewer = f"fewer than before training, beyond the error, in {signs.count(-1)} of {len(signs)}"
    return Claim(question, answer(signs), f"{kept}; {fewer} cells.")


def compared(
    asked: Inspections, measure: str, places: Sequence[Place], direction: int
) -> tuple[str, str]:
    """Trained prompts minus random vectors: the answer; with the rest, in numbers.

    Args:
        asked: the inspections.
        measure: a key of MEASURES.
        places: where to compare.
        direction: 1 if the claim is that there is more of it, -1: less.
    """
    trained = value_of(measure, PROMPT)
    given, sentences = NOTHING, []
    for column, title in ((RANDOM, "random vectors"), (INIT, "before training")):
        found = [asked.difference(place, trained, value_of(measure, column)) for place in places]
        known = [value for value in found if value is not None]
        if not known:
            continue
        if column == RANDOM:
            given = answer(direction * value.sign for value in known)
        more, less = (num_of_sign(known, sign) for sign in (1, -1))
        values = [value.value for value in known]
        sentences.append(
            f"Trained minus {title}: {min(values):+.3f} to {max(values):+.3f}; more beyond its "
            f"error in {more} of {len(known)} cells, less in {less}."
        )
    return given, " ".join(sentences)
