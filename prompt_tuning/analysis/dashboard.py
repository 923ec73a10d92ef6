"""The same figures as a W&B report: one section each, runs grouped by the axes of the figure.

Needs the extra `dashboard` (wandb-workspaces); the runs have to be in the project already.
"""

from collections.abc import Sequence
from typing import Any

from prompt_tuning.analysis.building import Section
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


def _blocks(reports: Any, section: Section, project: str, entity: str) -> list[Any]:
    """A heading, the claims, and panels of the runs that the report rests on."""
    from wandb_workspaces import expr

    # The split that the figure shows: the ladder's chose nothing, the paper's chose the step.
    score = "report/score" if section.artefact.on_ladder else "best/score"
    axes = [f"config.{key}" for key in (*section.artefact.series, "model.name")]
    runs = reports.Runset(
        entity=entity,
        project=project,
        name=section.name,
        filters=expr.And(expr.Metric("Name").isin([run.name for _, run in section.grid.found])),
        groupby=axes,
    )
    panels = [
        reports.ScatterPlot(
            title=f"{section.artefact.title}: {score}",
            x=reports.SummaryMetric(PARAMETERS),
            y=reports.SummaryMetric(score),
            log_x=True,
            layout=reports.Layout(w=12, h=10),
        ),
        reports.BarPlot(
            title=f"{section.artefact.title}: mean and deviation",
            metrics=[score],
            groupby_aggfunc="mean",
            groupby_rangefunc="stddev",
            layout=reports.Layout(x=12, w=12, h=10),
        ),
    ]
    claims = [reports.UnorderedList(section.claims)] if section.claims else []
    grid = reports.PanelGrid(runsets=[runs], panels=panels)
    return [reports.H2(section.artefact.title), *claims, grid]


def _library() -> Any:
    try:
        import wandb_workspaces.reports.v2 as reports
    except ImportError as error:
        raise UserError(
            "wandb=true needs the package wandb-workspaces",
            fix="pip install 'ptune[dashboard]'",
        ) from error
    return reports
