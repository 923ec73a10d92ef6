"""Section 7: what trained prompts look like among the vocabulary.

A number is that of every seed, the mean over tasks; then mean and deviation over seeds. Claims
compare every prompt that has learnt its task with itself before training.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from statistics import fmean
from typing import Any, Self

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from prompt_tuning.report.artefact import LADDER, REAL, Artefact, Panels
from prompt_tuning.report.claims import Claim, Terms, asked_of
from prompt_tuning.report.figures import COLOURS, STYLE, say_at
from prompt_tuning.report.grid import Case, Grid, Place, fail, means_by_seed
from prompt_tuning.report.names import human
from prompt_tuning.report.paper import NOTHING, tolerances
from prompt_tuning.report.records import Config, Library, Record
from prompt_tuning.report.statistics import Spread
from prompt_tuning.report.tables import FEW_SEEDS, Table

TOP_K = 5  # Lester et al. (2021), section 7
AS_IN_THE_PAPER = {"top_k": TOP_K, "control_tokens": False}
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
FACTS = {  # of trained prompts alone
    "score": "score of the prompts, percent",
    "norm_ratio": "norm of rows, of the embedding's",
    "drift_cosine": "cosine to the row before training",
    "vocabulary_share": "pieces of the whole vocabulary in the task's texts, share",
    "shared_stems": "pieces that have the stem of another, share",
}
DRAWN = ("tightness", "distinct", "label_rows", "domain_share")
PROMPT, INIT, RANDOM = "prompt", "init", "random"  # names in a record
COLUMNS = {  # title, colour, marker, and how far aside, so that none hides another
    PROMPT: ("trained", COLOURS[0], "o", -0.2),
    INIT: ("before training", COLOURS[1], "s", 0.0),
    RANDOM: ("random vectors", COLOURS[5], "x", 0.2),
}


@dataclass(frozen=True, eq=False)
class Inspections(Artefact):
    """What inspected prompts have in common; its `grid` has inspections in place of runs."""

    series: tuple[str, ...] = ("init.strategy", "prompt.length")
    runs: Grid = field(default_factory=Grid, kw_only=True)  # that trained them

    def filled(self, plan: Sequence[Config], library: Library) -> Self:
        """Fills in the inspections of the planned runs, one of each."""

        def find(config: Config) -> Record | None:
            return library.find("inspect", [config], **AS_IN_THE_PAPER)

        runs = Grid.of(plan, self.series, lambda config: library.find("train", [config]))
        return replace(self, grid=Grid.of(plan, self.series, find), runs=runs)

    @property
    def places(self) -> list[Place]:
        """Series and models that have an inspection, in the plan's order."""
        found = self.grid.found[["series", "model"]].drop_duplicates()
        return [*found.itertuples(index=False, name=None)]

    @cached_property
    def numbers(self) -> dict[tuple[str, str, str], pd.DataFrame]:
        """Tables by series, model and measure or fact: a row a prompt, the columns of COLUMNS."""
        rows = []
        for run in self.grid.found.itertuples():
            result, (member,) = run.record.content["result"], run.record.content["members"]
            facts = {
                "score": member["score"],
                "norm_ratio": result["norms"]["ratio"],
                "drift_cosine": result["drift"] and result["drift"]["mean_cosine"],
                "vocabulary_share": result.get("domain", {}).get("vocabulary_share"),
                "shared_stems": result["shared_stems"],
            }
            where = [run.series, run.model, run.task, run.seed]
            rows += [[*where, fact, value, None, None] for fact, value in facts.items()]
            measured = [result["measures"][column] or {} for column in COLUMNS]
            rows += [[*where, name, *(each.get(name) for each in measured)] for name in MEASURES]
        columns = ["series", "model", "task", "seed", "measure", *COLUMNS]
        frame = pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(COLUMNS, float))
        return dict(tuple(frame.groupby(["series", "model", "measure"])))

    def spread(self, place: Place, measure: str, column: str = PROMPT) -> Spread | None:
        """The spread of a measure over the seeds that have every task."""
        numbers = self.numbers[(*place, measure)]
        return Spread.of(means_by_seed(numbers.assign(score=numbers[column]), self.grid.tasks))

    @cached_property
    def table(self) -> Table:
        """A line for every measure, series and model."""
        rows = []
        for measure, title in (MEASURES | FACTS).items():
            for place in self.places:
                spreads = [self.spread(place, measure, column) for column in COLUMNS]
                if known := [spread for spread in spreads if spread]:
                    texts = (self._text(spread) for spread in spreads)
                    rows.append([title, *place, *texts, str(known[0].count)])
        note = (
            f"{len(self.records)} inspected prompts. Mean ± sample standard deviation over n seeds "
            f"of the mean over {', '.join(self.grid.tasks) or 'no task'}; {FEW_SEEDS} has fewer "
            f"than {tolerances().min_seeds} seeds. Random vectors: as many Gaussian ones as the "
            f"prompt has rows, the mean over draws. Neighbours: the nearest {TOP_K} pieces by "
            "cosine, without control tokens. No number here compares with one of the paper, which "
            "gives none."
        )
        titles = (title for title, *_ in COLUMNS.values())
        header = ("measure", ", ".join(self.series), "model", *titles, "n")
        return Table(header, rows, (note, *self.grid.notes()))

    def _text(self, spread: Spread | None) -> str:
        if spread is None:
            return NOTHING
        deviation = NOTHING if spread.deviation is None else f"{spread.deviation:.3f}"
        few = FEW_SEEDS if spread.count < tolerances().min_seeds else ""
        return f"{spread.mean:.3f} ± {deviation}{few}"

    @cached_property
    def claims(self) -> list[Claim]:
        """What the paper describes in its section 7, and whether training brings it about here."""

        several = "Without class labels at the start, do several rows come to be near a label?"
        distinct = "At length 100, are fewer of the neighbours different ones?"
        kept = "With class labels at the start, do rows keep their label among their neighbours?"
        places = self.places
        labelled = [place for place in places if place[0].startswith("class_label")]
        unlabelled = [place for place in places if place not in labelled]
        long = [place for place in places if place[0].endswith(", 100")]
        tight = "Does training make the neighbours of a row a tight cluster?"
        return [
            self._claim(tight, "tightness", places),
            self._claim("Does training bring about lexical clusters?", "lexical_clusters", places),
            self._claim(several, "labels_in_several", unlabelled),
            self._claim("Do rows come to share neighbours?", "rows_sharing", places),
            self._claim(distinct, "distinct", long, sign=-1),
            self._claim("Do words of the task's texts come near?", "domain_share", places),
            self._claim(kept, "labels_persist", labelled, alike=True),
        ]

    def _claim(
        self,
        question: str,
        measure: str,
        places: Sequence[Place],
        *,
        sign: int = 1,
        alike: bool = False,
    ) -> Claim:
        """A claim on 100 times a measure, trained minus before training, prompt by prompt."""
        cases: dict[Case, Terms] = {}
        beside: list[float] = []
        for place in places:
            numbers = self._of_learnt(place, measure)
            beside += [*100 * (numbers[PROMPT] - numbers[RANDOM]).dropna()]
            for task, of_task in numbers.groupby("task", sort=False):
                gains = 100 * (of_task[PROMPT] - of_task[INIT]).dropna()
                if len(gains):
                    cases[f"{human(place[1])}, {human(place[0])}", str(task)] = [(1.0, [*gains])]
        what = "Trained minus before training, times 100"
        made = asked_of(question, what, cases, "described, no number", sign=sign, alike=alike)
        told = [made.detail]
        if alike and cases:
            drifts = [self._of_learnt(place, "drift_cosine")[PROMPT] for place in places]
            cosine = pd.concat(drifts).mean()
            told.append(f"Cosine of a row to itself before training, the mean: {cosine:.3f}.")
        if beside:
            told.append(f"Minus random vectors, the mean over prompts: {fmean(beside):+.1f}.")
        return replace(made, detail=" ".join(filter(None, told)))

    def _of_learnt(self, place: Place, measure: str) -> pd.DataFrame:
        """The numbers of the prompts that have learnt their task."""
        scores = self.runs.cell(place).dropna(subset="floor")
        learnt = scores[~np.array(fail(scores), dtype=bool)]
        return self.numbers[(*place, measure)].merge(learnt[["task", "seed"]])

    @cached_property
    def figure(self) -> Figure:
        """A panel a measure; in it a place for every initialisation, length and model."""
        with mpl.rc_context(STYLE):
            figure = Figure(figsize=(9, 6.4), layout="constrained")
            panels = figure.subplots(2, 2, sharex=True).ravel()
            for axes, measure in zip(panels, DRAWN, strict=True):
                self._draw(axes, measure)
                axes.set_title(MEASURES[measure], fontsize=8)
            names = [f"{human(series)}\n{human(model)}" for series, model in self.places]
            for axes in panels[2:]:
                axes.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
            handles = panels[0].get_legend_handles_labels()
            figure.legend(*handles, loc="outside lower center", ncols=3)
            title = self.title if names else f"{self.title}: not measured"
            figure.suptitle(title, fontsize=10)
            return figure

    def _draw(self, axes: Any, measure: str) -> None:
        for column, (title, colour, marker, aside) in COLUMNS.items():
            spreads = enumerate(self.spread(place, measure, column) for place in self.places)
            known = [(x + aside, each.mean, each.deviation or 0.0) for x, each in spreads if each]
            for x, mean, _ in known:
                say_at(axes, x, mean, f"{title}: {mean:.3f}")
            bars = zip(*known, strict=True) if known else ([], [], [])
            axes.errorbar(*bars, color=colour, fmt=marker, capsize=2, label=title)

    @property
    def panels(self) -> Panels:
        """The measures; the config of an inspection has the prompt's file, not its axes."""
        names = [record.name for record in self.records]
        return Panels(names, ("task.name",), [f"inspect/{name}" for name in MEASURES])


TO_SEE = (
    "To look for, as in section 7: circles (trained) above squares (the same prompts before "
    "training) and crosses (random vectors); of different neighbours, below. Means over seeds, "
    "with their deviations."
)
SECTION7_FLAN = Inspections(
    "section7_flan",
    "Section 7 on a real T5 Small: what prompts of SST-2 look like among the vocabulary",
    REAL,
    (("fig3a_flan",), ("fig3b_flan",)),
    caption=TO_SEE,
)
SECTION7_LADDER = Inspections(
    "section7_ladder",
    "Section 7: what trained prompts look like among the vocabulary, on the ladder",
    LADDER,
    (
        ("section7_ladder",),
        ("section7_ladder", "model=ladder_400k", "init=class_label", "prompt.length=100"),
    ),
    caption=TO_SEE,
)
