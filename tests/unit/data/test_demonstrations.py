"""Solved examples as text: the exact template, drawn by the seed, as many as fit."""

from prompt_tuning.data.demonstrations import draw, prompt_text, those_that_fit, with_prompt
from prompt_tuning.task_registry import TASKS
from prompt_tuning.tasks import Example


def example(number, words=1):
    return Example("in " * words + str(number), f"out{number}", idx=number)


def count(text):
    """A token a word."""
    return [0] * len(text.split())


def test_the_template_is_inputs_and_targets_to_the_letter():
    rows = [
        {"premise": "A dog ran home.", "hypothesis": "A dog ran.", "label": 0, "idx": 0},
        {"premise": "It rains.", "hypothesis": "It is dry.", "label": 1, "idx": 1},
        {"premise": "Ann sang.", "hypothesis": "Ann is mute.", "label": 1, "idx": 2},
    ]
    *shown, query = [e for row in rows for e in TASKS["rte"].examples(row)]
    (asked,) = with_prompt([query], prompt_text(shown))
    assert asked.inputs == (
        "hypothesis: A dog ran. premise: A dog ran home. entailment. "
        "hypothesis: It is dry. premise: It rains. not_entailment. "
        "hypothesis: Ann is mute. premise: Ann sang."
    )
    assert (asked.targets, asked.label, asked.idx) == (query.targets, query.label, query.idx)
    assert with_prompt([query], prompt_text([])) == [query]


def test_the_seed_draws_each_example_at_most_once_and_more_shots_add_to_fewer():
    examples = [example(i) for i in range(50)]
    eight = draw(examples, 8, seed=0)
    assert len({e.idx for e in eight}) == 8
    assert draw(examples, 8, seed=0) == eight
    assert draw(examples, 20, seed=0)[:8] == eight
    assert draw(examples, 8, seed=1) != eight
    assert [e.idx for e in eight] != sorted(e.idx for e in eight)
    assert sorted(e.idx for e in draw(examples, 99, seed=0)) == [*range(50)]


def test_as_many_as_fit_are_kept_and_one_too_long_is_passed_over():
    short, long = [example(i) for i in range(3)], example(9, words=20)  # of 3 words, and of 22
    drawn = [short[0], long, short[1], short[2]]
    assert those_that_fit(drawn, count, 9) == short
    assert those_that_fit(drawn, count, 8) == short[:2]
    assert those_that_fit(drawn, count, 25) == [short[0], long]
    assert those_that_fit(drawn, count, 2) == []
    assert those_that_fit(drawn, count, None) == drawn
