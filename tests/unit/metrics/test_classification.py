"""The class metrics against scikit-learn, which T5 computes them with, and by hand."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from prompt_tuning.metrics import METRICS


def compute(name, predictions, references):
    return METRICS[name]().compute(predictions=predictions, references=references)


def random_classes(seed, num_classes, lowest=0):
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, 60))
    predictions = rng.integers(lowest, num_classes, size)
    return predictions.tolist(), rng.integers(0, num_classes, size).tolist()


@pytest.mark.parametrize("seed", range(20))
def test_accuracy_is_scikit_learns(seed):
    predictions, references = random_classes(seed, 3, lowest=-1)
    expected = 100 * accuracy_score(references, predictions)
    assert compute("accuracy", predictions, references) == {"accuracy": pytest.approx(expected)}


@pytest.mark.parametrize("seed", range(20))
def test_the_macro_f1_of_three_classes_is_scikit_learns(seed):
    """Small samples make classes that never occur, which count as 0; -1 is a fourth class."""
    predictions, references = random_classes(seed, 3, lowest=-1)
    expected = 100 * f1_score(
        references, predictions, labels=range(3), average="macro", zero_division=0
    )
    assert compute("mean_3class_f1", predictions, references) == {
        "mean_3class_f1": pytest.approx(expected)
    }


@pytest.mark.parametrize("name", ["f1", "f1a"])
@pytest.mark.parametrize("seed", range(20))
def test_binary_f1_is_scikit_learns_on_valid_predictions(name, seed):
    predictions, references = random_classes(seed, 2)
    expected = 100 * f1_score(references, predictions, zero_division=0)
    assert compute(name, predictions, references) == {name: pytest.approx(expected)}


@pytest.mark.parametrize("name", ["f1", "f1a"])
@pytest.mark.parametrize("seed", range(20))
def test_an_invalid_prediction_counts_as_the_wrong_class(name, seed):
    """T5 sets it to the opposite of its reference: wrong for precision and for recall."""
    predictions, references = random_classes(seed, 2, lowest=-1)
    opposite = [1 - r if p == -1 else p for p, r in zip(predictions, references, strict=True)]
    expected = 100 * f1_score(references, opposite, zero_division=0)
    assert compute(name, predictions, references) == {name: pytest.approx(expected)}


def test_binary_f1_by_hand():
    # One hit; the first -1 misses a 1, the second counts as a false 1: P = 1/2, R = 1/2.
    assert compute("f1", [1, -1, -1, 0], [1, 1, 0, 0]) == {"f1": pytest.approx(50.0)}


def test_f1_without_any_positive_is_zero():
    assert compute("f1", [0, 0], [0, 0]) == {"f1": 0.0}


def test_a_class_that_never_occurs_counts_as_zero_in_the_macro_f1():
    score = compute("mean_3class_f1", [0, 1], [0, 1])["mean_3class_f1"]
    assert score == pytest.approx(200 / 3)


def test_exact_match_needs_every_answer_of_a_question():
    """Groups are the question's, wherever its answers stand; invalid predictions fail them."""
    groups = ["a", "b", "a", "c", "c", "d"]
    references = [{"label": 1, "group": group} for group in groups]
    score = compute("exact_match_by_question", [1, 1, 0, 1, 1, -1], references)
    assert score == {"exact_match": pytest.approx(50.0)}


def test_a_metric_says_what_it_is_and_where_it_is_from():
    for name, metric in METRICS.items():
        assert "Source:" in metric().description, name
        assert "arxiv.org" in metric().citation, name
