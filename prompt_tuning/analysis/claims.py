"""Claims of the paper as questions to the ladder, answered by the data alone.

A difference counts where it is further from 0 than twice its standard error over seeds. Cells of
too few seeds do not count.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from prompt_tuning.analysis.collecting import Grid
from prompt_tuning.analysis.paper import NOTHING
from prompt_tuning.analysis.spread import Estimate, num_of_sign

AGREES, PARTLY, NOT_SEEN = "agrees", "partly", "not seen"
ANSWERS = {
    AGREES: "beyond twice its standard error over seeds wherever it was measured",
    PARTLY: "at half of the sizes at least, and against it at none",
    NOT_SEEN: "neither",
}
PROMPTS = "prompt_tuning, lm_adapted"  # the series of the paper's method
Means = Mapping[str, Mapping[str, Estimate]]  # series -> size -> mean over tasks


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


def gains(question: str, of: str, values: Mapping[str, Estimate]) -> Claim:
    """Claims that some difference, `of`, is above 0 at every size."""
    up, down = (num_of_sign(values.values(), sign) for sign in (1, -1))
    numbers = (
        f"{of}: {listed(values)}; a gain beyond its error at {up} of {len(values)} sizes, a loss "
        f"at {down}."
    )
    return Claim(question, answer(value.sign for value in values.values()), numbers)


def falls(question: str, of: str, values: Mapping[str, Estimate]) -> Claim:
    """Claims that a number, `of`, is smaller for the largest model than for the smallest."""
    if len(values) < 2:
        return Claim(question)
    first, *_, last = values.values()
    words = {-1: "It falls with size", 0: "No change beyond its error", 1: "It rises with size"}
    change = last - first
    numbers = (
        f"{of}: {listed(values)}. {words[change.sign]}: {change} from the smallest to the largest."
    )
    return Claim(question, answer([-change.sign]), numbers)


def listed(values: Mapping[str, Estimate]) -> str:
    """Size by size."""
    return ", ".join(f"{name} {value.value:+.1f}" for name, value in values.items())


def ladder_claims(name: str, grid: Grid, min_seeds: int) -> list[Claim]:
    """What an artefact's scores on the ladder have to say."""
    make: Callable[[Means], list[Claim]] = {
        "fig1_ladder": _methods,
        "fig3a_ladder": _length,
        "fig3b_ladder": _initialisation,
        "fig3c_ladder": _objective,
        "fig3d_ladder": _adaptation,
        "control_ladder": _control,
    }[name]
    return make(_means(grid, min_seeds))


def _means(grid: Grid, min_seeds: int) -> Means:
    """Cells with all tasks and enough seeds; smallest model first."""
    means: dict[str, dict[str, Estimate]] = {series: {} for series in grid.series}
    for cell in sorted(grid.cells.values(), key=lambda cell: cell.num_parameters or 0):
        spread = cell.mean_over(grid.tasks)
        if spread is not None and spread.count >= min_seeds:
            means[cell.series][cell.size] = Estimate.of(spread)
    return means


def _methods(means: Means) -> list[Claim]:
    tuned = [s for s in means if s.startswith(("model_tuning", "multitask_model_tuning"))]
    found = [
        falls(
            f"Does the gap to {series} close with size?",
            "Model tuning minus prompt tuning",
            _differences(means, series, PROMPTS),
        )
        for series in tuned
    ]
    found += [
        gains(
            f"Are prompts better than {series}?",
            "Prompt tuning minus prompt design",
            _differences(means, PROMPTS, series),
        )
        for series in means
        if series.startswith("prompt_design")
    ]
    return found or [Claim("Does the gap to model tuning close with size?")]


def _length(means: Means) -> list[Claim]:
    up = gains("Are 20 positions better than one?", "20 minus 1", _differences(means, "20", "1"))
    longest = max((length for length in means if int(length) > 20), key=int, default="")
    beyond = _differences(means, longest, "20")
    on = gains("Do prompts of more than 20 positions score alike?", f"{longest} minus 20", beyond)
    level = {0: 1, 1: 0, -1: -1}  # for the claim: neither gain nor loss
    return [up, replace(on, answer=answer(level[value.sign] for value in beyond.values()))]


def _initialisation(means: Means) -> list[Claim]:
    ranges, best = {}, []
    for size in _sizes_in_all(means, [*means]):
        ordered = sorted(means, key=lambda series: means[series][size].value)
        ranges[size] = means[ordered[-1]][size] - means[ordered[0]][size]
        best.append(f"{ordered[-1]} at {size}")
    question = "Does the initialisation matter less with size?"
    return [falls(question, f"Best minus worst ({', '.join(best)})", ranges)]


def _objective(means: Means) -> list[Claim]:
    return [
        gains(
            f"Do prompts do better on an LM-adapted model than after {other}?",
            "LM-adapted minus the other",
            _differences(means, "lm_adapted", other),
        )
        for other in ("span_corruption", "span_corruption_sentinel")
    ]


def _adaptation(means: Means) -> list[Claim]:
    found = [
        gains(
            f"Are {after} steps of LM adaptation better than {before}?",
            f"{after} minus {before} steps",
            _differences(means, after, before),
        )
        for before, after in pairwise(sorted(means, key=int))
    ]
    return found or [Claim("Are more steps of LM adaptation better?")]


def _control(means: Means) -> list[Claim]:
    values = _differences(means, PROMPTS, "prompt_tuning, random_weights")
    question = "Does a prompt draw on pre-training?"
    return [gains(question, "LM-adapted minus random weights", values)]


def _differences(means: Means, series: str, other: str) -> dict[str, Estimate]:
    """By size, where both are measured."""
    return {
        size: means[series][size] - means[other][size]
        for size in _sizes_in_all(means, (series, other))
    }


def _sizes_in_all(means: Means, series: Sequence[str]) -> list[str]:
    """The sizes that all of some series have, smallest first."""
    if not {*series} <= {*means}:
        return []
    return [size for size in means[series[0]] if all(size in means[other] for other in series)]
