"""Section 7 on the ladder: what inspected prompts have in common, in a table and in sentences.

A number is that of every seed, the mean over tasks; then mean and deviation over seeds. A
difference is taken run by run, and counts where it is further from 0 than twice its standard error.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from prompt_tuning.analysis.collecting import Config, Found, Grid, Library, flat
from prompt_tuning.analysis.paper import NOTHING
from prompt_tuning.analysis.spread import Estimate, Spread
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


def inspection_claims(grid: Grid, series: Sequence[str]) -> list[str]:
    """What the paper describes in its section 7, and whether it is here."""
    asked = Inspections(grid, series)
    places = asked.places
    labelled = [place for place in places if place[0].startswith("class_label")]
    others = [place for place in places if not place[0].startswith("class_label")]
    long = [place for place in places if place[0].endswith(", 100")]
    stems, vocabulary = FACTS["shared_stems"][1], FACTS["vocabulary_share"][1]
    return [
        f"Of {grid.num_planned} planned runs {len(grid.found)} prompts are inspected.",
        "Are the neighbours of a row tight clusters? " + compared(asked, "tightness", places),
        "Are there lexical clusters among them? "
        + compared(asked, "lexical_clusters", places)
        + " Pieces of the vocabulary that have the stem of another: "
        + means(asked, stems, places[:1]).rpartition(": ")[2],
        "With class-label initialisation, are labels still among the neighbours of their row? "
        + means(asked, value_of("labels_persist", PROMPT), labelled),
        "With other initialisations, are labels among the neighbours of several rows? "
        + compared(asked, "labels_in_several", others),
        "Do rows share neighbours (the paper: at length 100)? "
        + compared(asked, "rows_sharing", places),
        "At length 100, are fewer of the neighbours different ones? "
        + compared(asked, "distinct", long),
        "Are words of the task's texts over-represented? "
        + compared(asked, "domain_share", places, {"the whole vocabulary": vocabulary}),
    ]


def compared(
    asked: Inspections,
    measure: str,
    places: Sequence[Place],
    others: Mapping[str, Value] | None = None,
) -> str:
    """Trained prompts minus random vectors, minus the same before training, minus others."""
    sentences = []
    references = {
        "random vectors": value_of(measure, RANDOM),
        "before training": value_of(measure, INIT),
        **(others or {}),
    }
    for title, reference in references.items():
        values = {
            place: asked.difference(place, value_of(measure, PROMPT), reference) for place in places
        }
        known = {place: value for place, value in values.items() if value is not None}
        if known:
            more, less = (sum(v.sign == sign for v in known.values()) for sign in (1, -1))
            texts = {place: f"{value.value:+.3f}" for place, value in known.items()}
            sentences.append(
                f"Trained minus {title}: {_listed(texts)}; more beyond its error in {more} of "
                f"{len(known)}, less in {less}."
            )
    return " ".join(sentences) or "Not measured."


def means(asked: Inspections, value: Value, places: Sequence[Place]) -> str:
    """A share in percent, place by place."""
    spreads = {place: asked.over_seeds(place, value) for place in places}
    texts = {place: f"{100 * s.mean:.1f} %" for place, s in spreads.items() if s is not None}
    return f"{_listed(texts)}." if texts else "Not measured."


def _listed(texts: Mapping[Place, str]) -> str:
    """ "class_label, 20: +0.2 ladder_400k, +0.3 ladder_1m; ..."."""
    by_series: dict[str, list[str]] = {}
    for (series, model), text in texts.items():
        by_series.setdefault(series, []).append(f"{text} {model}")
    return "; ".join(f"{series}: {', '.join(of)}" for series, of in by_series.items())
