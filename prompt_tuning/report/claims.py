"""Claims of the paper as questions, answered by results/paper/rule.md alone.

A claim rests on tests of effects. A case of an effect is a model and what was asked of it, such as
a task; its terms are weights and cells, a cell the scores of its seeds.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from prompt_tuning.report.grid import CEILING, Case, Grid
from prompt_tuning.report.names import human
from prompt_tuning.report.paper import SIZES, published_scores
from prompt_tuning.report.statistics import (
    MIN_SEEDS,
    Answer,
    Cell,
    Effect,
    answer,
    combination,
    holm,
    trend,
)

MARGIN, MARGIN_OF_ONE_TASK = 2.0, 5.0  # points within which two things are alike
MIN_SIZES = 3  # of a trend
MOST_NAMED = 3  # tasks
END = {"floor": "most runs fail to learn", "ceiling": f"scores are above {CEILING:g} %"}
Terms = Sequence[tuple[float, Cell]]
PROMPTS, TUNED = "prompt_tuning, lm_adapted", "model_tuning, lm_adapted"
FEW = f"fewer than {MIN_SEEDS} seeds, or an arm is missing"


@dataclass(frozen=True)
class Evidence:
    """An effect that a claim says the sign of; with a margin, that it is nothing within it."""

    what: str
    effect: Effect
    sign: int = 1
    margin: float | None = None

    @property
    def p(self) -> float:
        """Before correction: two-sided, or of equivalence."""
        if self.margin is None:
            return self.effect.two_sided_p()
        return self.effect.equivalence_p(self.margin)

    @property
    def shown(self) -> str:
        """The effect, and within what it would be nothing."""
        return f"{self.effect}" + ("" if self.margin is None else f", alike within {self.margin:g}")

    def __str__(self) -> str:
        return f"{self.what}: {self.shown}"


@dataclass(frozen=True)
class Claim:
    """A question, what the paper saw, and the tests that answer it; all of them have to hold."""

    question: str
    paper: str
    tests: Sequence[Evidence] = ()
    detail: str = ""  # size by size
    why_not: str = FEW  # there is no test
    tasks: Sequence[str] = ()  # that it rests on, by their names
    counted: bool | None = None  # true or false by counting, without a run: there is no test

    def __str__(self) -> str:
        tests = "; ".join(f"{test}, p = {test.p:.2g} before correction" for test in self.tests)
        if self.counted is not None:
            return f"{self.question} {self.detail}"
        where = f" On {', '.join(self.tasks)}." if self.tasks else ""
        tests = tests or f"Not testable here: {self.why_not}"
        return f"{self.question} {tests}.{where} {self.detail}"

    @property
    def on(self) -> str:
        """The tasks that it rests on, counted where they are more than a line has room for."""
        few = len(self.tasks) <= MOST_NAMED
        return ", ".join(self.tasks) if few else f"{len(self.tasks)} tasks"


@dataclass(frozen=True)
class Judged:
    """A claim with its answer, and the corrected p-value of each of its tests."""

    claim: Claim
    answer: Answer
    p_values: Sequence[float]


def judged(claims: Iterable[Claim]) -> list[Judged]:
    """All claims of a page, corrected together."""
    claims = [*claims]
    left = iter(holm([test.p for claim in claims for test in claim.tests]))
    found = []
    for claim in claims:
        p_values = [next(left) for _ in claim.tests]
        answers = {
            answer(test.effect, p, sign=test.sign, margin=test.margin)
            for test, p in zip(claim.tests, p_values, strict=True)
        }
        if claim.counted is not None:
            word = Answer.SUPPORTED if claim.counted else Answer.CONTRADICTED
        elif not answers or Answer.NOT_TESTABLE in answers:
            word = Answer.NOT_TESTABLE
        elif Answer.CONTRADICTED in answers:
            word = Answer.CONTRADICTED
        else:
            word = Answer.SUPPORTED if answers == {Answer.SUPPORTED} else Answer.INCONCLUSIVE
        found.append(Judged(claim, word, p_values))
    return found


def asked_of(
    question: str,
    what: str,
    cases: Mapping[Case, Terms],
    paper: str,
    *,
    sign: int = 1,
    alike: bool = False,
    ends: Mapping[str, str] | None = None,
) -> Claim:
    """A claim on the mean of a value over all cases; those of too few seeds are left out.

    It is that the value has a sign or, `alike`, that it is nothing. `ends` marks models whose arms
    are at the floor or the ceiling.
    """
    known = _enough(cases)
    if not known:
        return Claim(question, paper)
    margin = _margin(known) if alike else None
    test = Evidence(what, _mean(known), sign, margin)
    return Claim(question, paper, [test], by_model(what, known, ends), tasks=_tasks(known))


def asked_of_sum(
    question: str,
    what: str,
    grid: Grid,
    weights: Mapping[str, float],
    paper: str,
    *,
    alike: bool = False,
) -> Claim:
    """A claim on a weighted sum of series, over all cases."""
    cases, ends = weighted(grid, weights), ends_of(grid, weights)
    return asked_of(question, what, cases, paper, alike=alike, ends=ends)


def closes(question: str, grid: Grid, first: str, second: str, paper: str) -> Claim:
    """The gap, first minus second, falls with size, and at the largest size it is nothing."""
    gap = {first: 1, second: -1}
    cases = _enough(weighted(grid, gap))
    falls = shrinks(question, "Gap", grid, gap, paper)
    if not cases:
        return falls
    largest = max(cases, key=lambda case: grid.num_parameters((first, case[0])))[0]
    at_largest = {case: terms for case, terms in cases.items() if case[0] == largest}
    effect = _mean(at_largest)
    what = f"Gap, tuning minus prompts, at {human(largest)}"
    if not falls.tests:
        return replace(falls, detail=f"{falls.detail} {what}: {effect}.")
    alike = Evidence(what, effect, margin=_margin(at_largest))
    return replace(falls, tests=[*falls.tests, alike])


def shrinks(
    question: str, what: str, grid: Grid, weights: Mapping[str, float], paper: str
) -> Claim:
    """A weighted sum of series falls with the logarithm of the parameters.

    Over all sizes that can say so.
    """
    known, ends = _enough(weighted(grid, weights)), ends_of(grid, weights)
    seeded = {model for model, _ in known}
    left_out = {
        model: ends.get(model, "" if model in seeded else "there are too few seeds")
        for model in grid.models
    }
    models = [model for model, why in left_out.items() if not why]
    if len(models) < MIN_SIZES:
        reasons = "; ".join(f"at {human(model)} {why}" for model, why in left_out.items() if why)
        needed = f"a trend needs {MIN_SIZES} sizes, and {len(models)} of {len(left_out)} are usable"
        why_not = f"{needed} ({reasons})" if known else FEW
        detail = by_model(what, known)  # whose marks the reason has
        return Claim(question, paper, detail=detail, why_not=why_not, tasks=_tasks(known))
    tasks = set.intersection(*({t for m, t in known if m == model} for model in models))
    sizes: dict[float, Terms] = {
        grid.num_parameters((next(iter(weights)), model)): [
            (weight / len(tasks), cell)
            for task in sorted(tasks)
            for weight, cell in known[model, task]
        ]
        for model in models
    }
    test = Evidence(f"{what}, per factor of ten of the parameters", trend(sizes), sign=-1)
    detail = by_model(what, known, ends)
    return Claim(question, paper, [test], detail, tasks=[*map(human, sorted(tasks))])


def weighted(grid: Grid, weights: Mapping[str, float]) -> dict[Case, Terms]:
    """A weighted sum of series, wherever all of them were run."""
    arms = [(weight, grid.cells(series)) for series, weight in weights.items()]
    return {
        case: [(weight, cells[case]) for weight, cells in arms]
        for case in arms[0][1]
        if all(case in cells for _, cells in arms)
    }


def by_model(what: str, cases: Mapping[Case, Terms], ends: Mapping[str, str] | None = None) -> str:
    """A value model by model, the mean over its cases; models at an end are marked as such."""
    if not cases:
        return ""
    values: dict[str, list[float]] = {}
    for (model, _), terms in cases.items():
        values.setdefault(model, []).append(sum(weight * fmean(cell) for weight, cell in terms))
    marks = {model: f" ({end})" for model, end in (ends or {}).items()}
    listed = ", ".join(
        f"{human(model)} {fmean(each):+.1f}{marks.get(model, '')}" for model, each in values.items()
    )
    return f"{what}, model by model: {listed}."


def ends_of(grid: Grid, arms: Iterable[str]) -> dict[str, str]:
    """The models at which an arm is at the floor or the ceiling, and which arm at which."""
    found = {}
    for model in grid.models:
        ends: dict[str, list[str]] = {}
        for arm in arms:
            if end := grid.at_an_end(arm, model):
                name = f"with {arm}" if arm.isdigit() else human(arm.partition(",")[0])
                ends.setdefault(END[end], []).append(name)
        if ends:
            listed = (f"{end}: {' and '.join(names)}" for end, names in ends.items())
            found[model] = ", ".join(listed)
    return found


def _tasks(cases: Iterable[Case]) -> list[str]:
    """Names of the tasks of some cases; a transfer has two."""
    return [*dict.fromkeys(" to ".join(map(human, task.split())) for _, task in cases)]


def _mean(cases: Mapping[Case, Terms]) -> Effect:
    """The mean of a value over its cases."""
    return combination([(w / len(cases), cell) for terms in cases.values() for w, cell in terms])


def _margin(cases: Iterable[Case]) -> float:
    """Within which their mean is nothing."""
    return MARGIN if len({task for _, task in cases}) > 1 else MARGIN_OF_ONE_TASK


def _enough(cases: Mapping[Case, Terms]) -> dict[Case, Terms]:
    return {
        case: terms
        for case, terms in cases.items()
        if min(len(cell) for _, cell in terms) >= MIN_SEEDS
    }


@dataclass(frozen=True)
class Papers:
    """The paper's own effects, out of the points of one of its figures."""

    figure: str
    sizes: Sequence[str] = SIZES

    def gap(self, first: str, second: str, *, margin: float | None = None) -> str:
        """One curve minus another, the mean over sizes; and whether that is outside a margin."""
        gaps = [gap for _, gap in self._gaps(first, second)]
        where = f"mean of {len(gaps)} sizes" if len(gaps) > 1 else f"T5 {human(self.sizes[0])}"
        outside = margin is not None and abs(fmean(gaps)) > margin
        return f"{fmean(gaps):+.1f} ({where})" + (
            f", its own effect beyond {margin:g} points too" if outside else ""
        )

    def trend(self, first: str, second: str) -> str:
        """How that changes with size, and what is left at the largest."""
        gaps = self._gaps(first, second)
        slope = trend({parameters: [(1.0, [gap])] for parameters, gap in gaps}).value
        return f"{slope:+.1f} per factor of ten; {gaps[-1][1]:+.1f} at {human(self.sizes[-1])}"

    def _gaps(self, first: str, second: str) -> list[tuple[float, float]]:
        points = published_scores(self.figure)
        both = [(points[first, size], points[second, size]) for size in self.sizes]
        return [(one.num_parameters, one.mean - two.mean) for one, two in both]
