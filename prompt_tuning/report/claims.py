"""Claims of the paper as questions, answered by the data alone.

A difference counts where it is further from 0 than twice its standard error over seeds. Cells of
too few seeds do not count.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pandas as pd

from prompt_tuning.report.estimates import Estimate, num_of_sign
from prompt_tuning.report.grid import Grid
from prompt_tuning.report.paper import NOTHING

AGREES, PARTLY, NOT_SEEN = "agrees", "partly", "not seen"
ANSWERS = {
    AGREES: "beyond twice its standard error over seeds wherever it was measured",
    PARTLY: "at half of the sizes at least, and against it at none",
    NOT_SEEN: "neither",
}
PROMPTS = "prompt_tuning, lm_adapted"  # the series of the paper's method


@dataclass(frozen=True)
class Claim:
    """A question, its answer in a word, and the numbers that it rests on."""

    question: str
    answer: str = NOTHING  # a dash: not measured
    numbers: str = ""

    def __str__(self) -> str:
        if self.answer == NOTHING:
            return f"{self.question} Not measured."
        return f"{self.question} {self.answer.capitalize()}. {self.numbers}"


def answer(signs: Iterable[int]) -> str:
    """In a word, from one sign a size: 1 for the claim, -1 against it, 0 neither."""
    found = [*signs]
    if not found:
        return NOTHING
    if min(found) == 1:
        return AGREES
    return PARTLY if 2 * found.count(1) >= len(found) and -1 not in found else NOT_SEEN


def gains(question: str, what: str, values: Mapping[str, Estimate]) -> Claim:
    """Claims that a difference, `what`, is above 0 at every size."""
    up, down = (num_of_sign(values.values(), sign) for sign in (1, -1))
    numbers = (
        f"{what}: {listed(values)}; a gain beyond its error at {up} of {len(values)} sizes, a loss "
        f"at {down}."
    )
    return Claim(question, answer(value.sign for value in values.values()), numbers)


def falls(question: str, what: str, values: Mapping[str, Estimate]) -> Claim:
    """Claims that a number, `what`, is smaller for the largest model than for the smallest."""
    if len(values) < 2:
        return Claim(question)
    first, *_, last = values.values()
    words = {-1: "It falls with size", 0: "No change beyond its error", 1: "It rises with size"}
    change = last - first
    numbers = (
        f"{what}: {listed(values)}. {words[change.sign]}: {change} from the smallest to the "
        "largest."
    )
    return Claim(question, answer([-change.sign]), numbers)


def listed(values: Mapping[str, Estimate]) -> str:
    """Size by size."""
    return ", ".join(f"{name} {value.value:+.1f}" for name, value in values.items())


def means(grid: Grid, min_seeds: int) -> pd.DataFrame:
    """Estimates, the means over all tasks: a column a series, a row a model, smallest first.

    A cell without enough seeds is missing.
    """
    found = pd.DataFrame(columns=grid.series, dtype=object)
    for series, model in sorted(grid.places, key=grid.num_parameters):
        spread = grid.spread((series, model), grid.tasks)
        if spread is not None and spread.count >= min_seeds:
            found.loc[model, series] = Estimate.of(spread)
    return found


def differences(means: pd.DataFrame, series: str, other: str) -> dict[str, Estimate]:
    """One series minus another by model, where both are measured."""
    both = means.reindex(columns=[series, other]).dropna()
    return {model: one - two for model, one, two in both.itertuples()}
