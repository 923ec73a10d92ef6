"""The report as one HTML page: one file, figures inside, nothing fetched, no script."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import Any

from markupsafe import Markup, escape
from matplotlib.figure import Figure

from prompt_tuning.files import filled_in
from prompt_tuning.report import figures
from prompt_tuning.report.artefact import COUNTS, LADDER, PAPER, REAL, TIMES, Artefact
from prompt_tuning.report.claims import Claim, Judged, judged
from prompt_tuning.report.fig1 import MAIN_QUESTION
from prompt_tuning.report.names import human
from prompt_tuning.report.overview import overview
from prompt_tuning.report.paper import MATCH, NOTHING, OFF, VERDICTS, tolerances
from prompt_tuning.report.statistics import Answer

RULE_SINCE = datetime(2026, 11, 25, 18, 39, 4, tzinfo=UTC)  # first commit of paper/rule.md
LAST_SEEN_SEED = 2  # of the ladder, whenever it was run again
MAX_OPEN_ROWS = 40  # of a table that is shown without being asked for
ABOUT = {
    REAL: "FLAN-T5 Small, 76,961,152 parameters: the paper's T5 v1.1 Small, tuned further on "
    "instructions (SuperGLUE's training sets and DROP among them) and on titles by others, and "
    "rounded to int8. A real T5 on real data, not the paper's model: the paper's Small stands "
    "beside it as orientation, and no number has a verdict. Runs that are named as missing have "
    "not been run, for want of a CPU's hours; the head of each experiment's file "
    "(conf/experiment) has its cost.",
    LADDER: "No number of the ladder compares with one of the paper. Seeds 0 to 2 were seen while "
    "the recipe was tuned: figure 1, whose recipe it is, is judged by seeds 3 to 12 alone; what "
    "has only seeds 0 to 2 is answered by those, and they are named beside the answer.",
}
GROUPS = {
    PAPER: "The paper's models",
    COUNTS: "Parameter counts",
    REAL: "A real T5 Small, on two cores",
    LADDER: "The ladder",
    TIMES: "Time",
}
WHOSE = {PAPER: "the paper's models", REAL: "the real T5", LADDER: "the ladder"}
COLOURS: Mapping[str, str] = {
    **{MATCH: "match", OFF: "off", NOTHING: "dim"},
    **{Answer.SUPPORTED: "match", Answer.CONTRADICTED: "off", Answer.NOT_TESTABLE: "dim"},
}
Answered = tuple[Artefact, Judged]


def page(artefacts: Sequence[Artefact]) -> str:
    """The whole page."""
    both = _answered(artefacts)
    claims = {word: [one for one in both if one[1].answer == word] for word in Answer}
    tested = [artefact for artefact, each in both if each.claim.tests]
    shares = [_share_before_rule(one) for one in tested]
    at = {place: [one for one in artefacts if one.place == place] for place in GROUPS}
    picture = overview(artefacts)
    return filled_in(
        Path(__file__).with_name("page.html.jinja"),
        autoescape=True,
        artefacts=artefacts,
        groups=[(place, title, ABOUT.get(place), at[place]) for place, title in GROUPS.items()],
        counts=at[COUNTS],
        models_run={whose: _models(artefacts, whose) for whose in WHOSE},
        whose=WHOSE,
        claims=claims,
        main_claim=next((one for _, one in both if one.claim.question == MAIN_QUESTION), None),
        by_question=_by_question,
        num_tested=len(tested),
        num_counted=sum(bool(each.claim.counted) for _, each in both),
        num_before_rule=sum(share == 1 for share in shares),
        num_partly_before=sum(0 < share < 1 for share in shares),
        picture=_figure(*picture, "overview") if picture else "",
        limits=tolerances(),
        colours=COLOURS,
        max_open_rows=MAX_OPEN_ROWS,
        verdicts=_verdicts,
        runs=_runs,
        seeds=_seeds,
        rule_since=RULE_SINCE,
        svg=_svg,
        zip=zip,
    )


def _answered(artefacts: Sequence[Artefact]) -> list[Answered]:
    """Every claim with the artefact that answers it; all of the page corrected together."""
    claims = [(artefact, claim) for artefact in artefacts for claim in artefact.claims]
    found = judged(claim for _, claim in claims)
    return [(artefact, each) for (artefact, _), each in zip(claims, found, strict=True)]


def _by_question(found: Iterable[Answered]) -> Mapping[str, list[tuple[Artefact, Claim]]]:
    """What was asked of the ladder and of the real T5 stands once, with both effects."""
    questions: dict[str, list[tuple[Artefact, Claim]]] = {}
    for artefact, each in found:
        questions.setdefault(each.claim.question, []).append((artefact, each.claim))
    return questions


def _models(artefacts: Sequence[Artefact], whose: str) -> str:
    """Names of the models that were run, in the order of the runs: a plan's smallest is first."""
    mine = [artefact.grid.scores["model"] for artefact in artefacts if artefact.models == whose]
    return ", ".join(dict.fromkeys(human(model) for models in mine for model in models))


def _verdicts(artefacts: Sequence[Artefact]) -> Mapping[str, int]:
    counts = Counter(word for artefact in artefacts for word in artefact.table.verdicts)
    return {verdict: counts[verdict] for verdict in VERDICTS if verdict in counts}


def _runs(artefact: Artefact) -> str:
    if not artefact.sweeps:
        return "needs none"
    planned = len(artefact.grid.planned)
    return f"{len(artefact.grid.found)} of {planned}" if planned else NOTHING


def _seeds(artefact: Artefact) -> str:
    """The seeds that were run, and whether the rule is younger."""
    seeds = artefact.grid.found["seed"]
    if seeds.empty:
        return NOTHING
    which = str(seeds.min()) if seeds.nunique() == 1 else f"{seeds.min()} to {seeds.max()}"
    share = _share_before_rule(artefact)
    how_many = "" if share == 1 else f"{100 * share:.0f} % of runs "
    return which + (f", {how_many}seen before the rule" if share else "")


def _share_before_rule(artefact: Artefact) -> float:
    """The share of its runs whose scores could have been known when the rule was written."""
    return fmean(_was_seen(artefact, record.content) for record in artefact.records)


def _was_seen(artefact: Artefact, content: Mapping[str, Any]) -> bool:
    """Whether a run's score could have been known: a seed that is run again is no fresh one."""
    runs = [run["config"] for run in content.get("members", [content])]
    if artefact.models == LADDER and any(run["seed"] <= LAST_SEEN_SEED for run in runs):
        return True
    return datetime.fromisoformat(content["finished_at"]) < RULE_SINCE


def _svg(artefact: Artefact) -> str:
    if artefact.figure is None:
        return ""
    return _figure(artefact.figure, artefact.caption or artefact.title, artefact.name)


def _figure(figure: Figure, caption: str, name: str) -> Markup:
    """Inline, with its caption, which is what a screen reader reads too."""
    drawn = figures.inline_svg(figure, name)
    drawn = drawn.replace("<svg", f'<svg role="img" aria-label="{escape(caption)}"', 1)
    return Markup(f"<figure>{drawn}<figcaption>{escape(caption)}</figcaption></figure>")
