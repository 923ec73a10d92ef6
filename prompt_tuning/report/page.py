"""The report as one HTML page: one file, figures inside, nothing fetched, no script."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from prompt_tuning.report import figures
from prompt_tuning.report.artefact import COUNTS, LADDER, PAPER, REAL, TIMES, Artefact
from prompt_tuning.report.claims import AGREES, ANSWERS, NOT_SEEN
from prompt_tuning.report.grid import CELL
from prompt_tuning.report.paper import MATCH, NOTHING, OFF, VERDICTS, Tolerances
from prompt_tuning.report.tables import count_verdicts

MAX_OPEN_ROWS = 40  # of a table that is shown without being asked for
ABOUT = {
    REAL: "FLAN-T5 Small, 76,961,152 parameters: the paper's T5 v1.1 Small, tuned further on "
    "instructions (SuperGLUE's training sets and DROP among them) and on titles by others, and "
    "rounded to int8. A real T5 on real data, not the paper's model: the paper's Small stands "
    "beside it as orientation, and no number has a verdict. Runs that are named as missing have "
    "not been run, for want of a CPU's hours; the head of each experiment's file "
    "(conf/experiment) has its cost.",
}
GROUPS = {
    PAPER: "On the paper's models",
    COUNTS: "Parameter counts",
    REAL: "A real T5 Small, on two cores",
    LADDER: "On the ladder",
    TIMES: "Time",
}
COLOURS = {MATCH: "match", AGREES: "match", OFF: "off", NOT_SEEN: "off", NOTHING: "dim"}


def page(artefacts: Sequence[Artefact], limits: Tolerances) -> str:
    """The whole page."""
    loader = FileSystemLoader(Path(__file__).parent)
    environment = Environment(
        loader=loader,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
    )
    at = {place: [one for one in artefacts if one.place == place] for place in GROUPS}
    claims = [(artefact, claim) for artefact in artefacts for claim in artefact.claims]
    given = [claim.answer for _, claim in claims]
    return environment.get_template("page.html.jinja").render(
        artefacts=artefacts,
        groups=[(title, ABOUT.get(place), at[place]) for place, title in GROUPS.items()],
        on_paper=at[PAPER],
        counts=at[COUNTS],
        on_ladder=[one for one in artefacts if one.models == LADDER],
        claims=claims,
        answers={word: given.count(word) for word in ANSWERS if word in given},
        meanings=ANSWERS,
        limits=limits,
        colours=COLOURS,
        max_open_rows=MAX_OPEN_ROWS,
        models=_models,
        verdicts=_verdicts,
        runs=_runs,
        seeds=_seeds,
        svg=_svg,
        zip=zip,
    )


def _models(artefacts: Sequence[Artefact]) -> str:
    """Those that were run, in the order of the runs: a plan's smallest is first."""
    records = (record for artefact in artefacts for record in artefact.grid.records)
    return ", ".join(dict.fromkeys(record.content["config"]["model"]["name"] for record in records))


def _verdicts(artefacts: Sequence[Artefact]) -> Mapping[str, int]:
    counts = count_verdicts(artefact.table for artefact in artefacts)
    return {verdict: counts[verdict] for verdict in VERDICTS if verdict in counts}


def _runs(artefact: Artefact) -> str:
    if not artefact.sweeps:
        return "needs none"
    planned = len(artefact.grid.planned)
    return f"{len(artefact.grid.found)} of {planned}" if planned else NOTHING


def _seeds(artefact: Artefact) -> str:
    """The fewest and the most seeds of a cell that has any."""
    counts = artefact.grid.scores.groupby(CELL).size()
    if counts.empty:
        return NOTHING
    few, many = counts.min(), counts.max()
    return str(few) if few == many else f"{few} to {many}"


def _svg(artefact: Artefact) -> Markup:
    if artefact.figure is None:
        return Markup()
    return Markup(f"<figure>{figures.inline_svg(artefact.figure, artefact.name)}</figure>")
