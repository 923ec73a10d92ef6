"""The report as one HTML page: one file, figures inside, nothing fetched, no script."""

from collections.abc import Sequence
from html import escape

from prompt_tuning.analysis import figures
from prompt_tuning.analysis.artefacts import COUNTS, LADDER, PAPER, TIMES
from prompt_tuning.analysis.building import Section, models_of
from prompt_tuning.analysis.claims import AGREES, ANSWERS, NOT_SEEN, Claim
from prompt_tuning.analysis.paper import MATCH, NOTHING, OFF, VERDICTS, Tolerances
from prompt_tuning.analysis.tables import Table, count_verdicts

STYLE = """\
:root { color-scheme: light dark; --ink: #1c1e21; --dim: #62676e; --ground: #fdfdfc;
  --line: #dcdedf; --soft: #f3f4f3; --good: #22703f; --bad: #b3402a; --few: #8a6410; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e7e8; --dim: #9ba1a8; --ground: #16181a;
  --line: #34383c; --soft: #1f2225; --good: #6cc58d; --bad: #ef8a72; --few: #dcb25a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 1.5rem 1rem 4rem; color: var(--ink);
  background: var(--ground); font: 1rem/1.55 system-ui, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 1rem 0; }
h2 { font-size: 1.25rem; line-height: 1.3; margin: 3rem 0 .5rem; padding-top: 1rem;
  border-top: 1px solid var(--line); }
p, li { max-width: 46rem; } .dim, .note { color: var(--dim); } .note { font-size: .85rem; }
a { color: inherit; } code { font-size: .9em; background: var(--soft); padding: .1em .3em; }
.table { overflow-x: auto; } table { border-collapse: collapse; font-size: .85rem;
  font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; } td { min-width: 2.5rem; } th { color: var(--dim); font-weight: 500; }
figure { margin: 1rem 0; } figure svg { width: 100%; height: auto; max-width: 44rem; }
figure svg text { fill: currentColor; }
summary { cursor: pointer; margin: .7rem 0; } .match { color: var(--good); font-weight: 600; }
.off { color: var(--bad); font-weight: 600; } .few { color: var(--few); font-weight: 600; }
"""
INTRODUCTION = """\
Prompt tuning trains a few vectors in front of the input of a frozen language model. Lester, Al-Rfou
and Constant (2021), <em>The Power of Scale for Parameter-Efficient Prompt Tuning</em>, found that
it closes the gap to training the whole model as the model grows. This page puts what this project
has measured beside what they published: on the paper's models (T5 v1.1, 77 million to 11 billion
parameters, SuperGLUE) where those were run, and, apart from that, on the ladder: four tiny models
of this project's own, asked about an invented world. The ladder's numbers compare with none of the
paper's; what can be compared is whether its claims hold there too."""
SHORT = 40  # rows of a table that is shown without being asked for
GROUPS = (
    (PAPER, "On the paper's models"),
    (COUNTS, "Parameter counts"),
    (LADDER, "On the ladder"),
    (TIMES, "Time"),
)


def page(sections: Sequence[Section], tolerances: Tolerances) -> str:
    """The whole page."""
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>ptune: did it reproduce the paper?</title><style>\n{STYLE}</style></head><body>",
        f"<h1>Did ptune reproduce the paper?</h1><p>{INTRODUCTION}</p>",
        _summary(sections, tolerances),
        *_answers(sections),
        *_artefacts(sections, tolerances),
    ]
    for place, title in GROUPS:
        of_group = [section for section in sections if section.artefact.place == place]
        if of_group:
            parts.append(f'<h2 class="dim">{title}</h2>')
        parts += [part for section in of_group for part in _section(section)]
    return "\n".join([*parts, "</body></html>"]) + "\n"


def _summary(sections: Sequence[Section], tolerances: Tolerances) -> str:
    """What was reproduced, and what was not, in a sentence each."""
    on_paper = [section for section in sections if section.artefact.place == PAPER]
    counted = [section for section in sections if section.artefact.place == COUNTS]
    sentences = []
    if on_paper:
        models = models_of(run for section in on_paper for _, run in section.grid.found)
        ran = f"run on {', '.join(models)}" if models else "none of their runs is done yet"
        sentences.append(f"<b>Scores of the paper's models</b> ({ran}): {_verdicts(on_paper)}.")
    if counted:
        sentences.append(f"<b>Parameter counts</b>, which need no run: {_verdicts(counted)}.")
    claims = [claim for section in sections for claim in section.claims]
    if claims:
        counts = [(word, sum(claim.answer == word for claim in claims)) for word in ANSWERS]
        texts = [f"{count} {_marked(word)}" for word, count in counts if count]
        ladder = (section for section in sections if section.artefact.on_ladder)
        models = models_of(run for section in ladder for _, run in section.grid.found)
        ran = f"{', '.join(models)}; {tolerances.min_seeds} seeds at least" if models else "no run"
        answers = ", ".join(texts) or "none measured"
        sentences.append(f"<b>The paper's claims, on the ladder</b> ({ran}): {answers}.")
    return f"<ul>{''.join(f'<li>{sentence}</li>' for sentence in sentences)}</ul>"


def _artefacts(sections: Sequence[Section], tolerances: Tolerances) -> list[str]:
    """Every figure and table: on which models, with how many runs and seeds."""
    rows = [
        [
            f'<a href="#{section.name}">{escape(section.artefact.title)}</a>',
            escape(", ".join(models_of(run for _, run in section.grid.found)) or NOTHING),
            _runs_text(section),
            _seeds_text(section),
            _verdicts([section]),
        ]
        for section in sections
    ]
    header = ("artefact", "models run", "runs done", "seeds a cell", "verdicts")
    return ["<h2>Figures and tables</h2>", _html_table(header, rows), _legend(tolerances)]


def _verdicts(sections: Sequence[Section]) -> str:
    counts = count_verdicts(section.table for section in sections)
    words = {NOTHING: "not measured"}
    texts = [f"{counts[v]} {_marked(v, words.get(v, v))}" for v in VERDICTS if counts.get(v)]
    return ", ".join(texts) or NOTHING


def _runs_text(section: Section) -> str:
    grid = section.grid
    if not section.artefact.sweeps:
        return "needs none"
    return f"{len(grid.found)} of {grid.num_planned}" if grid.num_planned else NOTHING


def _seeds_text(section: Section) -> str:
    """The fewest and the most seeds of a cell that has any."""
    cells = section.grid.cells.values()
    counts = {len(seeds) for cell in cells for seeds in cell.runs.values()}
    if not counts:
        return NOTHING
    return str(min(counts)) if len(counts) == 1 else f"{min(counts)} to {max(counts)}"


def _legend(tolerances: Tolerances) -> str:
    return (
        f"<p class=note>{_marked(MATCH)}: the means differ by at most "
        f"{tolerances.num_deviations:g} times the root of the summed squared deviations of both, "
        f"but never less than {tolerances.min_points:g} nor more than {tolerances.max_points:g} "
        f"points. {_marked(OFF)}: they differ by more. Both need {tolerances.min_seeds} seeds. "
        "Counts match to the last digit that was published. A dash is a number that nobody has "
        "measured. The tolerances were fixed before there was a score to judge.</p>"
    )


def _answers(sections: Sequence[Section]) -> list[str]:
    """Every claim that the ladder was asked about, and what came out."""
    rows = [
        [
            escape(claim.question),
            _marked(claim.answer),
            f'<a href="#{section.name}">{escape(section.artefact.title.partition(":")[0])}</a>',
        ]
        for section in sections
        for claim in section.claims
    ]
    if not rows:
        return []
    meanings = "; ".join(f"{_marked(word)}: {meaning}" for word, meaning in ANSWERS.items())
    return [
        "<h2>The paper's claims, asked of the ladder</h2>",
        _html_table(("question", "on the ladder", "shown by"), rows),
        f"<p class=note>{meanings}.</p>",
    ]


def _claim(claim: Claim) -> str:
    if claim.answer == NOTHING:
        return f"<li>{escape(str(claim))}</li>"
    return f"<li>{escape(claim.question)} {_marked(claim.answer)}. {escape(claim.numbers)}</li>"


def _section(section: Section) -> list[str]:
    """A heading, the claims, the figure and the table; folded away where they are long or empty."""
    parts = [f'<h2 id="{section.name}">{escape(section.artefact.title)}</h2>']
    if section.artefact.experiments:
        shown = ", ".join(f"<code>{name}</code>" for name in section.artefact.experiments)
        parts.append(f'<p class="note">Runs: {_runs_text(section)}; experiments {shown}</p>')
    if section.claims:
        parts.append(f"<ul>{''.join(map(_claim, section.claims))}</ul>")
    if section.artefact.remark:
        parts.append(f"<p>{escape(section.artefact.remark)}</p>")
    figure = ""
    if section.figure is not None:
        figure = f"<figure>{figures.inline_svg(section.figure, section.name)}</figure>"
    table = _html_table(section.table.header, _escaped(section.table))
    table += "".join(f'<p class="note">{escape(note)}</p>' for note in section.table.notes)
    if section.artefact.place == PAPER and not section.grid.found:
        return [*parts, _folded("The paper's own numbers", figure + table)]
    is_open = not figure and len(section.table.rows) <= SHORT
    return [*parts, figure, _folded("Table", table, is_open=is_open)]


def _folded(title: str, html: str, *, is_open: bool = False) -> str:
    return f"<details{' open' if is_open else ''}><summary>{title}</summary>{html}</details>"


def _escaped(table: Table) -> list[list[str]]:
    return [
        [
            _marked(cell) if name == "verdict" else escape(cell)
            for name, cell in zip(table.header, row, strict=True)
        ]
        for row in table.rows
    ]


def _marked(verdict: str, text: str | None = None) -> str:
    """A verdict or an answer in its colour; the words alone say it too."""
    colours = {MATCH: "match", AGREES: "match", OFF: "off", NOT_SEEN: "off", NOTHING: "dim"}
    css = colours.get(verdict, "few")
    return f'<span class="{css}">{escape(text or verdict)}</span>'


def _html_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Of cells that are HTML."""
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = "\n".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="table"><table><tr>{head}</tr>\n{body}</table></div>'
