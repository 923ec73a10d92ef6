"""The plots of results/bench.md, as SVG that the same records give byte for byte."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from prompt_tuning.bench.summary import expected_seconds, point_seconds, speed_up

mpl.rcParams["svg.hashsalt"] = "ptune"  # ids of elements, otherwise random
mpl.rcParams["svg.fonttype"] = "none"  # text as text, whatever fonts a machine has
Record = Mapping[str, Any]


def plot_speed(records: Sequence[Record], path: Path) -> None:
    """How many times PEFT padded to the longest row takes what ptune takes, by profile."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.subplots()
    labels = []
    for x, record in enumerate(records):
        config, result = record["config"], record["result"]
        ratio = speed_up(result, result["baseline"], "ptune")
        spread = [[ratio.median - ratio.low], [ratio.high - ratio.median]]
        axes.bar(x, ratio.median, yerr=spread, color="tab:blue", capsize=3)
        labels.append(f"{config['size']} B{config['batch_size']}\n{config['profile']}")
    axes.axhline(1.0, color="black", linewidth=0.8)
    axes.set_xticks(range(len(labels)), labels, rotation=60, fontsize=8)
    axes.set_ylabel("PEFT (longest row) / ptune")
    axes.set_title("CPU seconds of a training step, same dropout; bars span the batches")
    _save(figure, path)


def plot_growth(measured: Mapping[str, Any], path: Path) -> None:
    """Time (above) and memory (below) along every axis, with the expected law beside both."""
    figure = Figure(figsize=(3 * len(measured), 5.5), layout="constrained")
    panels = figure.subplots(2, len(measured), squeeze=False)
    for column, (axis, of_axis) in enumerate(measured.items()):
        points, base = of_axis["points"], of_axis["base"]
        x = of_axis["values"]
        above, below = panels[0][column], panels[1][column]
        above.plot(x, [point_seconds(point) for point in points], "o-", label="measured")
        law = [expected_seconds(point, base) for point in points]
        above.plot(x, law, "--", color="grey", label="in proportion to operations")
        if base["peak_memory_gib"] is not None:
            below.plot(x, [point["peak_memory_gib"] for point in points], "o-", label="measured")
            per_value = base["peak_memory_gib"] / activations(base)
            law = [per_value * activations(point) for point in points]
            below.plot(x, law, "--", color="grey", label="in proportion to activations")
        for panel in (above, below):
            panel.set_xlabel(axis)
            if axis == "size":
                panel.set_yscale("log")
            else:
                panel.set_ylim(bottom=0)
    panels[0][0].set_ylabel("CPU seconds, forward + backward")
    panels[1][0].set_ylabel("GiB above the loaded model")
    for row in panels:
        row[0].legend(fontsize=7)
    _save(figure, path)


def activations(point: Mapping[str, Any]) -> float:
    """What a backward pass keeps, up to a factor: positions at once, times width and depth."""
    return float(point["positions_at_once"] * point["activations_of_position"])


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, metadata={"Date": None})
