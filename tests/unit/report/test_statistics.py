"""The rule's statistics against scipy, statsmodels and worked examples."""

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.weightstats import ttost_ind

from prompt_tuning.report.statistics import (
    Answer,
    Effect,
    answer,
    combination,
    fails_to_learn,
    holm,
    spread_beyond_chance,
    trend,
    wilson,
)

FIRST = [71.0, 74.5, 69.2, 70.4, 73.1, 72.2, 70.9]
SECOND = [60.1, 65.9, 64.0, 58.8, 61.7, 63.3, 62.4, 60.6]


def difference_terms(first, second):
    """Of first minus second arm, the mean over their tasks."""
    share = 1 / len(first)
    return [*((share, cell) for cell in first.values()), *((-share, second[t]) for t in first)]


def difference(first, second):
    return combination(difference_terms(first, second))


def test_of_one_task_the_difference_is_welchs_test():
    effect = difference({"rte": FIRST}, {"rte": SECOND})
    welch = stats.ttest_ind(FIRST, SECOND, equal_var=False)
    interval = welch.confidence_interval(0.95)
    assert effect.two_sided_p() == pytest.approx(welch.pvalue)
    assert effect.df == pytest.approx(welch.df)
    assert (effect.low, effect.high) == pytest.approx((interval.low, interval.high))


def test_equivalence_is_two_one_sided_tests():
    first, second = np.array([80.1, 80.9, 79.6, 80.2]), np.array([80.5, 79.9, 80.3, 80.8])
    p, _, _ = ttost_ind(first, second, -2.0, 2.0, usevar="unequal")
    effect = difference({"rte": list(first)}, {"rte": list(second)})
    assert effect.equivalence_p(2.0) == pytest.approx(p)


def test_seeds_that_cancel_between_tasks_do_not_make_a_mean_certain():
    """The mean of each seed over both tasks is 75 every time; the tasks swing by 25."""
    swinging = {"a": [50.0, 100.0, 75.0], "b": [100.0, 50.0, 75.0]}
    steady = {"a": [75.0, 75.0, 75.0], "b": [75.0, 75.0, 75.0]}
    effect = difference(swinging, steady)
    assert effect.value == 0.0
    assert effect.error == pytest.approx(math.sqrt(2 * 25**2 / 3) / 2)


def test_one_seed_has_no_interval_and_equal_scores_are_certain():
    assert not difference({"a": [80.0]}, {"a": [70.0, 71.0]}).has_interval
    certain = combination([(1.0, [100.0, 100.0]), (-1.0, [50.0, 50.0])])
    assert (certain.value, certain.low, certain.high) == (50.0, 50.0, 50.0)
    assert certain.two_sided_p() == 0.0


def test_with_eight_seeds_a_cell_the_interval_is_the_stratified_bootstraps():
    rng = np.random.default_rng(1)
    first, second = rng.normal(70, 3, 10).tolist(), rng.normal(60, 3, 8).tolist()
    effect = difference({"a": first}, {"a": second})
    expected = stats.bootstrap(
        (first, second),
        lambda x, y, axis: x.mean(axis=axis) - y.mean(axis=axis),
        method="percentile",
        rng=2,
    ).confidence_interval
    assert effect.low == pytest.approx(expected.low, abs=0.15)
    assert effect.high == pytest.approx(expected.high, abs=0.15)


def test_a_trend_is_the_slope_per_decade_with_every_size_in_it():
    sizes = {1e5: 30.0, 1e6: 20.0, 1e7: 10.0}
    terms = {
        n: difference_terms({"a": [gap, gap + 2]}, {"a": [0.0, 2.0]}) for n, gap in sizes.items()
    }
    assert trend(terms).value == pytest.approx(-10.0)
    wiggling = {**terms, 1e6: difference_terms({"a": [90.0, 92.0]}, {"a": [0.0, 2.0]})}
    assert trend(wiggling).value == pytest.approx(-10.0)
    uneven = {1e5: [(1.0, [1.0, 3.0])], 3e5: [(1.0, [5.0, 6.0])], 4e6: [(1.0, [5.0, 9.0])]}
    places = np.log10(list(uneven))
    expected = stats.linregress(places, [2.0, 5.5, 7.0]).slope
    assert trend(uneven).value == pytest.approx(expected)


def test_the_spread_of_equal_arms_is_chance():
    """Three equal arms of three noisy seeds have a best and a worst too."""
    rng = np.random.default_rng(3)
    equal = {arm: {"a": rng.normal(80, 10, 3).tolist()} for arm in "xyz"}
    seen, chance, p = spread_beyond_chance(equal)
    assert chance > 5
    assert p > 0.05
    apart = {arm: {"a": [base, base + 1.0] * 6} for arm, base in (("x", 0), ("y", 50), ("z", 90))}
    seen, chance, p = spread_beyond_chance(apart)
    assert (seen, p) == (90.0, 1 / 10_001)  # no draw is as wide: what was seen is one that is


def test_failing_to_learn_is_what_guessing_could_give():
    assert fails_to_learn(50.0, 50.0, 800)
    assert fails_to_learn(52.9, 50.0, 800)
    assert not fails_to_learn(52.92, 50.0, 800)
    assert not fails_to_learn(0.1, 0.0, 800)


def test_intervals_of_counts_and_corrections_are_the_libraries():
    assert wilson(7, 15) == pytest.approx(proportion_confint(7, 15, method="wilson"))
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


@pytest.mark.parametrize(
    ("effect", "p", "expected"),
    [
        (Effect(5.0, 1.0, 8.0, 2.7, 7.3), 0.01, Answer.SUPPORTED),
        (Effect(-5.0, 1.0, 8.0, -7.3, -2.7), 0.01, Answer.CONTRADICTED),
        (Effect(5.0, 1.0, 8.0, 2.7, 7.3), 0.06, Answer.INCONCLUSIVE),
        (Effect(5.0), 0.0, Answer.NOT_TESTABLE),
    ],
)
def test_an_answer_follows_from_sign_and_corrected_p(effect, p, expected):
    assert answer(effect, p, sign=1, margin=None) is expected


@pytest.mark.parametrize(
    ("effect", "expected"),
    [
        (Effect(0.1, 0.2, 9, -0.4, 0.6), Answer.SUPPORTED),
        (Effect(9, 1, 9, 6, 12), Answer.CONTRADICTED),
        (Effect(0, 9, 9, -20, 20), Answer.INCONCLUSIVE),
    ],
)
def test_alike_is_shown_and_not_assumed(effect, expected):
    assert answer(effect, effect.equivalence_p(2), sign=1, margin=2) is expected
