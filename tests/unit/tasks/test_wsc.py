"""WSC as T5 casts it: marking the pronoun, the loose match, and the repair of official spans."""

import pytest

from prompt_tuning.task_registry import TASKS
from prompt_tuning.tasks import Example, RowError
from prompt_tuning.tasks.wsc import PEBBLE, PONY

WSC = TASKS["wsc"]


def row(text, index, pronoun, **more):
    return {"text": text, "span1_text": "Ann", "span2_text": pronoun, "span2_index": index} | more


def inputs_of(wsc_row):
    (example,) = WSC.examples(wsc_row)
    return example.inputs


@pytest.mark.parametrize(
    ("text", "index", "pronoun", "inputs"),
    [
        ("it is it , not it .", 2, "it", "it is *it* , not it ."),
        # Words as of `tf.strings.split(sep=" ")`: two spaces make an empty one, a tab makes none.
        ("Ann\tsaw  her .", 2, "her", "Ann\tsaw  *her* ."),
        ("Ann saw her", 2, "her", "Ann saw *her* "),  # one at the end leaves a space
        # T5 puts X in place of the pronoun and then replaces every " X ".
        ("Plan X is what she has .", 4, "she", "Plan *she* is what *she* has ."),
    ],
)
def test_the_pronoun_is_marked_where_the_index_points(text, index, pronoun, inputs):
    assert inputs_of(row(text, index, pronoun)) == inputs


@pytest.mark.parametrize("index", [0, 3, 9, -1])
def test_an_index_that_t5_asserts_against_is_refused(index):
    with pytest.raises(RowError, match=r"span2_index .* is not in 1\.\.2"):
        inputs_of(row("Ann saw her", index, "her"))


def test_a_word_that_is_not_the_pronoun_is_refused():
    with pytest.raises(RowError, match="word 1 is 'saw', not span2_text 'her'"):
        inputs_of(row("Ann saw her", 1, "her"))


def test_two_sentences_are_blanked_by_hand():
    """Their span2_index is wrong in the official files (train 137, 453, 533; val 42)."""
    assert inputs_of(row(PONY, 22, "him")) == (
        "The boy continued to whip the pony , and eventually the pony threw him over. "
        'John laughed out quite loud. "Good for *him* ," he said.'
    )
    assert inputs_of(row(PEBBLE, 30, "it")) == (
        "When they had eventually calmed down a bit , and had gotten home, Mr. Farley put the "
        "magic pebble in an iron safe . Some day they might want to use *it* , but really for "
        "now, what more could they wish for?"
    )


def test_training_keeps_the_rows_whose_phrase_is_the_referent_and_evaluation_all():
    """259 of 554 (the paper's Table 7)."""
    for label, num_trained in ((1, 1), (0, 0), (-1, 0)):
        labelled = row("Ann saw her", 2, "her", label=label)
        assert len(WSC.examples(labelled, training=True)) == num_trained
        (example,) = WSC.examples(labelled)
        assert (example.targets, example.label) == ("Ann", None if label == -1 else label)


@pytest.mark.parametrize(
    ("prediction", "referent", "expected"),
    [
        ("fuzzy bunny", "bunny", 1),
        ("bunny", "The fuzzy bunny", 1),
        ("bunny fuzzy", "fuzzy bunny", 1),
        ("fuzzy cat", "fuzzy bunny", 0),
        ("hat", "Bob's hat", 0),
        ("Bob's hat", "hat", 0),
        ("Bob's", "Bob's hat", 1),
        ("  THE Bunny ", "bunny", 1),
        ("my bunny", "your bunny", 1),
        ("bunny.", "bunny", 0),
        ("the  bunny", "bunny", 1),  # an empty word more: still a superset
        ("x  y", "y z", 0),
        ("", "bunny", None),
        (" \t", "bunny", None),
        ("the", "bunny", None),
    ],
)
def test_a_prediction_names_the_referent_loosely(prediction, referent, expected):
    assert WSC.parse(prediction, Example("", referent, 0, label=1)) == expected


def fixed(text, **spans):
    target = {"span1_text": "Ann", "span1_index": 0, "span2_text": "it", "span2_index": 2} | spans
    (flat,) = WSC.flatten({"text": text, "target": target, "idx": 0, "label": True})
    return flat


@pytest.mark.parametrize(
    ("text", "spans", "expected"),
    [
        ("the cake is it .", {"span1_text": "The cake"}, {"span1_text": "the cake"}),
        ("The cake is it .", {"span1_text": "the cake"}, {"span1_text": "The cake"}),
        ("The tape is it .", {"span1_text": "the tape."}, {"span1_text": "The tape"}),
        ("a b c is it", {"span1_text": "b\nc", "span1_index": 1}, {"span1_text": "b c"}),
        ("x it", {"span1_text": "Kamenev and Zinoviev"}, {"span1_text": "Kamenev and Zinoviev"}),
        (
            "x y z they theyscold",
            {"span1_text": "x", "span2_text": "theyscold.", "span2_index": 4},
            {"span2_text": "theyscold", "span2_index": 10},
        ),
    ],
)
def test_official_spans_become_quotes_of_the_text(text, spans, expected):
    """The rules of TFDS' `wsc.fixed`, which the hub's rows and T5 are built on."""
    flat = fixed(text, **spans)
    assert {key: flat[key] for key in expected} == expected


def test_a_span_that_cannot_be_repaired_is_refused():
    with pytest.raises(RowError, match="span1_text 'Eve' is not in the text"):
        fixed("Ann saw it .", span1_text="eve")
    with pytest.raises(RowError, match=r"span1_index 40 is not in 0\.\.3"):
        fixed("Ann saw it .", span1_text="eve", span1_index=40)


def test_a_determiner_alone_answers_nothing():
    """T5's list; words that are missing from it, such as "another", count."""
    determiners = (
        "a an few her his each every many much my our some that the their these this those which"
        " whose your"
    )
    for word in determiners.split():
        assert WSC.parse(word, Example("", "bunny", 0, label=1)) is None, word
    for word in ("another", "its", "no", "any"):
        assert WSC.parse(word, Example("", "bunny", 0, label=1)) == 0, word
