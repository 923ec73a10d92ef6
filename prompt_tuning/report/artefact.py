"""What a figure or table of the paper has in a report: its runs, table, figure and claims."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar, NamedTuple, Self

import pandas as pd
from matplotlib.figure import Figure

from prompt_tuning.report import figures
from prompt_tuning.report.claims import Claim, Papers
from prompt_tuning.report.grid import Grid
from prompt_tuning.report.names import human
from prompt_tuning.report.paper import SIZES
from prompt_tuning.report.records import Config, Library, Record
from prompt_tuning.report.tables import Table, markdown

PAPER, REAL, LADDER = "paper", "real", "ladder"  # whose models are run
COUNTS, TIMES = "counts", "times"  # stand apart on the page
MINI_SQUAD = ("task=mini_squad", "init=sampled_vocab")  # it has no class labels: free text
ClaimMaker = Callable[[Grid, Papers], list[Claim]]  # what scores say, beside the paper's effects


class Panels(NamedTuple):
    """What W&B's panels of an artefact are made of, under the names that W&B has."""

    names: Sequence[str]  # of runs
    axes: Sequence[str]  # of their configs, which group them
    values: Sequence[str]  # of their summaries
    against_parameters: bool = False  # the first value too, as in the paper's figures


@dataclass(frozen=True, eq=False)
class Artefact:
    """A figure or table; a subclass says what it shows of its runs.

    To add one: a file with a subclass or an instance, and a name in `catalogue.py`.
    """

    name: str  # of its files too
    title: str
    models: str = PAPER  # whose: PAPER, REAL or LADDER
    sweeps: tuple[tuple[str, ...], ...] = ()  # an experiment and overrides each
    series: tuple[str, ...] = ()  # keys of the config that make its curves
    remark: str = ""  # what to know before its numbers are compared with the paper's
    caption: str = field(default="", kw_only=True)  # what to look at in its figure
    make_claims: ClaimMaker | None = field(default=None, kw_only=True)
    orientation: str = field(default="", kw_only=True)  # the paper's figure that stands beside
    grid: Grid = field(default_factory=Grid, kw_only=True)  # its runs, once `filled`
    group: ClassVar[str | None] = None  # where the page has it, if not with its models
    papers_sizes: ClassVar[Sequence[str]] = SIZES  # of its effects that stand beside the claims

    @property
    def place(self) -> str:
        """The part of the page that has it."""
        return self.group or self.models

    @property
    def legend(self) -> str:
        """What its curves differ in."""
        return human(", ".join(self.series))

    @property
    def experiments(self) -> tuple[str, ...]:
        """The files of conf/experiment that fill it; those to come may not exist yet."""
        return tuple(dict.fromkeys(sweep[0] for sweep in self.sweeps))

    def filled(self, plan: Sequence[Config], library: Library) -> Self:
        """The same, with the records of its planned runs."""
        grid = Grid.of(plan, self.series, lambda config: library.find("train", [config]))
        return replace(self, grid=grid)

    @property
    def records(self) -> list[Record]:
        """Everything that it rests on."""
        return self.grid.records

    @cached_property
    def table(self) -> Table:
        """Numbers side by side."""
        raise NotImplementedError(self.name)

    @cached_property
    def claims(self) -> list[Claim]:
        """What its runs say to the paper's claims."""
        if self.make_claims is None:
            return []
        return self.make_claims(self.grid, Papers(self.orientation, self.papers_sizes))

    @cached_property
    def figure(self) -> Figure | None:
        """None of a table."""
        return None

    @property
    def panels(self) -> Panels:
        """The artefact's runs in W&B and what to show of them."""
        # The split that the figure shows: the ladder's chose nothing, the paper's chose the step.
        score = "best/score" if self.models == PAPER else "report/score"
        names = [record.name for record in self.grid.records]
        return Panels(names, (*self.series, "model.name"), [score], against_parameters=True)

    @property
    def markdown(self) -> str:
        """The file in tables/."""
        lines = [
            f"# {self.title}",
            "",
            f"Written by `ptune report experiment={self.name}`; not edited by hand.",
            "",
            *(f"- {claim}" for claim in self.claims),
            *([""] if self.claims else []),
            *([self.remark, ""] if self.remark else []),
            *markdown(self.table.header, self.table.rows),
            *(f"{note}\n" for note in self.table.notes),
        ]
        return "\n".join(lines).rstrip() + "\n"


def write(artefacts: Iterable[Artefact], output: Path) -> None:
    """Writes the tables and figures of filled artefacts."""
    for folder in ("tables", "figures"):
        (output / folder).mkdir(parents=True, exist_ok=True)
    for artefact in artefacts:
        path, table = output / "tables" / artefact.name, artefact.table
        path.with_suffix(".md").write_text(artefact.markdown, encoding="utf-8")
        frame = pd.DataFrame(table.rows, columns=[*table.header])
        frame.to_csv(path.with_suffix(".csv"), index=False, lineterminator="\n")
        if artefact.figure is not None:
            figures.save(artefact.figure, output / "figures", artefact.name)
