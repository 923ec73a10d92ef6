"""A sentence per claim of the paper, asked of the ladder and answered by the data alone.

A difference counts where it is further from 0 than twice its standard error over seeds.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

from prompt_tuning.analysis.collecting import Grid
from prompt_tuning.analysis.spread import Estimate, num_of_sign

Means = Mapping[str, Mapping[str, Estimate]]  # series -> size -> mean over tasks


def claims(name: str, grid: Grid, min_seeds: int) -> list[str]:
    """The sentences of an artefact; those without runs say that they are not measured."""
    means, few = _means(grid, min_seeds)
    make: Callable[[Means], list[str]] = {
        "fig1_ladder": _gap,
        "fig3a_ladder": _length,
        "fig3b_ladder": _initialisation,
        "fig3c_ladder": _objective,
        "fig3d_ladder": _adaptation,
        "control_ladder": _control,
    }[name]
    left_out = [f"Cells of fewer than {min_seeds} seeds do not count here: {', '.join(few)}."]
    return [*make(means), *(left_out if few else [])]


def _means(grid: Grid, min_seeds: int) -> tuple[Means, list[str]]:
    """Cells with all tasks; smallest model first. Those with few seeds are named instead."""
    means: dict[str, dict[str, Estimate]] = {}
    few = []
    order = list(grid.cells.values())
    for cell in sorted(order, key=lambda cell: cell.num_parameters or 0):
        spread = cell.mean_over(grid.tasks)
        if spread is None:
            continue
        if spread.count < min_seeds:
            few.append(f"{cell.series}, {cell.size}")
        else:
            means.setdefault(cell.series, {})[cell.size] = Estimate.of(spread)
    return means, few


def _gap(means: Means) -> list[str]:
    """Does the gap to model tuning close with size?"""
    question = "Does the gap to model tuning close with size?"
    tuned = [s for s in means if s.startswith(("model_tuning", "multitask_model_tuning"))]
    prompts = means.get("prompt_tuning, lm_adapted", {})
    sentences = []
    for series in tuned:
        gaps = {
            size: means[series][size] - prompts[size] for size in prompts if size in means[series]
        }
        if len(gaps) >= 2:
            sentences.append(f"{question} {series} minus prompt tuning: {_trend(gaps)}")
    return sentences or [f"{question} Not measured."]


def _trend(values: Mapping[str, Estimate]) -> str:
    """How a number changes from the smallest model to the largest."""
    first, *_, last = values.values()
    change = last - first
    words = {-1: "It falls with size", 0: "No change beyond its error", 1: "It rises with size"}
    return f"{_listed(values)}. {words[change.sign]}: {change} from the smallest to the largest."


def _listed(values: Mapping[str, Estimate]) -> str:
    return ", ".join(f"{name} {value.value:+.1f}" for name, value in values.items())


def _length(means: Means) -> list[str]:
    """Does length help, and then saturate?"""
    question = "Does a longer prompt help, and then saturate?"
    lengths = sorted(means, key=int)
    sizes = _sizes_in_all(means, ("1", "20", lengths[-1])) if {"1", "20"} <= {*lengths} else []
    if not sizes:
        return [f"{question} Not measured."]
    last = lengths[-1]
    up = {size: means["20"][size] - means["1"][size] for size in sizes}
    on = {size: means[last][size] - means["20"][size] for size in sizes}
    return [
        f"{question} From 1 to 20 positions: {_listed(up)}; a gain beyond its error at "
        f"{num_of_sign(up, 1)} of {len(sizes)} sizes. From 20 to {last}: {_listed(on)}; a further "
        f"gain at {num_of_sign(on, 1)}, a loss at {num_of_sign(on, -1)}."
    ]


def _initialisation(means: Means) -> list[str]:
    """Do initialisations matter less with size?"""
    question = "Does the initialisation matter less with size?"
    sizes = _sizes_in_all(means, [*means])
    if len(means) < 2 or len(sizes) < 2:
        return [f"{question} Not measured."]
    ranges, best = {}, []
    for size in sizes:
        ordered = sorted(means, key=lambda series: means[series][size].value)
        ranges[size] = means[ordered[-1]][size] - means[ordered[0]][size]
        best.append(f"{ordered[-1]} at {size}")
    return [f"{question} Best minus worst ({', '.join(best)}): {_trend(ranges)}"]


def _objective(means: Means) -> list[str]:
    """Does LM adaptation matter?"""
    adapted = means.get("lm_adapted", {})
    sentences = []
    for other in ("span_corruption", "span_corruption_sentinel"):
        gains = {
            size: adapted[size] - means[other][size]
            for size in adapted
            if size in means.get(other, {})
        }
        sentences.append(_gains(f"Does LM adaptation matter? Adapted minus {other}", gains))
    return sentences


def _adaptation(means: Means) -> list[str]:
    """Do more steps of LM adaptation help?"""
    steps = sorted(means, key=int)
    sentences = []
    for before, after in pairwise(steps):
        gains = {
            s: means[after][s] - means[before][s] for s in _sizes_in_all(means, (before, after))
        }
        text = f"Do more steps of LM adaptation help? {after} minus {before} steps"
        sentences.append(_gains(text, gains))
    return sentences or ["Do more steps of LM adaptation help? Not measured."]


def _control(means: Means) -> list[str]:
    """Is it pre-training that a prompt draws on?"""
    adapted = means.get("prompt_tuning, lm_adapted", {})
    random = means.get("prompt_tuning, random_weights", {})
    gains = {size: adapted[size] - random[size] for size in adapted if size in random}
    return [_gains("Does a prompt draw on pre-training? Adapted minus random weights", gains)]


def _gains(text: str, gains: Mapping[str, Estimate]) -> str:
    if not gains:
        return f"{text}: not measured."
    return (
        f"{text}: {_listed(gains)}; a gain beyond its error at {num_of_sign(gains, 1)} of "
        f"{len(gains)} sizes, a loss at {num_of_sign(gains, -1)}."
    )


def _sizes_in_all(means: Means, series: Sequence[str]) -> list[str]:
    """The sizes that all of some series have, smallest first."""
    if not series:
        return []
    return [size for size in means[series[0]] if all(size in means[other] for other in series)]
