"""The same figures as a W&B report: one section each, runs grouped by the axes of the figure.

Needs the extra `dashboard` (wandb-workspaces); the runs have to be in the project already.
"""

from collections.abc import Sequence
from typing import Any

from prompt_tuning.errors import UserError
from prompt_tuning.report.artefact import Artefact

PARAMETERS = "model/num_parameters"  # in the summary of a run, as its scores


def publish(artefacts: Sequence[Artefact], project: str, entity: str | None) -> str:
    """Saves the report as a draft in a project and returns its address.

    Raises:
        UserError: wandb-workspaces is missing, or W&B cannot be reached or refuses.
    """
    _library()
    try:
        report = make_report(artefacts, project, entity)
        report.save(draft=True)
    except Exception as error:  # whatever W&B's client raises
        raise UserError(
            f"wandb=true: W&B did not take the report ({type(error).__name__}: {error})",
            fix="wandb login, and wandb sync the runs; tables, figures and the page are written",
        ) from error
    return str(report.url)


def make_report(artefacts: Sequence[Artefact], project: str, entity: str | None) -> Any:
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
    for artefact in artefacts:
        if artefact.grid.records:
            report.blocks += _blocks(reports, artefact, project, report.entity)
    return report


def _blocks(reports: Any, artefact: Artefact, project: str, entity: str) -> list[Any]:
    """A heading, the claims, and panels of the runs that the report rests on."""
    from wandb_workspaces import expr

    title, shown = artefact.title, artefact.panels
    runs = reports.Runset(
        entity=entity,
        project=project,
        name=artefact.name,
        filters=expr.And(expr.Metric("Name").isin(list(shown.names))),
        groupby=[f"config.{key}" for key in shown.axes],
    )
    panels = [
        reports.BarPlot(
            title=f"{title}: {value}, mean and deviation",
            metrics=[value],
            groupby_aggfunc="mean",
            groupby_rangefunc="stddev",
            layout=reports.Layout(x=12 * (place % 2), y=10 * (place // 2), w=12, h=10),
        )
        for place, value in enumerate(shown.values, start=int(shown.against_parameters))
    ]
    if shown.against_parameters:
        scatter = reports.ScatterPlot(
            title=f"{title}: {shown.values[0]}",
            x=reports.SummaryMetric(PARAMETERS),
            y=reports.SummaryMetric(shown.values[0]),
            log_x=True,
            layout=reports.Layout(w=12, h=10),
        )
        panels.insert(0, scatter)
    claims = [str(claim) for claim in artefact.claims]
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
