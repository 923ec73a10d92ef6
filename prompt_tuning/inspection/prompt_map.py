"""The picture of a prompt: its rows among the vocabulary, and how alike they are."""

from collections.abc import Iterator, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from prompt_tuning.inspection.neighbours import Floats, Vocabulary, unit
from prompt_tuning.inspection.prompt_statistics import Question
from prompt_tuning.prompt_files import PromptFile
from prompt_tuning.report.figures import COLOURS, STYLE

GREEN, ORANGE, BLUE = COLOURS[:3]


def prompt_map_figure(
    title: str, prompt: PromptFile, embedding: Floats, question: Question
) -> Figure:
    """Draws the rows among the vocabulary, left, and the cosines between them, right.

    `embedding` is the model's, with a row for every token id that a class label may have.
    """
    directions = unit(prompt.weight)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(13, 6), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(1.2, 1))
        texts = _draw_map(left, prompt, embedding, question)
        right.grid(False)
        cosines = directions @ directions.T
        image = right.imshow(cosines, vmin=-1, vmax=1, cmap="RdBu_r", interpolation="nearest")
        for axis in (right.xaxis, right.yaxis):
            axis.set_major_locator(MaxNLocator(integer=True))
        right.set_xlabel("row of the prompt")
        right.set_title("cosine between rows", fontsize=10)
        figure.colorbar(image, ax=right, shrink=0.85)
        figure.suptitle(title, fontsize=10)
        num_left_out = _write_apart(figure, left, texts, num_labels=len(question.label_ids))
        if num_left_out:
            text = f"{num_left_out} rows have no room for their number: neighbours.json has them"
            left.set_title(text, fontsize=8)
        return figure


def _draw_map(
    axes: Any, prompt: PromptFile, embedding: Floats, question: Question
) -> list[tuple[str, Floats]]:
    """Draws the points; returns the class labels' names, then the rows' numbers, each at a place.

    Places are on the first two principal axes of the vocabulary's directions.
    """
    centre, principal = map_axes(question.vocabulary)
    pieces = on_map(question.vocabulary.embedding, centre, principal)
    axes.scatter(*pieces.T, s=3, color="#b8bcc0", label="vocabulary", rasterized=True)
    rows = on_map(prompt.weight, centre, principal)
    if prompt.init is not None:
        init = on_map(prompt.init, centre, principal)
        for start, end in zip(init, rows, strict=True):
            axes.plot(*zip(start, end, strict=True), color=ORANGE, alpha=0.25, linewidth=0.7)
        axes.scatter(*init.T, s=14, color=ORANGE, marker="s", label="prompt before training")
    axes.scatter(*rows.T, s=16, color=GREEN, label="prompt")
    texts = []
    for word, ids in question.label_ids.items():
        (place,) = on_map(embedding[[*ids]].mean(axis=0, keepdims=True), centre, principal)
        axes.scatter(*place, s=45, color=BLUE, marker="*")
        texts.append((word.replace("$", r"\$"), place))
    axes.set_xlabel("first principal axis of the vocabulary's directions")
    axes.set_ylabel("second")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=3)
    return [*texts, *((str(number), place) for number, place in enumerate(rows))]


def map_axes(vocabulary: Vocabulary) -> tuple[Floats, Floats]:
    """The centre [H] and the first two principal axes [2, H] of the pieces' directions."""
    centre: Floats = vocabulary.directions.mean(axis=0)
    centred = vocabulary.directions - centre
    _, vectors = np.linalg.eigh(centred.T @ centred)
    axes: Floats = vectors[:, :-3:-1].T.astype(np.float32)
    for i, axis in enumerate(axes):
        if axis[np.abs(axis).argmax()] < 0:
            axes[i] = -axis  # the same way up on every machine
    return centre, axes


def on_map(rows: Floats, centre: Floats, axes: Floats) -> Floats:
    """Where the directions of rows [N, H] are on the map, [N, 2]."""
    return ((unit(rows) - centre) @ axes.T).astype(np.float32)


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
