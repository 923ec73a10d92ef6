"""A real T5 Small on two cores: the paper's questions asked of FLAN-T5 Small, rounded to int8.

It has seen SuperGLUE's training sets: nothing here has a verdict against the paper, whose own Small
stands beside as orientation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import pandas as pd
from matplotlib.figure import Figure

from prompt_tuning.report.artefact import REAL, Artefact
from prompt_tuning.report.claims import Claim, Papers, asked_of_sum
from prompt_tuning.report.fig3 import initialisation, length
from prompt_tuning.report.figures import Column, Panel, panel_figure
from prompt_tuning.report.grid import Grid, Place, fail
from prompt_tuning.report.names import human
from prompt_tuning.report.paper import NOTHING, SIZES, published_scores, tolerances
from prompt_tuning.report.statistics import Spread
from prompt_tuning.report.tables import FEW_SEEDS, Table, failed_text, number, with_mark

PAPERS_SIZE = SIZES[0]  # the paper's model with as many parameters


@dataclass(frozen=True, eq=False)
class RealScores(Artefact):
    """Scores task by task: figures 1 and 3, the gate before them and the control after them."""

    panel_a_task: bool = True  # False: the tasks stand side by side in one panel
    papers_sizes: ClassVar[Sequence[str]] = (PAPERS_SIZE,)

    @cached_property
    def table(self) -> Table:
        """A row a task and curve, beside what needs no training."""
        planned = {*zip(self.grid.planned["task"], self.grid.planned["series"], strict=True)}
        rows = [
            [task, place[0], *self._numbers(place, task)]
            for task in self.grid.tasks
            for place in self.grid.places
            if (task, place[0]) in planned
        ]
        note = (
            "Percent on the validation split, of at most 1,000 examples; mean ± sample standard "
            f"deviation (number of seeds); {FEW_SEEDS} has fewer than {tolerances().min_seeds}. "
            "Step 0 is the same run before its first step. The step that is reported was chosen on "
            "training rows held out; the paper's way, the best step on validation itself, stands "
            "beside it. A run fails to learn if guessing by the best constant answer could score "
            "as much (results/paper/rule.md). No number here has a verdict against the paper's."
        )
        header = (
            *("task", ", ".join(self.series), "examples", "best constant answer", "step 0"),
            *("score", "by seed", "the paper's way", "fail to learn"),
        )
        return Table(header, rows, (note, *self.grid.notes()))

    def _runs(self, place: Place, task: str) -> pd.DataFrame:
        """The scores of a cell; none of runs that differ in weights or data."""
        runs = self.grid.runs(place, task)
        return runs if self.grid.spread(place, [task]) else runs[:0]

    def _numbers(self, place: Place, task: str) -> list[str]:
        runs = self._runs(place, task)
        if runs.empty:
            return [NOTHING] * 7
        untrained, score, papers_way = (
            with_mark(Spread.of(runs[name].dropna()))
            for name in ("untrained", "score", "report_chooses")
        )
        return [
            *(str(runs["num_examples"].iloc[0]), number(runs["floor"].iloc[0], 1), untrained),
            *(score, ", ".join(number(each, 1) for each in runs["score"]), papers_way),
            failed_text(fail(runs)),
        ]

    @cached_property
    def figure(self) -> Figure:
        """Every run as a point over its floor; the paper's Small in a panel of its own."""
        places, tasks = self.grid.places, self.grid.tasks
        if self.panel_a_task:
            panels = [
                Panel(human(task), [self._column(place, task, place[0]) for place in places])
                for task in tasks
            ]
        else:
            panels = [Panel("", [self._column(place, t, t) for t in tasks]) for place in places]
        if self.orientation:
            published = published_scores(self.orientation)
            columns = [
                Column(human(series), [point.mean], deviation=point.spread)
                for series in dict.fromkeys(place[0] for place in places)
                if (point := published.get((series, PAPERS_SIZE)))
            ]
            title = "the paper's T5 Small,\nmean over SuperGLUE"
            panels.append(Panel(title, columns, is_paper=True))
        return panel_figure(self.title, panels)

    def _column(self, place: Place, task: str, name: str) -> Column:
        runs = self._runs(place, task)
        floors = (*runs["floor"].dropna(), None)
        return Column(human(name), [*runs["score"]], [*runs["untrained"].dropna()], floors[0])


def methods(grid: Grid, papers: Papers) -> list[Claim]:
    """The claims on methods: the paper's small has model tuning ahead, and no prompt design."""
    prompts, design = "prompt_tuning", "prompt_design, 4, labels"
    gap = {"model_tuning": 1, prompts: -1}
    tuning = "Is tuning all weights better than a prompt at this size?"
    return [
        asked_of_sum(tuning, "Model tuning minus prompt", grid, gap, papers.gap(*gap)),
        asked_of_sum(
            "Are prompts better than prompt design on the same model?",
            "Prompt minus prompt design, four examples",
            grid,
            {prompts: 1, design: -1},
            "none at this size",
        ),
    ]


POINTS = "Dots: runs; crosses: the same before training; dotted: the best constant answer."
PER_TOKEN = "evaluation.rank=labels_per_token"
FIG1_RUNS = (
    ("fig1_flan",),
    ("fig1_flan_model_tuning",),
    ("fig1_flan_prompt_design",),
    ("fig1_flan_instruction",),
    ("fig1_flan_prompt_design", "prompt.num_shots=0", "seed=0", PER_TOKEN),
    ("fig1_flan_instruction", PER_TOKEN),
)
LONGER = ("training.num_steps=3000", "evaluation.every_steps=300")
GATE_FLAN = RealScores(
    "gate_flan",
    "The gate: which real tasks does a prompt learn in 300 steps?",
    REAL,
    (("gate_flan",), ("table2_flan", "seed=0"), ("table1_flan", "seed=0")),
    ("method",),
    "One seed and one stated budget for every task with data here, 300 steps of 16 examples. BoolQ "
    "has 22 % of its training set, ReCoRD 64 training queries and 123 of validation, QQP 20,000 "
    "rows; SQuAD is its dev file, split by article.",
    panel_a_task=False,
    caption=f"To see: which tasks have a dot well above their dotted line. {POINTS}",
)
FIG1_FLAN = RealScores(
    "fig1_flan",
    "Figure 1 on a real T5 Small: prompts, model tuning, prompt design",
    REAL,
    FIG1_RUNS,
    ("method", "prompt.num_shots", "prompt.template", "evaluation.rank"),
    "The same weights under every method. Prompt design ranks the class labels, by likelihood or "
    "its mean over tokens, behind 0 or 4 solved examples or in FLAN's words; nothing is trained.",
    orientation="fig1",
    make_claims=methods,
    caption="To see: on SST-2 a prompt comes near model tuning and lies above prompt design; "
    f"which methods leave the line on the other tasks. {POINTS} Right: the paper's Small.",
)
FIG3A_FLAN = RealScores(
    "fig3a_flan",
    "Figure 3(a) on a real T5 Small: prompt length",
    REAL,
    (("fig3a_flan",), ("fig3a_flan_squad",)),
    ("prompt.length",),
    orientation="fig3a",
    make_claims=length,
    caption="To see: whether one position does as well as 150. "
    f"{POINTS} Right: the paper's Small, where it does not.",
)
FIG3B_FLAN = RealScores(
    "fig3b_flan",
    "Figure 3(b) on a real T5 Small: initialisation",
    REAL,
    (("fig3b_flan",), ("fig3b_flan_squad",)),
    ("init.strategy",),
    "SQuAD's answers are free text: it has no class labels to start from.",
    orientation="fig3b",
    make_claims=initialisation,
    caption="To see: whether the three initialisations end at one height. "
    f"{POINTS} Right: the paper's Small.",
)
CONTROL_FLAN = RealScores(
    "control_flan",
    "Control on the real model's shape: prompts before random weights",
    REAL,
    (("control_flan",), ("fig1_flan", "task=sst2"), ("table2_flan", "task=mrpc")),
    ("variant.name",),
    "No claim of the paper: a prompt that learns here does not draw on pre-training.",
    caption=f"To see: whether a prompt before random weights leaves the dotted line. {POINTS}",
)
LONG_FLAN = RealScores(
    "long_flan",
    "Ten times the steps on a task that did not move",
    REAL,
    (("gate_flan", "task=wic"), ("gate_flan", "task=wic", *LONGER)),
    ("training.num_steps",),
    "No claim of the paper, whose prompts have 30,000 steps: is time what is missing in the gate?",
    caption=f"To see: how far ten times the steps lift a run above the dotted line. {POINTS}",
)
REAL_T5 = (GATE_FLAN, LONG_FLAN, FIG1_FLAN, FIG3A_FLAN, FIG3B_FLAN)
