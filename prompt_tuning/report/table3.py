"""Table 3: the average prompt, the best one and the vote of five."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self

import pandas as pd

from prompt_tuning.report.artefact import LADDER, MINI_SQUAD, PAPER, REAL, Artefact, Panels
from prompt_tuning.report.claims import Claim, asked_of
from prompt_tuning.report.grid import codes, fail
from prompt_tuning.report.paper import FEW, MATCH, NOTHING, OFF, published_rows, tolerances
from prompt_tuning.report.records import Config, Library, Record
from prompt_tuning.report.seed_groups import seed_groups
from prompt_tuning.report.statistics import Spread
from prompt_tuning.report.tables import Table, failed_text, number, with_mark
from prompt_tuning.tasks import SUPERGLUE

NUM_PROMPTS = 5  # of an ensemble (paper, section 6)
TIE = "first"  # of the records that are shown
COLUMNS = ("average", "best", "ensemble")
TASK = ["model", "task"]
NOT_MEASURED = [*[NOTHING] * 4, "0", NOTHING, NOTHING]
VOTES = [*TASK, "record", "substance", *COLUMNS, "shortcut", "agreement", "error", "prompts"]


@dataclass(frozen=True, eq=False)
class Votes(Artefact):
    """The table of section 6; its `grid` has the runs of single prompts."""

    series: tuple[str, ...] = ("method",)
    votes: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=VOTES))

    def filled(self, plan: Sequence[Config], library: Library) -> Self:
        """Also the ensembles of disjoint groups of seeds, model by model."""
        votes = []
        for group in seed_groups(plan, NUM_PROMPTS):
            configs = [plan[index] for index in group]
            record = library.find("ensemble", configs, tie=TIE)
            names = {name: str(configs[0][name]["name"]) for name in TASK}
            votes.append({**names, "record": record, **(_numbers(record) if record else {})})
        frame = pd.DataFrame(votes, columns=VOTES)
        models = list(frame["model"].unique())
        frame = frame.sort_values("model", key=lambda names: names.map(models.index), kind="stable")
        return replace(super().filled(plan, library), votes=frame.reset_index(drop=True))

    @property
    def found(self) -> pd.DataFrame:
        """The ensembles that have a record."""
        return self.votes[self.votes["record"].notna()]

    @cached_property
    def comparable(self) -> pd.DataFrame:
        """The rows of models and tasks where all runs have the same weights and data."""
        return self.found[self.found.groupby(TASK)["substance"].transform("nunique") == 1]

    @property
    def records(self) -> list[Record]:
        """The ensembles, and the runs of single prompts."""
        return [*self.found["record"], *self.grid.records]

    def _notes(self) -> list[str]:
        missing = len(self.votes) - len(self.found)
        notes = [
            f"Missing: {missing} of {len(self.votes)} ensembles.",
            f"Ensembles by commit: {codes(self.found['record'])}.",
        ]
        mixed = self.found.drop(self.comparable.index)[TASK].drop_duplicates()
        names = ", ".join(f"{task} on {model}" for model, task in mixed.to_numpy())
        if names:
            notes.append(f"Ensembles of different weights or data, not averaged: {names}.")
        return [*(notes if len(self.votes) else []), *self.grid.notes()]

    @cached_property
    def table(self) -> Table:
        """The paper's rows beside ours; on other models every task, beside the floors."""
        return self._paper_table() if self.models == PAPER else self._ladder_table()

    def _ladder_table(self) -> Table:
        few, lines = tolerances().min_seeds, []
        for model, task in self.votes[TASK].drop_duplicates().to_numpy():
            votes = self.comparable.query("model == @model and task == @task")
            best, voted, agreement, error = (
                with_mark(Spread.of(votes[name]))
                for name in ("best", "ensemble", "agreement", "error")
            )
            prompts = with_mark(Spread.of(votes["prompts"].explode().dropna()))
            floors = "; ".join(f"{floor:.1f}" for floor in sorted({*votes["shortcut"].dropna()}))
            won = [_signed(votes["ensemble"] - votes[name]) for name in COLUMNS[:2]]
            failed = failed_text(fail(self.grid.scores.query("model == @model and task == @task")))
            line = [model, task, floors or NOTHING, prompts, failed, best, voted]
            lines.append([*line, *won, agreement, error])
        note = (
            "Percent on the split that chose nothing. average: mean ± sample standard deviation "
            "over prompts (their number); elsewhere over disjoint ensembles of "
            f"{NUM_PROMPTS} prompts each, and † has fewer than {few}. best: the best prompt of an "
            "ensemble, known only after the test. agreement: pairs of prompts that answer alike. "
            "calibration error: of the winner's share of the votes as its confidence. Ties: "
            f"tie={TIE}. No number here compares with one of the paper."
        )
        header = (
            *("model", "task", "floor: best shortcut", "average", "prompts that fail to learn"),
            *COLUMNS[1:],
            *("ensemble - average", "ensemble - best", "agreement, %", "calibration error, %"),
        )
        return Table(header, lines, (note, *self._notes()))

    @cached_property
    def claims(self) -> list[Claim]:
        """Does the vote beat the average prompt? The best one?"""
        if self.models == PAPER:
            return []
        (paper,) = (row for row in published_rows("table3") if row["task"] == "superglue")
        votes, found = self.comparable, []
        for over in COLUMNS[:2]:
            gains = votes.assign(gain=votes["ensemble"] - votes[over]).groupby(TASK, sort=False)
            cases = {case: [(1.0, [*gain])] for case, gain in gains["gain"]}
            published = f"{float(paper['ensemble']) - float(paper[over]):+.1f} (T5 XXL)"
            question = f"Does a vote of five prompts beat the {over} one?"
            found.append(asked_of(question, f"Vote minus {over}", cases, published))
        return found

    def _paper_table(self) -> Table:
        """Metric by metric; SuperGLUE's line needs all tasks."""
        first = self.comparable.drop_duplicates("task").set_index("task")["record"]
        ours = {task: _metrics(record) for task, record in first.items()}
        if {*SUPERGLUE} <= {*ours}:
            scores = pd.DataFrame([ours[task].loc["score"] for task in SUPERGLUE])
            ours["superglue"] = scores.mean().to_frame("score").T
        lines = []
        for row in published_rows("table3"):
            task, metric, paper = row["task"], row["metric"], [float(row[name]) for name in COLUMNS]
            numbers = _compared(paper, ours[task].loc[metric]) if task in ours else NOT_MEASURED
            lines.append([task, metric, *(f"{value:.1f}" for value in paper), *numbers])
        header = (
            *("task", "metric", *(f"paper {name}" for name in COLUMNS)),
            *(f"ours {name}" for name in COLUMNS),
            *("sd of prompts", "prompts", "differences", "verdict"),
        )
        note = (
            f"XXL on dev, {NUM_PROMPTS} prompts a task. best: of each metric by itself. The "
            "verdict is on average, best and ensemble together. Ties: "
            f"tie={TIE}; the paper does not say."
        )
        return Table(header, lines, (note, *self._notes()))

    @property
    def panels(self) -> Panels:
        """The three columns, of the ensembles."""
        names = [record.name for record in self.comparable["record"]]
        return Panels(names, ("task.name", "model.name"), [f"{name}/score" for name in COLUMNS])


def _numbers(record: Record) -> dict[str, Any]:
    """What the tables say of an ensemble."""
    result = record.content["result"]
    return {
        "substance": record.substance,
        **{name: result[name]["score"] for name in COLUMNS},
        "shortcut": result["floor"] and result["floor"]["shortcut"],
        "agreement": 100 * result["agreement"]["pairwise"],
        "error": 100 * result["calibration"]["error"],
        "prompts": [member["scores"]["score"] for member in record.content["members"]],
    }


def _metrics(record: Record) -> pd.DataFrame:
    """A row a metric, and the score; columns: average, best, ensemble, and each prompt."""
    scored = {name: record.content["result"][name] for name in COLUMNS}
    scored |= {str(run): one["scores"] for run, one in enumerate(record.content["members"])}
    return pd.DataFrame(
        {name: {**values["metrics"], "score": values["score"]} for name, values in scored.items()}
    )


def _compared(paper: Sequence[float], ours: pd.Series) -> list[str]:
    """The columns, with the prompts, beside those of the paper."""
    spread = Spread.of(ours.drop([*COLUMNS]))
    assert spread is not None
    differences = [ours[name] - value for name, value in zip(COLUMNS, paper, strict=True)]
    band = tolerances().band(None, spread.deviation)
    verdict = MATCH if all(abs(difference) <= band for difference in differences) else OFF
    return [
        *(number(ours[name]) for name in COLUMNS),
        *(number(spread.deviation), str(spread.count)),
        " / ".join(f"{difference:+.2f}" for difference in differences),
        verdict if spread.count >= tolerances().min_seeds else FEW,
    ]


def _signed(won: Iterable[float]) -> str:
    spread = Spread.of(won)
    return ("+" if spread and spread.mean >= 0 else "") + with_mark(spread)


TABLE3 = Votes("table3", "Table 3: a vote of five prompts", sweeps=(("table3",),))
TABLE3_FLAN = Votes(
    "table3_flan",
    "Table 3 on a real T5 Small: a vote of five prompts",
    REAL,
    (("table3_flan",), ("table3_flan_squad",)),
)
TABLE3_LADDER = Votes(
    "table3_ladder",
    f"{TABLE3.title}, on the ladder",
    LADDER,
    (("table3_ladder",), ("table3_ladder", *MINI_SQUAD)),
)
