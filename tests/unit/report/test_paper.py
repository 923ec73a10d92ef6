"""Published numbers as they were read, exact counts, verdicts on both sides of the tolerance."""

from collections import Counter

import pytest

from prompt_tuning.report import parameter_counts
from prompt_tuning.report.paper import (
    MISPRINT,
    Published,
    Tolerances,
    published_rows,
    published_scores,
    tolerances,
)
from prompt_tuning.report.parameter_counts import TABLE4
from prompt_tuning.report.statistics import Spread

RULE = Tolerances(min_seeds=3, min_points=2.0, num_deviations=2.0, max_points=10.0)


def test_a_wrong_count_is_off(monkeypatch):
    monkeypatch.setattr(parameter_counts, "VOCABULARY_ROWS", 32_100)
    verdicts = Counter(count.verdict for count in TABLE4.counts())
    assert verdicts == {"match": 29, MISPRINT: 1, "off": 30}


def test_every_point_of_the_figures_is_there():
    numbers = Counter(row["artefact"] for row in published_rows("scores"))
    assert numbers == {"fig1": 23, "fig3a": 25, "fig3b": 15, "fig3c": 15, "fig3d": 20}
    figure = published_scores("fig1")
    assert figure["prompt_tuning", "xxl"] == Published(89.98, 0.25, 11_135_332_352)
    assert figure["gpt3_few_shot", "gpt3_175B"] == Published(73.2, None, 175_000_000_000)
    assert published_scores("fig3d")["0", "xl"].mean == 7.95
    assert len(published_rows("table5")) == 15
    assert tolerances() == RULE


@pytest.mark.parametrize(
    ("paper", "ours", "verdict"),
    [
        (Published(60.0, 0.1, 1), Spread(62.0, 0.1, 3), "match"),  # at the smallest band
        (Published(60.0, 0.1, 1), Spread(62.1, 0.1, 3), "off"),
        (Published(60.0, 3.0, 1), Spread(70.0, 4.0, 3), "match"),  # 2 * 5 points
        (Published(60.0, 3.0, 1), Spread(70.1, 4.0, 3), "off"),
        (Published(60.0, 3.0, 1), Spread(71.0, 40.0, 3), "off"),  # noise is no way to match
        (Published(60.0, 3.0, 1), Spread(60.0, 1.0, 2), "too few seeds"),
        (Published(60.0, 3.0, 1), None, "-"),
        (None, Spread(60.0, 1.0, 3), "-"),
        (Published(60.0, None, 1), Spread(61.0, 0.2, 3), "match"),
    ],
)
def test_a_verdict(paper, ours, verdict):
    assert RULE.verdict(paper, ours) == verdict


def test_a_spread_is_the_sample_deviation():
    """60, 70 and 86: mean 72; squared differences 144, 4, 196 make 344 / 2 = 172, of root 13.11."""
    assert str(Spread.of([60.0, 70.0, 86.0])) == "72.0 ± 13.1 (3)"
    assert str(Spread.of([60.0])) == "60.0 ± - (1)"
    assert Spread.of([]) is None
