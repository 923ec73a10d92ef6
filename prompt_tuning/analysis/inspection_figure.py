"""Section 7 on the ladder as a figure: trained prompts beside what they were, and beside chance."""

from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from prompt_tuning.analysis.artefacts import Artefact
from prompt_tuning.analysis.collecting import Grid
from prompt_tuning.analysis.figures import COLOURS, STYLE
from prompt_tuning.analysis.inspections import (
    INIT,
    MEASURES,
    PROMPT,
    RANDOM,
    Inspections,
    value_of,
)

SHOWN = ("tightness", "distinct", "label_rows", "domain_share")
COLUMNS = {  # label, colour, marker, and how far aside, so that none hides another
    PROMPT: ("trained", COLOURS[0], "o", -0.2),
    INIT: ("before training", COLOURS[1], "s", 0.0),
    RANDOM: ("random vectors", COLOURS[5], "x", 0.2),
}


def inspections_figure(artefact: Artefact, grid: Grid) -> Figure:
    """A panel a measure; in it a place for every initialisation, length and model."""
    inspections = Inspections(grid, artefact.series)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9, 6.4), layout="constrained")
        panels = figure.subplots(2, 2, sharex=True).ravel()
        for axes, measure in zip(panels, SHOWN, strict=True):
            _draw(axes, inspections, measure)
            axes.set_title(MEASURES[measure], fontsize=8)
        names = [f"{series}\n{model}" for series, model in inspections.places]
        for axes in panels[2:]:
            axes.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
        title = artefact.title if names else f"{artefact.title}: not measured"
        figure.suptitle(title, fontsize=10)
        return figure


def _draw(axes: Any, inspections: Inspections, measure: str) -> None:
    for column, (label, colour, marker, aside) in COLUMNS.items():
        spreads = [
            inspections.over_seeds(place, value_of(measure, column)) for place in inspections.places
        ]
        known = [(x, spread) for x, spread in enumerate(spreads) if spread is not None]
        axes.errorbar(
            [x + aside for x, _ in known],
            [spread.mean for _, spread in known],
            [spread.deviation or 0.0 for _, spread in known],
            color=colour,
            fmt=marker,
            capsize=2,
            label=label,
        )
