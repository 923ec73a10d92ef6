"""The picture of a prompt: its rows among the vocabulary, and how alike they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from prompt_tuning.report.figures import COLOURS, STYLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

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
    """Draws the rows among the vocabulary, left, and the cosines between them, right."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(13, 6), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(1.2, 1))
        _draw_map(left, drawn)
        right.grid(False)
        image = right.imshow(drawn.cosines, vmin=-1, vmax=1, cmap="RdBu_r", interpolation="nearest")
        for axis in (right.xaxis, right.yaxis):
            axis.set_major_locator(MaxNLocator(integer=True))
        right.set_xlabel("row of the prompt")
        right.set_title("cosine between rows", fontsize=10)
        figure.colorbar(image, ax=right, shrink=0.85)
        figure.suptitle(drawn.title, fontsize=10)
        names = {name.replace("$", r"\$"): place for name, place in drawn.labels.items()}
        texts = [*names.items(), *((str(i), place) for i, place in enumerate(drawn.prompt))]
        num_left_out = _write_apart(figure, left, texts, num_labels=len(names))
        if num_left_out:
            text = f"{num_left_out} rows have no room for their number: neighbours.json has them"
            left.set_title(text, fontsize=8)
        return figure


def _draw_map(axes: Any, drawn: PromptMap) -> None:
    axes.scatter(*drawn.pieces.T, s=3, color="#b8bcc0", label="vocabulary", rasterized=True)
    if drawn.init is not None:
        for start, end in zip(drawn.init, drawn.prompt, strict=True):
            axes.plot(*zip(start, end, strict=True), color=ORANGE, alpha=0.25, linewidth=0.7)
        axes.scatter(*drawn.init.T, s=14, color=ORANGE, marker="s", label="prompt before training")
    axes.scatter(*drawn.prompt.T, s=16, color=GREEN, label="prompt")
    for place in drawn.labels.values():
        axes.scatter(*place, s=45, color=BLUE, marker="*")
    axes.set_xlabel("first principal axis of the vocabulary's directions")
    axes.set_ylabel("second")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=3)


def _write_apart(
    figure: Figure, axes: Any, texts: Sequence[tuple[str, Floats]], *, num_labels: int
) -> int:
    """Writes texts beside their places, none over another or over a row's point.

    The first `num_labels` are class labels. Returns the number of those that had no room.
    """
    figure.draw_without_rendering()  # the layout is known then, and where a point lies
    per_point = figure.dpi / 72
    points = [axes.transData.transform(place) for _, place in texts]
    taken = [(x - 4, y - 4, x + 4, y + 4) for x, y in points]
    num_left_out = 0
    for number, ((text, place), (x, y)) in enumerate(zip(texts, points, strict=True)):
        is_label = number < num_labels
        size = 9 if is_label else 6
        width, height = 0.65 * size * len(text) * per_point, 1.1 * size * per_point
        for dx, dy in _around(width, height):
            box = (x + dx, y + dy, x + dx + width, y + dy + height)
            if not any(_overlap(box, other) for other in taken):
                taken.append(box)
                offset = (dx / per_point, dy / per_point)
                colour = BLUE if is_label else "#1d4d31"
                axes.annotate(
                    text, place, offset, textcoords="offset points", color=colour, fontsize=size
                )
                break
        else:
            num_left_out += 1
    return num_left_out


def _around(width: float, height: float) -> Iterator[tuple[float, float]]:
    """Where the lower left corner of a text may be, seen from its point: near ones first."""
    for gap in (4.0, 9.0, 16.0):
        yield from ((gap, -height / 2), (-gap - width, -height / 2), (-width / 2, gap))
        yield from ((-width / 2, -gap - height), (gap, gap), (gap, -gap - height))
        yield from ((-gap - width, gap), (-gap - width, -gap - height))


def _overlap(one: Sequence[float], other: Sequence[float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
