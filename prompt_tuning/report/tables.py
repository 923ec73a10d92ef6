"""Tables of texts: numbers with their deviation and seeds; what was not measured is a dash."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from prompt_tuning.report.paper import NOTHING, QUOTED, Published, tolerances
from prompt_tuning.report.statistics import Spread, wilson

FEW_SEEDS = "†"
OURS = ("ours mean", "ours sd", "n", "difference", "verdict")


@dataclass(frozen=True)
class Table:
    """A table; the column `verdict`, where there is one, is counted on the page."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()  # below it

    @property
    def verdicts(self) -> list[str]:
        """One a row that can be measured; none of a table without them."""
        if "verdict" not in self.header:
            return []
        column = [*self.header].index("verdict")
        return [row[column] for row in self.rows if row[0] not in QUOTED]


def markdown(header: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """A table; what is missing is a dash."""
    lines = []
    for row in (header, ["---"] * len(header), *rows):
        cells = ["-" if value is None else str(value) for value in row]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def number(value: float | None, digits: int = 2) -> str:
    """Some digits after the point, or a dash."""
    return NOTHING if value is None else f"{value:.{digits}f}"


def with_mark(spread: Spread | None) -> str:
    """A spread with a dagger if its seeds are few; a dash without one."""
    if spread is None:
        return NOTHING
    return f"{spread}{FEW_SEEDS if spread.count < tolerances().min_seeds else ''}"


def failed_text(failed: Sequence[bool]) -> str:
    """How many runs fail to learn, with the interval of their share; a dash without a floor."""
    if not failed:
        return NOTHING
    low, high = wilson(sum(failed), len(failed))
    return f"{sum(failed)} of {len(failed)} ({100 * low:.0f} to {100 * high:.0f} %)"


def compared(paper: Published | None, ours: Spread | None) -> list[str]:
    """Our score beside a published one: the columns of OURS."""
    if ours is None:
        return [NOTHING, NOTHING, "0", NOTHING, NOTHING]
    difference = NOTHING if paper is None else f"{ours.mean - paper.mean:+.2f}"
    numbers = (number(ours.mean), number(ours.deviation), str(ours.count))
    return [*numbers, difference, tolerances().verdict(paper, ours)]
