"""`ptune report`: did the runs reproduce the paper? Records in, tables, figures and a page out."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from prompt_tuning.composition import planned_runs
from prompt_tuning.config import IGNORED_KEYS, ReportConfig, choices, config_dir, typed
from prompt_tuning.files import read_json, sha256_of, stamp, with_checksum, write_json
from prompt_tuning.report.artefact import PAPER, Artefact, write
from prompt_tuning.report.catalogue import chosen
from prompt_tuning.report.page import page
from prompt_tuning.report.paper import SIZES, paper_dir
from prompt_tuning.report.records import Library, commit, commit_answers, read_committed, read_runs

PACKAGE = Path(__file__).parents[1]


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
    committed, path = output / "runs", output / f"{name or 'report'}.html"
    # Those of a checkout count wherever the report is written to.
    folders = {folder.resolve(): None for folder in (paper_dir().parent / "runs", committed)}
    names = [artefact.name for artefact in chosen(name)]
    last = runs / "cache" / f"report-{_digest(asdict(config))[:8]}"
    is_asked = config.commit_records or config.wandb
    if not is_asked and last.is_file() and last.read_bytes() == _state(config, folders, names):
        print(f"nothing has changed since this was written: {path}")
        return
    records = [record for folder in folders for record in read_committed(folder)]
    library = Library([*read_runs(runs), *records], IGNORED_KEYS)
    artefacts = [_filled(artefact, config, library) for artefact in chosen(name)]
    if config.commit_records:
        found = {artefact.name: artefact.records for artefact in artefacts}
        num_new = commit(found, committed)
        commit_answers(found, committed)
        print(f"{num_new} new records in {committed}")
    write(artefacts, output)
    path.write_text(page(artefacts), encoding="utf-8")
    for artefact in artefacts:
        print(closing_line(artefact))
    print(f"tables, figures and the page: {path}")
    if config.wandb:
        from prompt_tuning.report.dashboard import publish

        print(f"W&B report: {publish(artefacts, config.wandb_project, config.wandb_entity)}")
    last.parent.mkdir(parents=True, exist_ok=True)
    last.write_bytes(_state(config, folders, names))


def _filled(artefact: Artefact, config: ReportConfig, library: Library) -> Artefact:
    """The artefact with the records of its runs.

    Composing the paper's 1,800 runs takes minutes: not where none of them can be there.
    """
    if artefact.models == PAPER and not library.has_model(SIZES):
        return artefact
    return artefact.filled(plan(artefact, config.train, Path(config.runs) / "cache"), library)


def _state(config: ReportConfig, committed: Iterable[Path], names: Iterable[str]) -> bytes:
    """A hash that changes with the code, the records, the published numbers and what was written.

    Of sizes and times of change, not of contents: thousands of records take no time.
    """
    output, runs = Path(config.output_dir), Path(config.runs)
    paths = [*_made_by(), *PACKAGE.rglob("*.jinja"), *paper_dir().glob("*")]
    paths += [*runs.glob("*/record.json"), *runs.glob("*/metrics.jsonl")]
    paths += [path for folder in committed for path in folder.glob("*.jsonl")]
    paths += [*output.glob("*.html"), *(p for name in names for p in output.glob(f"*/{name}.*"))]
    facts = [[str(path), *stamp(path)] for path in sorted({*paths})]
    return _digest([asdict(config), facts]).encode()


def _digest(value: Any) -> str:
    return sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _made_by() -> list[Path]:
    """The files that plans are made by."""
    return sorted([*config_dir().rglob("*.yaml"), *PACKAGE.rglob("*.py")])


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
    digest = _digest([sweeps, [sha256_of(path) for path in _made_by()]])
    path = cache / f"plan-{artefact.name}-{digest[:8]}.json"
    plan = read_json(path, configs=list)
    if plan is None:  # not there, or damaged, which a warning has said
        cache.mkdir(parents=True, exist_ok=True)
        configs = [asdict(run) for sweep in sweeps for run in planned_runs(*sweep)]
        write_json(path, with_checksum({"configs": configs}))
        plan = read_json(path, configs=list)  # as every later call reads it: JSON's keys are texts
    assert plan is not None, path
    return list(plan["configs"])


def closing_line(artefact: Artefact) -> str:
    """An artefact in a line: runs found, and its verdicts."""
    grid = artefact.grid
    planned = f"{len(grid.found)} of {len(grid.planned)} runs" if len(grid.planned) else "-"
    runs = planned if artefact.sweeps else "no runs needed"
    verdicts = sorted(Counter(artefact.table.verdicts).items())
    texts = [f"{count} {verdict}" for verdict, count in verdicts if verdict != "-"]
    return f"{artefact.name:<16} {runs:<20} {', '.join(texts)}".rstrip()
