"""The picture of a prompt: its rows among the vocabulary, and how alike they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from prompt_tuning.report.figures import COLOURS, STYLE

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

GREEN, ORANGE, BLUE = COLOURS[:3]


@dataclass(frozen=True)
class PromptMap:
    """What is drawn; places are on the first two principal axes of the vocabulary's directions."""

    title: str
    pieces: Floats  # [V, 2]
    prompt: Floats  # [P, 2]
    init: Floats | None  # [P, 2], before training; None: not known
    labels: Mapping[str, Floats]  # class labels, [2] each
    cosines: Floats  # between the rows of the prompt, [P, P]


def prompt_map_figure(drawn: PromptMap) -> Figure:
    """On the left the rows among the vocabulary, on the right the cosines between them."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10, 4.4), layout="constrained")
        left, right = figure.subplots(1, 2)
        _draw_map(left, drawn)
        right.grid(False)
        image = right.imshow(drawn.cosines, vmin=-1, vmax=1, cmap="RdBu_r", interpolation="nearest")
        for axis in (right.xaxis, right.yaxis):
            axis.set_major_locator(MaxNLocator(integer=True))
        right.set_xlabel("row of the prompt")
        right.set_title("cosine between rows", fontsize=10)
        figure.colorbar(image, ax=right, shrink=0.85)
        figure.suptitle(drawn.title, fontsize=10)
        return figure


def _draw_map(axes: Any, drawn: PromptMap) -> None:
    axes.scatter(*drawn.pieces.T, s=3, color="#b8bcc0", label="vocabulary", rasterized=True)
    if drawn.init is not None:
        for start, end in zip(drawn.init, drawn.prompt, strict=True):
            axes.plot(*zip(start, end, strict=True), color=ORANGE, alpha=0.25, linewidth=0.7)
        axes.scatter(*drawn.init.T, s=14, color=ORANGE, marker="s", label="prompt before training")
    axes.scatter(*drawn.prompt.T, s=16, color=GREEN, label="prompt")
    for name, place in drawn.labels.items():
        axes.scatter(*place, s=45, color=BLUE, marker="*")
        text = name.replace("$", r"\$")  # no formula
        axes.annotate(text, place, xytext=(4, 4), textcoords="offset points", color=BLUE)
    axes.set_xlabel("first principal axis of the vocabulary's directions")
    axes.set_ylabel("second")
    axes.legend(loc="best")
