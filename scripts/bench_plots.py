"""The plots of results/bench.md, as SVG that the same records give byte for byte."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from prompt_tuning.bench.cost_tables import growth_points, speed_up

mpl.rcParams["svg.hashsalt"] = "ptune"  # ids of elements, otherwise random
mpl.rcParams["svg.fonttype"] = "none"  # text as text, whatever fonts a machine has


def plot_speed(records: Sequence[Mapping[str, Any]], path: Path) -> None:
    """How many times PEFT padded to the longest row takes what ptune takes, by profile."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.subplots()
    labels = []
    for x, record in enumerate(records):
        config, result = record["config"], record["result"]
        ratios = speed_up(result, result["baseline"], "ptune")
        middle = ratios.median()
        spread = [[middle - ratios.min()], [ratios.max() - middle]]
        axes.bar(x, middle, yerr=spread, color="tab:blue", capsize=3)
        labels.append(f"{config['size']} B{config['batch_size']}\n{config['profile']}")
    axes.axhline(1.0, color="black", linewidth=0.8)
    axes.set_xticks(range(len(labels)), labels, rotation=60, fontsize=8)
    axes.set_ylabel("PEFT (longest row) / ptune")
    axes.set_title("CPU seconds of a training step, same dropout; bars span the batches")
    figure.savefig(path, metadata={"Date": None})


def plot_growth(measured: Mapping[str, Any], path: Path) -> None:
    """Time (above) and memory (below) along every axis, with the expected law beside both."""
    figure = Figure(figsize=(3 * len(measured), 5.5), layout="constrained")
    panels = figure.subplots(2, len(measured), squeeze=False)
    rows = (
        ("seconds", "expected_s", "operations"),
        ("peak_memory_gib", "expected_gib", "activations"),
    )
    for column, (axis, own) in enumerate(measured.items()):
        points = growth_points(own)
        for panel, (found, expected, reason) in zip(panels[:, column], rows, strict=True):
            if points[found].notna().all():
                panel.plot(own["values"], points[found], "o-", label="measured")
                law = f"in proportion to {reason}"
                panel.plot(own["values"], points[expected], "--", color="grey", label=law)
            panel.set_xlabel(axis)
            if axis == "size":
                panel.set_yscale("log")
            else:
                panel.set_ylim(bottom=0)
    panels[0][0].set_ylabel("CPU seconds, forward + backward")
    panels[1][0].set_ylabel("GiB above the loaded model")
    for row in panels:
        row[0].legend(fontsize=7)
    figure.savefig(path, metadata={"Date": None})
