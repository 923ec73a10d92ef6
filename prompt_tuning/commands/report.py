"""`ptune report`: did the runs reproduce the paper? Records in, tables, figures and a page out."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from prompt_tuning.analysis.artefacts import Artefact, chosen
from prompt_tuning.analysis.building import Section, build, commit_records, write
from prompt_tuning.analysis.collecting import Library, record_paths
from prompt_tuning.analysis.page import page
from prompt_tuning.analysis.paper import SIZES, tolerances
from prompt_tuning.analysis.tables import count_verdicts
from prompt_tuning.composition import planned_runs
from prompt_tuning.config import NOT_IN_HASH, ReportConfig, choices, typed


def check(cfg: DictConfig) -> ReportConfig:
    """What to report, or why not."""
    config = typed(ReportConfig, cfg)
    chosen(config.experiment.name if config.experiment else None)
    return config


def run(config: ReportConfig) -> None:
    """Writes the report and says where it is.

    Raises:
        UserError: two records are of one run, an override is wrong, or W&B cannot be reached.
    """
    name = config.experiment.name if config.experiment else None
    output, artefacts = Path(config.output_dir), chosen(name)
    committed = output / "runs"
    library = Library(record_paths(Path(config.runs), committed), NOT_IN_HASH)
    plans = {
        artefact.name: plan(artefact, config.train)
        for artefact in artefacts
        # Composing the paper's 1,800 runs takes minutes: not where none of them can be there.
        if artefact.on_ladder or library.has_model(SIZES)
    }
    limits = tolerances()
    sections = build(artefacts, plans, library, limits)
    if config.commit_records:
        num_new = commit_records(sections, committed)
        print(f"{num_new} new records in {committed}")
    write(sections, output)
    path = output / f"{sections[0].name if name else 'report'}.html"
    path.write_text(page(sections, limits), encoding="utf-8")
    for section in sections:
        print(closing_line(section))
    print(f"tables, figures and the page: {path}")
    if config.wandb:
        from prompt_tuning.analysis.dashboard import publish

        print(f"W&B report: {publish(sections, config.wandb_project, config.wandb_entity)}")


def plan(artefact: Artefact, overrides: Sequence[str]) -> list[dict[str, Any]]:
    """The config of every run that fills an artefact; of experiments that are there."""
    return [
        asdict(config)
        for experiment, *own in artefact.sweeps
        if experiment in choices("experiment")
        for config in planned_runs(experiment, [*own, *overrides])
    ]


def closing_line(section: Section) -> str:
    """An artefact in a line: runs found, and its verdicts."""
    grid = section.grid
    runs = f"{len(grid.found)} of {grid.num_planned} runs" if grid.num_planned else "-"
    runs = runs if section.artefact.sweeps else "no runs needed"
    verdicts = count_verdicts([section.table])
    texts = [f"{count} {verdict}" for verdict, count in verdicts.items() if verdict != "-"]
    return f"{section.name:<16} {runs:<20} {', '.join(texts)}".rstrip()
