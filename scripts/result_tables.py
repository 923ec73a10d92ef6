"""How the tables of results/ are written."""

from collections.abc import Iterable, Sequence
from statistics import fmean, stdev


def markdown(header: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """A table; what is missing is a dash."""
    lines = []
    for row in (header, ["---"] * len(header), *rows):
        cells = ["-" if value is None else str(value) for value in row]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def spread(scores: Sequence[float]) -> str:
    """Mean ± sample standard deviation (number of seeds)."""
    deviation = f"{stdev(scores):.1f}" if len(scores) > 1 else "-"
    return f"{fmean(scores):.1f} ± {deviation} ({len(scores)})"
