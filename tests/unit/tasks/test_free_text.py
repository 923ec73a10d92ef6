"""SQuAD's padding, MRQA's and SQuAD's files, ReCoRD's and DPR's records."""

import string

import pytest

from prompt_tuning.task_registry import TASKS
from prompt_tuning.tasks import RowError
from prompt_tuning.tasks.record import join_highlights
from prompt_tuning.tasks.squad import pad_punctuation


@pytest.mark.parametrize(
    ("text", "padded"),
    [
        ('"Is  it (1845-1986)?"', ' " Is it ( 1845 - 1986 ) ? " '),
        ("x".join(string.punctuation), f" {' x '.join(string.punctuation)} "),
        ("snake_case a.b", "snake _ case a . b"),
        ("Beyonc\u00e9\u2019s \u2013", "Beyonc\u00e9\u2019s \u2013"),
        ("a\u00a0b", "a\u00a0b"),
        ("a\tb\nc\fd\re", "a b c d e"),
        ("a\x0bb", "a\x0bb"),
        ("\u5317\u4eac", "\u5317\u4eac"),
        ("  x ", " x "),
        ("", ""),
    ],
)
def test_punctuation_is_padded_as_re2_sees_it(text, padded):
    r"""RE2's `[[:punct:]]` and `\s` are ASCII: accents stay, \v and U+00A0 are not white space."""
    assert pad_punctuation(text) == padded


def test_a_question_without_answers_is_unlabelled():
    (example,) = TASKS["squad"].examples({"id": "1", "question": "q", "context": "c"})
    assert (example.targets, example.answers, example.is_labelled) == ("<unk>", (), False)


def test_squad_is_flattened_from_a_file_an_article_or_a_paragraph():
    questions = [{"id": str(i), "question": f"q{i}", "answers": []} for i in range(3)]
    paragraph = {"context": "c", "qas": questions}
    article = {"title": "t", "paragraphs": [paragraph, paragraph]}
    flatten = TASKS["squad"].flatten
    assert [row["id"] for row in flatten(paragraph)] == ["0", "1", "2"]
    assert len(flatten(article)) == 6
    assert len(flatten({"version": "1.1", "data": [article, article]})) == 12


@pytest.mark.parametrize(
    ("passage", "joined"),
    [
        ("a\n@highlight\nb", "a. b"),
        ("a.\n@highlight\nb?\n@highlight\nc!\n@highlight\nd", "a. b? c! d"),
        ("a\"\n@highlight\nb'\n@highlight\nc", "a\" b' c"),
        ("a,\n@highlight\nb", "a,. b"),
        ("a\n\n@highlight\n\nb", "a\n. \nb"),
        ("a @highlight b\n@highlight", "a @highlight b\n@highlight"),
    ],
)
def test_record_bullet_points_become_prose(passage, joined):
    assert join_highlights(passage) == joined


@pytest.mark.parametrize("span", [(5, 3), (-2, 1), (2, 1), (3, 3)])
def test_an_entity_of_record_is_a_part_of_the_text(span):
    entities = [dict(zip(("start", "end"), span, strict=True))]
    record = {"idx": 1, "passage": {"text": "abc", "entities": entities}, "qas": []}
    with pytest.raises(RowError, match=r"entity .* is not in the text"):
        TASKS["record"].flatten(record)


def test_a_record_of_record_has_a_row_per_query_with_answers_or_without():
    answers = [{"text": "Rome"}]
    queries = [{"query": "q", "idx": 4, "answers": answers}, {"query": "r", "idx": 5}]
    record = {"idx": 1, "passage": {"text": "Rome", "entities": []}, "qas": queries}
    assert [
        (row["query"], row["answers"], row["idx"]) for row in TASKS["record"].flatten(record)
    ] == [
        ("q", ["Rome"], {"passage": 1, "query": 4}),
        ("r", [], {"passage": 1, "query": 5}),
    ]


@pytest.mark.parametrize(
    ("sentence", "pronoun", "marked"),
    [
        ("Then he ran.", "he", "Then *he* ran."),
        ("He saw he, then he.", "he", "He saw *he*, then he."),
        ("It was he.", "he", "It was *he*."),
        ("She said he's late, he did.", "he", "She said he's late, *he* did."),
        ("He ran", "He", "He ran"),
    ],
)
def test_dpr_marks_the_first_pronoun_between_a_space_and_a_space_full_stop_or_comma(
    sentence, pronoun, marked
):
    row = {"sentence": sentence, "pronoun": pronoun, "candidates": ["a", "b"], "label": 0}
    (example,) = TASKS["dpr"].examples(row)
    assert example.inputs == marked
