"""Table 5: steps and seconds until a run is within 1 % of its configuration's mean score."""

from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import ClassVar

from prompt_tuning.report.artefact import LADDER, PAPER, TIMES, Artefact
from prompt_tuning.report.grid import Place
from prompt_tuning.report.paper import NOTHING, published_rows
from prompt_tuning.report.records import Record
from prompt_tuning.report.statistics import Spread
from prompt_tuning.report.tables import Table, with_mark

WITHIN = 0.01  # of the mean score (paper, table 5)


@dataclass(frozen=True, eq=False)
class Times(Artefact):
    """The table of times."""

    series: tuple[str, ...] = ("prompt.length",)
    group: ClassVar[str] = TIMES

    @cached_property
    def table(self) -> Table:
        """The paper's seconds stand beside ours and are not compared."""
        paper = {
            (row["prompt_length"], row["size"]): f"{row['mean_s']} ± {row['sd_s']}"
            for row in (published_rows("table5") if self.models == PAPER else ())
        }
        lines = []
        for place in dict.fromkeys([*self.grid.places, *paper]):
            records = self._records(place)
            times = _times(records)
            line = [*place, *([paper.get(place, NOTHING)] if paper else [])]
            line.append(with_mark(Spread.of(step for step, _ in times)))
            line.append(with_mark(Spread.of(seconds for _, seconds in times)))
            line.append(f"{len(times)} of {len(records)}" if records else NOTHING)
            line.append(f"{_mean_score(records):.1f}" if records else NOTHING)
            line.append(self.grid.at_an_end(*place) or NOTHING)
            lines.append(line)
        header = ["prompt.length", "model", *(["paper, seconds"] if paper else [])]
        header += ["ours, steps", "ours, seconds", "runs that got there", "mean score"]
        header.append("at floor or ceiling")
        notes = [
            "The first evaluation at 99 % or more of the mean, over seeds, of the best score on "
            "the split that chooses the step: mean ± sample standard deviation (number of runs "
            "that got there). Steps are as fine as the interval between evaluations."
        ]
        if paper:
            what = "The paper's seconds are those of TPUs: a verdict on them would mean nothing."
            notes.append(what)
        return Table(header, lines, (*notes, *self.grid.notes()))

    def _records(self, place: Place) -> list[Record]:
        """The records whose history has seconds; none if the runs differ in weights or data."""
        found = self.grid.found
        there = found.loc[(found["series"] == place[0]) & (found["model"] == place[1]), "record"]
        records = [record for record in there if _is_timed(record)]
        return records if len({record.substance for record in records}) == 1 else []


def _mean_score(records: list[Record]) -> float:
    return fmean(record.content["result"]["score"] for record in records)


def _is_timed(record: Record) -> bool:
    return bool(record.history) and all(seconds is not None for *_, seconds in record.history)


def _times(records: list[Record]) -> list[tuple[int, float]]:
    """Step and seconds at which each run that got there was first at 99 % of their mean score."""
    times = []
    for record in records:
        for step, score, seconds in record.history:
            if score >= (1 - WITHIN) * _mean_score(records):
                assert seconds is not None, record.name
                times.append((step, seconds))
                break
    return times


TABLE5 = Times("table5", "Table 5: time to a score on BoolQ", sweeps=(("table5",),))
TABLE5_LADDER = Times(
    "table5_ladder",
    "Table 5 on the ladder: time to a score",
    LADDER,
    (("table5_ladder",),),
)
