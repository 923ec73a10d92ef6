"""A measurement's record as the lines of a terminal table. Knows no torch."""

from collections.abc import Mapping, Sequence
from typing import Any

from prompt_tuning.bench.summary import (
    expected_seconds,
    floor_fraction,
    mean_seconds,
    memory_ratio,
    ms_per_example,
    point_seconds,
    positions_per_s,
    speed_up,
)

Record = Mapping[str, Any]

# What an arm of part=serving is compared with, by the question that it answers.
SERVED_BEFORE = {"stream": "stream_by_prompt", "ensemble": "ensemble_by_prompt"}


def table_of(record: Record) -> list[str]:
    """The table of a record, and its headline below."""
    part = record["config"]["part"]
    if part == "growth":
        return _growth(record["result"])
    if part == "end_to_end":
        return _end_to_end(record["result"])
    if part == "evaluation":
        return _evaluation(record["result"])
    if part == "serving":
        return _serving(record["result"])
    return _steps(record["result"])


def aligned(header: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """Columns as wide as their widest cell; the first to the left, numbers to the right."""
    table = [[*header], *([text(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]


def text(cell: object) -> str:
    """A cell: what was not measured is a dash."""
    if cell is None:
        return "-"
    return f"{cell:.3g}" if isinstance(cell, float) else str(cell)


def shares_text(shares: Mapping[str, float]) -> str:
    """Where a step's time goes, in one line."""
    return ", ".join(f"{kind} {100 * share:.0f} %" for kind, share in shares.items())


def _steps(result: Record) -> list[str]:
    """Every arm of a training step; how many times it takes what ptune takes."""
    rows = [
        [
            arm,
            f"{mean_seconds(result, arm):.3f}",
            f"{mean_seconds(result, arm, 'user_s'):.3f}",
            f"{mean_seconds(result, arm, 'sys_s'):.3f}",
            f"{mean_seconds(result, arm, 'wall_s'):.3f}",
            f"{positions_per_s(result, arm):,.0f}",
            f"{100 * floor_fraction(result, arm):.0f} %",
            measured["peak_memory_gib"] and f"{measured['peak_memory_gib']:.3f}",
            speed_up(result, arm, "ptune"),
        ]
        for arm, measured in result["arms"].items()
    ]
    header = ["arm", "s", "user", "sys", "wall", "tokens/s", "of floor", "GiB", "against ptune"]
    baseline = result["baseline"]
    ratio = memory_ratio(result, baseline, "ptune")
    memory = "" if ratio is None else f", 1/{ratio:.1f} of its memory"
    rate = result["matrix_product_rate"] / 1e9
    return [
        *aligned(header, rows),
        f"matrix products: {rate:.1f} G operations/s",
        *([f"ptune's time: {shares_text(result['breakdown'])}"] if result["breakdown"] else []),
        f"ptune against {baseline}: {speed_up(result, baseline, 'ptune')}{memory}",
    ]


def _evaluation(result: Record) -> list[str]:
    baseline = result["baseline"]
    rows = [
        [arm, f"{ms_per_example(result, arm):.2f}", speed_up(result, baseline, arm)]
        for arm in result["arms"]
    ]
    return aligned(["arm", "ms an example", f"faster than {baseline}"], rows)


def _serving(result: Record) -> list[str]:
    rows = [
        [arm, f"{ms_per_example(result, arm):.2f}", speed_up(result, against, arm)]
        for arm in result["arms"]
        for against in [SERVED_BEFORE[arm.partition("_")[0]]]
    ]
    prompts, model = result["num_prompt_parameters"], result["num_model_parameters"]
    num_models = result["num_prompts"]
    return [
        *aligned(["arm", "ms a row", "faster than prompt by prompt"], rows),
        f"parameters: one model and {num_models} prompts {model + prompts:,}, {num_models} models "
        f"{num_models * model:,}",
    ]


def _end_to_end(result: Record) -> list[str]:
    arms = result["arms"]
    rows = [
        [
            name,
            f"{mean_seconds(result, name):.2f}",
            f"{mean_seconds(result, name, 'evaluation_seconds'):.2f}",
            f"{mean_seconds(result, name, 'wall_s'):.2f}",
            arm["step"],
            f"{arm['score']:.2f}",
            "yes" if arm["reached"] else "no",
        ]
        for name, arm in arms.items()
    ]
    header = ["arm", "s", "evaluating", "wall", "step", "score", "reached"]
    lines = aligned(header, rows)
    if all(arm["reached"] for arm in arms.values()):
        faster = speed_up(result, result["baseline"], "ptune")
        lines.append(f"to a dev score of {result['target_score']:g}, ptune is faster: {faster}")
    return lines


def _growth(result: Record) -> list[str]:
    lines: list[str] = []
    for axis, measured in result["axes"].items():
        base = measured["base"]
        rows = [
            [
                value,
                f"{point_seconds(point):.4f}",
                f"{expected_seconds(point, base):.4f}",
                point["peak_memory_gib"] and f"{point['peak_memory_gib']:.3f}",
            ]
            for value, point in zip(measured["values"], measured["points"], strict=True)
        ]
        lines += aligned([axis, "s", "expected s", "GiB"], rows)
    return lines
