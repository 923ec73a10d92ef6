"""From plans and records to the files of a report."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import StringIO
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from prompt_tuning.analysis import ensembles, figures, parameter_counts, tables, times, transfer
from prompt_tuning.analysis.artefacts import (
    COUNTS,
    ENSEMBLES,
    INSPECTIONS,
    LADDER,
    MODELS,
    PAPER,
    TIMES,
    TRANSFER,
    Artefact,
)
from prompt_tuning.analysis.claims import Claim, ladder_claims
from prompt_tuning.analysis.collecting import Found, Grid, Library, collect
from prompt_tuning.analysis.inspection_figure import inspections_figure
from prompt_tuning.analysis.inspections import (
    collect_inspections,
    inspection_claims,
    inspections_table,
)
from prompt_tuning.analysis.ladder_models import models_table
from prompt_tuning.analysis.paper import Tolerances
from prompt_tuning.errors import UserError


@dataclass(frozen=True)
class Section:
    """All that a report says of one artefact."""

    artefact: Artefact
    grid: Grid
    tolerances: Tolerances
    votes: Sequence[ensembles.Votes] = ()  # of the runs

    @property
    def name(self) -> str:
        """Of its files."""
        return self.artefact.name

    @cached_property
    def table(self) -> tables.Table:
        """Numbers side by side."""
        artefact, grid = self.artefact, self.grid
        if artefact.kind == PAPER:
            return tables.paper_table(artefact, grid, self.tolerances)
        if artefact.kind == LADDER:
            return tables.ladder_table(artefact, grid, self.tolerances)
        if artefact.kind == TRANSFER:
            if artefact.on_ladder:
                return transfer.ladder_table(grid, self.tolerances)
            return transfer.paper_table(self.name, grid, self.tolerances)
        if artefact.kind == TIMES:
            min_seeds = self.tolerances.min_seeds
            return times.times_table(grid, with_paper=not artefact.on_ladder, min_seeds=min_seeds)
        if artefact.kind == INSPECTIONS:
            return inspections_table(grid, artefact.series, self.tolerances.min_seeds)
        if artefact.kind == ENSEMBLES and artefact.on_ladder:
            return ensembles.ladder_votes_table(self.votes, grid, self.tolerances.min_seeds)
        if artefact.kind == ENSEMBLES:
            return ensembles.paper_votes_table(self.votes, grid, self.tolerances)
        if artefact.kind == MODELS:
            return models_table()
        return tables.counts_table(self._counts())

    @cached_property
    def claims(self) -> list[Claim]:
        """What the ladder says to the paper's claims."""
        if not self.artefact.on_ladder:
            return []
        if self.artefact.kind == TRANSFER:
            return transfer.transfer_claims(self.grid, self.tolerances.min_seeds)
        if self.artefact.kind == INSPECTIONS:
            return inspection_claims(self.grid, self.artefact.series)
        if self.artefact.kind == ENSEMBLES:
            return ensembles.vote_claims(self.votes, self.tolerances.min_seeds)
        if self.artefact.kind != LADDER:
            return []
        return ladder_claims(self.name, self.grid, self.tolerances.min_seeds)

    @cached_property
    def figure(self) -> Figure | None:
        """None of a table."""
        if self.artefact.kind == PAPER:
            return figures.paper_figure(self.artefact, self.grid)
        if self.artefact.kind == LADDER:
            return figures.ladder_figure(self.artefact, self.grid)
        if self.artefact.kind == INSPECTIONS:
            return inspections_figure(self.artefact, self.grid)
        if self.name == "fig4":
            return figures.counts_figure(self.artefact.title, self._counts())
        return None

    def _counts(self) -> list[parameter_counts.Count]:
        assert self.artefact.kind == COUNTS, self.artefact
        return {"fig4": parameter_counts.figure4, "table4": parameter_counts.table4}[self.name]()

    @property
    def markdown(self) -> str:
        """The file in tables/."""
        lines = [
            f"# {self.artefact.title}",
            "",
            f"Written by `ptune report experiment={self.name}`; not edited by hand.",
            "",
            *(f"- {claim}" for claim in self.claims),
            *([""] if self.claims else []),
            *([self.artefact.remark, ""] if self.artefact.remark else []),
            *tables.markdown(self.table.header, self.table.rows),
            *(f"{note}\n" for note in self.table.notes),
        ]
        return "\n".join(lines).rstrip() + "\n"


def build(
    artefacts: Iterable[Artefact],
    plans: Mapping[str, Sequence[Mapping[str, Any]]],
    library: Library,
    tolerances: Tolerances,
) -> list[Section]:
    """The sections of a report.

    Args:
        artefacts: what to show.
        plans: by artefact, the config of every run that it needs.
        library: the records there are.
        tolerances: of the verdicts.
    """
    sections = []
    for of in artefacts:
        plan = plans.get(of.name, ())
        votes = ensembles.collect_votes(plan, library) if of.kind == ENSEMBLES else ()
        gather = collect_inspections if of.kind == INSPECTIONS else collect
        sections.append(Section(of, gather(plan, of.series, library), tolerances, votes))
    return sections


def write(sections: Sequence[Section], output: Path) -> None:
    """Tables and figures of every section."""
    for folder in ("tables", "figures"):
        (output / folder).mkdir(parents=True, exist_ok=True)
    for section in sections:
        (output / "tables" / f"{section.name}.md").write_text(section.markdown, encoding="utf-8")
        text = StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerows([section.table.header, *section.table.rows])
        (output / "tables" / f"{section.name}.csv").write_text(text.getvalue(), encoding="utf-8")
        if section.figure is not None:
            figures.save(section.figure, output / "figures", section.name)


def commit_records(sections: Sequence[Section], folder: Path) -> int:
    """Copies the records that the sections rest on, each once; returns how many are new.

    Of table 5's runs the evaluations too, of table 3's the ensembles. A committed file is never
    changed.

    Raises:
        UserError: a file of that name has other content.
    """
    folder.mkdir(parents=True, exist_ok=True)
    num_new = 0
    for section in sections:
        for found in (found for of in section.votes for found in of.found):
            num_new += _write_once(folder / f"{found.name}.json", found.text)
        for _, found in section.grid.found:
            target = folder / f"{found.name}.json"
            num_new += _write_once(target, found.text)
            if section.artefact.kind == TIMES and (points := times.history(found)):
                _write_once(times.committed_history(target), times.history_text(points))
    return num_new


def _write_once(path: Path, text: str) -> bool:
    if not path.exists():
        path.write_text(text, encoding="utf-8")
        return True
    if path.read_text(encoding="utf-8") != text:
        raise UserError(
            f"{path} is of another run than the record that was found",
            fix="records in it are never changed: remove it by hand if it was wrong",
        )
    return False


def models_of(found: Iterable[Found]) -> list[str]:
    """Names of the models that were run, in the order of the runs: a plan's smallest is first."""
    return list(dict.fromkeys(run.record["config"]["model"]["name"] for run in found))
