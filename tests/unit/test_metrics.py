"""The class metrics against scikit-learn, which T5 computes them with; SQuAD's by hand."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from prompt_tuning.metrics import METRICS, normalise, word_f1

Classes = list[int]


def compute(name, predictions, references):
    return METRICS[name]().compute(predictions=predictions, references=references)


def binary_f1(references, predictions):
    """T5 sets an invalid prediction to the opposite of its reference: wrong in both ways."""
    valid = [1 - r if p == -1 else p for p, r in zip(predictions, references, strict=True)]
    return float(f1_score(references, valid, zero_division=0))


def macro_f1(references, predictions):
    """Small samples make classes that never occur, which count as 0; -1 is a fourth class."""
    labels = range(3)
    return float(f1_score(references, predictions, labels=labels, average="macro", zero_division=0))


def macro_f1_of_what_occurs(references, predictions):
    """An answer that names no class is no class."""
    labels = sorted({*references, *predictions} - {-1})
    return float(f1_score(references, predictions, labels=labels, average="macro", zero_division=0))


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(
    ("name", "num_classes", "expected"),
    [
        ("accuracy", 3, accuracy_score),
        ("mean_3class_f1", 3, macro_f1),
        ("macro_f1", 3, macro_f1_of_what_occurs),
        ("f1", 2, binary_f1),
        ("f1a", 2, binary_f1),
    ],
)
def test_a_class_metric_is_scikit_learns(name, num_classes, expected, seed):
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, 60))
    references = rng.integers(0, num_classes, size).tolist()
    for lowest in (0, -1):  # without and with predictions that named no class
        predictions = rng.integers(lowest, num_classes, size).tolist()
        found = compute(name, predictions, references)
        assert found == {name: pytest.approx(100 * expected(references, predictions))}


@pytest.mark.parametrize(
    ("name", "predictions", "references", "expected"),
    [
        # one hit; the first -1 misses a 1, the second counts as a false 1: P = 1/2, R = 1/2
        ("f1", [1, -1, -1, 0], [1, 1, 0, 0], {"f1": 50.0}),
        ("f1", [0, 0], [0, 0], {"f1": 0.0}),
        ("mean_3class_f1", [0, 1], [0, 1], {"mean_3class_f1": 200 / 3}),
        # of "the" and "a" no word is left: an exact match that shares none, as in T5
        ("squad", ["the"], [["a"]], {"f1": 0.0, "exact_match": 100.0}),
        (  # each score is the best over the answers
            "squad",
            ["big red dog"],
            [["cat", "red dog", "a big red dog house"]],
            {"f1": 100 * 6 / 7, "exact_match": 0.0},
        ),
        # targets are padded ("1889 ) "), and predictions come without the last space
        ("squad", ["in 1889 )"], [["in 1889 ) "]], {"f1": 100.0, "exact_match": 100.0}),
        ("squad", [""], [["x"]], {"f1": 0.0, "exact_match": 0.0}),
        ("exact_text", ["Eve", "eve", "Eve "], [["Eve"]] * 3, {"accuracy": 100 / 3}),
    ],
)
def test_metrics_by_hand(name, predictions, references, expected):
    assert compute(name, predictions, references) == pytest.approx(expected)


def test_exact_match_needs_every_answer_of_a_question():
    """Groups are the question's, wherever its answers stand; invalid predictions fail them."""
    references = [{"label": 1, "group": group} for group in "abaccd"]
    score = compute("exact_match_by_question", [1, 1, 0, 1, 1, -1], references)
    assert score == {"exact_match": pytest.approx(50.0)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The  Tower, of (an) A!", "tower of"),
        ("it ' s", "it s"),
        ("it's", "its"),
        ("another theatre", "another theatre"),
        ("the", ""),
        ("\u2014 caf\u00e9\u00a0x", "\u2014 caf\u00e9 x"),
        ("a_b", "ab"),
    ],
)
def test_normalisation_drops_case_ascii_punctuation_and_articles(text, expected):
    assert normalise(text) == expected


def test_word_f1_counts_each_word_as_often_as_both_have_it():
    # shared: x, x, y; 3 of 4 predicted and 3 of 5 expected words
    assert word_f1("x x y z", "x x x y w") == pytest.approx(2 * 3 / (4 + 5))
    assert word_f1("", "") == 0.0


def test_a_metric_makes_no_folder_of_a_cache(monkeypatch):
    """The library makes one below HOME, which a container or a cluster may not let us write."""
    monkeypatch.setattr("evaluate.config.HF_METRICS_CACHE", "/dev/null/metrics")
    assert compute("accuracy", [1], [1]) == {"accuracy": 100.0}


def test_a_metric_says_what_it_is_and_where_it_is_from():
    for name, metric in METRICS.items():
        assert "Source:" in metric().description, name
        assert "arxiv.org" in metric().citation, name
