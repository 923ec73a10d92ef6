"""The same figures as a W&B report: one section each, runs grouped by the axes of the figure.

Needs the extra `dashboard` (wandb-workspaces); the runs have to be in the project already.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from prompt_tuning.analysis.artefacts import ENSEMBLES, INSPECTIONS, TRANSFER
from prompt_tuning.analysis.building import Section
from prompt_tuning.analysis.inspections import MEASURES
from prompt_tuning.errors import UserError

PARAMETERS = "model/num_parameters"  # in the summary of a run, as its scores


def publish(sections: Sequence[Section], project: str, entity: str | None) -> str:
    """Saves the report as a draft in a project and returns its address.

    Raises:
        UserError: wandb-workspaces is missing, or W&B cannot be reached or refuses.
    """
    _library()
    try:
        report = make_report(sections, project, entity)
        report.save(draft=True)
    except Exception as error:  # whatever W&B's client raises
        raise UserError(
            f"wandb=true: W&B did not take the report ({type(error).__name__}: {error})",
            fix="wandb login, and wandb sync the runs; tables, figures and the page are written",
        ) from error
    return str(report.url)


def make_report(sections: Sequence[Section], project: str, entity: str | None) -> Any:
    """The report as an object of wandb-workspaces, not saved; with an entity it asks no network.

    Raises:
        UserError: wandb-workspaces is missing.
    """
    reports = _library()
    report = reports.Report(
        project=project,
        title="ptune: did it reproduce the paper?",
        description="Made by ptune report wandb=true",
        width="fluid",
        **({"entity": entity} if entity else {}),  # else asks W&B for the account's own
    )
    report.blocks = [reports.TableOfContents()]
    for section in sections:
        if section.grid.found:
            report.blocks += _blocks(reports, section, project, report.entity)
    return report


class Shown(NamedTuple):
    """What the panels of a section are made of."""

    names: Sequence[str]  # of runs
    axes: Sequence[str]  # of their configs, which group them
    values: Sequence[str]  # of their summaries
    against_parameters: bool = False  # the first value too, as in the paper's figures


def shown(section: Section) -> Shown:
    """The runs of a section and what it says of them, under the names that W&B has them by."""
    artefact, names = section.artefact, [run.name for _, run in section.grid.found]
    axes = (*artefact.series, "model.name")
    if artefact.kind == ENSEMBLES:
        votes = [found.name for of in section.votes for found in of.comparable]
        columns = [f"{column}/score" for column in ("average", "best", "ensemble")]
        return Shown(votes, ("task.name", "model.name"), columns)
    if artefact.kind == TRANSFER:
        results = (run.record["result"] for _, run in section.grid.found)
        targets = dict.fromkeys(name for result in results for name in result.get("transfer", {}))
        scores = [f"transfer/{name}/score" for name in targets]
        return Shown(names, (*axes, "task.name"), scores)
    if artefact.kind == INSPECTIONS:  # whose config has the prompt's file, not its axes
        return Shown(names, ("task.name",), [f"inspect/{name}" for name in MEASURES])
    # The split that the figure shows: the ladder's chose nothing, the paper's chose the step.
    score = "report/score" if artefact.on_ladder else "best/score"
    return Shown(names, axes, [score], against_parameters=True)


def _blocks(reports: Any, section: Section, project: str, entity: str) -> list[Any]:
    """A heading, the claims, and panels of the runs that the report rests on."""
    from wandb_workspaces import expr

    title, of = section.artefact.title, shown(section)
    runs = reports.Runset(
        entity=entity,
        project=project,
        name=section.name,
        filters=expr.And(expr.Metric("Name").isin(list(of.names))),
        groupby=[f"config.{key}" for key in of.axes],
    )
    panels = [
        reports.BarPlot(
            title=f"{title}: {value}, mean and deviation",
            metrics=[value],
            groupby_aggfunc="mean",
            groupby_rangefunc="stddev",
            layout=reports.Layout(x=12 * (place % 2), y=10 * (place // 2), w=12, h=10),
        )
        for place, value in enumerate(of.values, start=int(of.against_parameters))
    ]
    if of.against_parameters:
        scatter = reports.ScatterPlot(
            title=f"{title}: {of.values[0]}",
            x=reports.SummaryMetric(PARAMETERS),
            y=reports.SummaryMetric(of.values[0]),
            log_x=True,
            layout=reports.Layout(w=12, h=10),
        )
        panels.insert(0, scatter)
    claims = [str(claim) for claim in section.claims]
    grid = reports.PanelGrid(runsets=[runs], panels=panels)
    return [reports.H2(title), *([reports.UnorderedList(claims)] if claims else []), grid]


def _library() -> Any:
    try:
        import wandb_workspaces.reports.v2 as reports
    except ImportError as error:
        raise UserError(
            "wandb=true needs the package wandb-workspaces",
            fix="pip install 'ptune[dashboard]'",
        ) from error
    return reports
