"""Section 7: what trained prompts look like among the vocabulary.

A number is that of every seed, the mean over tasks; then mean and deviation over seeds. A
difference is taken run by run, and counts where it is further from 0 than twice its standard error.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from prompt_tuning.report.artefact import LADDER, REAL, Artefact, Panels
from prompt_tuning.report.claims import Claim, answer
from prompt_tuning.report.estimates import Estimate, Spread, num_of_sign
from prompt_tuning.report.figures import COLOURS, STYLE
from prompt_tuning.report.grid import Grid, Place
from prompt_tuning.report.paper import NOTHING
from prompt_tuning.report.records import Config, Library, Record
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

    def filled(self, plan: Sequence[Config], library: Library) -> Self:
        """With the inspections of its planned runs: one of each."""

        def find(config: Config) -> Record | None:
            return library.find("inspect", [config], **AS_IN_THE_PAPER)

        return replace(self, grid=Grid.of(plan, self.series, find))

    @property
    def places(self) -> list[Place]:
        """Series and models that have an inspection, in the plan's order."""
        found = self.grid.found[["series", "model"]].drop_duplicates()
        return [*found.itertuples(index=False, name=None)]

    @cached_property
    def numbers(self) -> dict[tuple[str, str, str], pd.DataFrame]:
        """By series, model and measure or fact: a row a prompt, a column each of COLUMNS."""
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
            rows += [[*where, name, *(of.get(name) for of in measured)] for name in MEASURES]
        columns = ["series", "model", "task", "seed", "measure", *COLUMNS]
        frame = pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(COLUMNS, float))
        return dict(tuple(frame.groupby(["series", "model", "measure"])))

    def spread(
        self, place: Place, measure: str, column: str = PROMPT, minus: str | None = None
    ) -> Spread | None:
        """Of a measure, or of its difference to another column, over seeds that have every task."""
        numbers = self.numbers[(*place, measure)]
        score = numbers[column] if minus is None else numbers[column] - numbers[minus]
        return Spread.over_parts(numbers.assign(score=score), "task", self.grid.tasks)

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
        few = self.limits.min_seeds
        note = (
            f"{len(self.records)} inspected prompts. Mean ± sample standard deviation over n seeds "
            f"of the mean over {', '.join(self.grid.tasks) or 'no task'}; {FEW_SEEDS} has fewer "
            f"than {few} seeds. Random vectors: as many Gaussian ones as the prompt has rows, the "
            f"mean over draws. Neighbours: the nearest {TOP_K} pieces by cosine, without control "
            "tokens. No number here compares with one of the paper, which gives none."
        )
        titles = (title for title, *_ in COLUMNS.values())
        header = ("measure", ", ".join(self.series), "model", *titles, "n")
        return Table(header, rows, (note, *self.grid.notes()))

    def _text(self, spread: Spread | None) -> str:
        if spread is None:
            return NOTHING
        deviation = NOTHING if spread.deviation is None else f"{spread.deviation:.3f}"
        few = FEW_SEEDS if spread.count < self.limits.min_seeds else ""
        return f"{spread.mean:.3f} ± {deviation}{few}"

    @cached_property
    def claims(self) -> list[Claim]:
        """What the paper describes in its section 7, and whether it is here.

        The answers are of the comparison with random vectors; those with the prompt before training
        say whether training made it so.
        """
        places = self.places
        labelled = [place for place in places if place[0].startswith("class_label")]
        others = [place for place in places if place not in labelled]
        long = [place for place in places if place[0].endswith(", 100")]
        in_several = "With other initialisations, are labels among the neighbours of several rows?"
        distinct = "At length 100, are fewer of the neighbours different ones?"
        asked: tuple[tuple[str, str, list[Place], int], ...] = (
            ("Are the neighbours of a row a tight cluster?", "tightness", places, 1),
            ("Are there lexical clusters among the neighbours?", "lexical_clusters", places, 1),
            (in_several, "labels_in_several", others, 1),
            ("Do rows share neighbours?", "rows_sharing", places, 1),
            (distinct, "distinct", long, -1),
            ("Are words of the task's texts over-represented?", "domain_share", places, 1),
        )
        return [*(self._claim(*question) for question in asked), self._labels_kept(labelled)]

    def _differences(
        self, places: Sequence[Place], measure: str, column: str, minus: str
    ) -> list[Estimate]:
        """One column minus another, where both are known."""
        spreads = (self.spread(place, measure, column, minus) for place in places)
        return [Estimate.of(spread) for spread in spreads if spread]

    def _claim(self, question: str, measure: str, places: Sequence[Place], sign: int) -> Claim:
        """That trained prompts have more of a measure (sign 1) than chance, or less (-1)."""
        given, sentences = NOTHING, []
        for column in (RANDOM, INIT):
            known = self._differences(places, measure, PROMPT, column)
            if not known:
                continue
            if column == RANDOM:
                given = answer(sign * value.sign for value in known)
            more, less = (num_of_sign(known, side) for side in (1, -1))
            values = [value.value for value in known]
            sentences.append(
                f"Trained minus {COLUMNS[column][0]}: {min(values):+.3f} to {max(values):+.3f}; "
                f"more beyond its error in {more} of {len(known)} cells, less in {less}."
            )
        return Claim(question, given, " ".join(sentences))

    def _labels_kept(self, places: Sequence[Place]) -> Claim:
        """Random vectors have no label of their own: the prompt before training stands there."""
        question = (
            "With class-label initialisation, do rows keep their label among their neighbours?"
        )
        lost = self._differences(places, "labels_persist", INIT, PROMPT)
        signs = [-value.sign or 1 for value in lost]
        if not signs:
            return Claim(question)
        spreads = (self.spread(place, "labels_persist") for place in places)
        shares = [100 * spread.mean for spread in spreads if spread]
        numbers = (
            f"{min(shares):.0f} to {max(shares):.0f} % of the labels do; fewer than before "
            f"training, beyond the error, in {signs.count(-1)} of {len(signs)} cells."
        )
        return Claim(question, answer(signs), numbers)

    @cached_property
    def figure(self) -> Figure:
        """A panel a measure; in it a place for every initialisation, length and model."""
        with mpl.rc_context(STYLE):
            figure = Figure(figsize=(9, 6.4), layout="constrained")
            panels = figure.subplots(2, 2, sharex=True).ravel()
            for axes, measure in zip(panels, DRAWN, strict=True):
                self._draw(axes, measure)
                axes.set_title(MEASURES[measure], fontsize=8)
            names = [f"{series}\n{model}" for series, model in self.places]
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
            known = [(x + aside, spread) for x, spread in spreads if spread]
            axes.errorbar(
                [x for x, _ in known],
                [spread.mean for _, spread in known],
                [spread.deviation or 0.0 for _, spread in known],
                color=colour,
                fmt=marker,
                capsize=2,
                label=title,
            )

    @property
    def panels(self) -> Panels:
        """The measures; the config of an inspection has the prompt's file, not its axes."""
        names = [record.name for record in self.records]
        return Panels(names, ("task.name",), [f"inspect/{name}" for name in MEASURES])


SECTION7_FLAN = Inspections(
    "section7_flan",
    "Section 7 on a real T5 Small: what prompts of SST-2 look like among the vocabulary",
    REAL,
    (("fig3a_flan",), ("fig3b_flan",)),
    ("init.strategy", "prompt.length"),
)
SECTION7_LADDER = Inspections(
    "section7_ladder",
    "Section 7: what trained prompts look like among the vocabulary, on the ladder",
    LADDER,
    (
        ("section7_ladder",),
        ("section7_ladder", "model=ladder_400k", "init=class_label", "prompt.length=100"),
    ),
    ("init.strategy", "prompt.length"),
)
