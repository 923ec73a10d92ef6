"""`ptune report`: did the runs reproduce the paper? Records in, tables, figures and a page out."""

import json
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from prompt_tuning.composition import planned_runs
from prompt_tuning.config import NOT_IN_HASH, ReportConfig, choices, config_dir, typed
from prompt_tuning.files import made_once
from prompt_tuning.report.artefact import PAPER, Artefact, write
from prompt_tuning.report.catalogue import chosen
from prompt_tuning.report.page import page
from prompt_tuning.report.paper import SIZES, tolerances
from prompt_tuning.report.records import Library, commit, read_committed, read_runs
from prompt_tuning.report.tables import count_verdicts


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
    output, runs = Path(config.output_dir), Path(config.runs)
    committed = output / "runs"
    library = Library([*read_runs(runs), *read_committed(committed)], NOT_IN_HASH)
    artefacts = [
        # Composing the paper's 1,800 runs takes minutes: not where none of them can be there.
        artefact.filled(plan(artefact, config.train, runs / "cache"), library)
        if artefact.models != PAPER or library.has_model(SIZES)
        else artefact
        for artefact in chosen(name)
    ]
    if config.commit_records:
        num_new = commit({artefact.name: artefact.records for artefact in artefacts}, committed)
        print(f"{num_new} new records in {committed}")
    write(artefacts, output)
    path = output / f"{artefacts[0].name if name else 'report'}.html"
    path.write_text(page(artefacts, tolerances()), encoding="utf-8")
    for artefact in artefacts:
        print(closing_line(artefact))
    print(f"tables, figures and the page: {path}")
    if config.wandb:
        from prompt_tuning.report.dashboard import publish

        print(f"W&B report: {publish(artefacts, config.wandb_project, config.wandb_entity)}")


def plan(artefact: Artefact, overrides: list[str], cache: Path) -> list[dict[str, Any]]:
    """The config of every run that fills an artefact; of experiments that are there.

    They are composed once, and kept in the cache until configs or code change.
    """
    sweeps = [
        (experiment, [*own, *overrides])
        for experiment, *own in artefact.sweeps
        if experiment in choices("experiment")
    ]
    if not sweeps:
        return []
    made_by = [*config_dir().rglob("*.yaml"), *Path(__file__).parents[1].rglob("*.py")]
    digest = sha256(json.dumps(sweeps).encode())
    for path in sorted(made_by):
        digest.update(path.read_bytes())

    def compose(folder: Path) -> None:
        configs = [asdict(run) for sweep in sweeps for run in planned_runs(*sweep)]
        folder.mkdir()
        (folder / "plan.json").write_text(json.dumps(configs), encoding="utf-8")

    folder = made_once(cache / f"plan-{artefact.name}-{digest.hexdigest()[:8]}", compose)
    configs: list[dict[str, Any]] = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    return configs


def closing_line(artefact: Artefact) -> str:
    """An artefact in a line: runs found, and its verdicts."""
    grid = artefact.grid
    runs = f"{len(grid.found)} of {len(grid.planned)} runs" if len(grid.planned) else "-"
    runs = runs if artefact.sweeps else "no runs needed"
    verdicts = count_verdicts([artefact.table])
    texts = [f"{count} {verdict}" for verdict, count in verdicts.items() if verdict != "-"]
    return f"{artefact.name:<16} {runs:<20} {', '.join(texts)}".rstrip()
