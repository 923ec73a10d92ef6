"""SQuAD's normalisation, F1 and exact match, by hand."""

import pytest

from prompt_tuning.metrics import METRICS, normalise, word_f1


def compute(name, predictions, references):
    return METRICS[name]().compute(predictions=predictions, references=references)


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


def test_word_f1_of_two_empty_texts_is_zero():
    """As in T5: "the" against "a" matches exactly, but shares no word."""
    assert word_f1("", "") == 0.0
    assert compute("squad", ["the"], [["a"]]) == {"f1": 0.0, "exact_match": 100.0}


def test_each_score_is_the_best_over_the_answers():
    scores = compute("squad", ["big red dog"], [["cat", "red dog", "a big red dog house"]])
    assert scores == {"f1": pytest.approx(100 * 6 / 7), "exact_match": 0.0}


def test_padded_punctuation_does_not_cost_an_exact_match():
    """Targets are padded ("1889 ) "), and predictions come without the trailing space."""
    assert compute("squad", ["in 1889 )"], [["in 1889 ) "]])["exact_match"] == 100.0


def test_an_empty_prediction_is_wrong():
    assert compute("squad", [""], [["x"]]) == {"f1": 0.0, "exact_match": 0.0}


def test_record_counts_a_query_once_and_the_first_time():
    references = [{"answers": ["Roma"], "group": g} for g in ("0/1", "0/1", "0/2")]
    scores = compute("squad_by_query", ["Roma", "Milan", "Milan"], references)
    assert scores == {"f1": 50.0, "exact_match": 50.0}


def test_exact_text_is_exact():
    scores = compute("exact_text", ["Eve", "eve", "Eve "], [["Eve"]] * 3)
    assert scores == {"accuracy": pytest.approx(100 / 3)}
