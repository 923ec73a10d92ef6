"""Votes on literal answers: pluralities, ties, what is no answer, agreement and calibration."""

from dataclasses import replace

import pytest

from prompt_tuning.ensembling.voting import (
    Ballot,
    Vote,
    agreement,
    ballots_of,
    calibration,
    columns,
    normaliser,
    tie_order,
    vote,
)
from prompt_tuning.metrics import Scores, is_right, score
from prompt_tuning.task_registry import TASKS
from prompt_tuning.tasks import Example

BOOLQ = Example("q", "True", idx=0, label=1)
WSC = Example("s", "The trophy", idx=0, label=1)
TOWER = Example("q", "the Eiffel Tower", idx={"passage": 0, "query": 0}, answers=("Eiffel Tower",))


def voted(task, example, answers, order=None):
    """The text that is scored, and the vote."""
    ballots = [ballots_of(TASKS[task], [example], [answer])[0] for answer in answers]
    found = vote(ballots, order or [*range(len(answers))])
    return answers[found.winner], found


@pytest.mark.parametrize(
    ("task", "example", "answers", "won", "num_votes"),
    [
        ("boolq", BOOLQ, ["False", "True", "True", "False", "True"], "True", 3),
        ("record", TOWER, ["Paris", "the Eiffel Tower.", "eiffel tower"], "the Eiffel Tower.", 2),
        ("mini_squad", TOWER, ["The  tower", "x", "tower !"], "The  tower", 2),
        ("mrqa_drop", TOWER, ["a", "1889", "The 1889"], "1889", 2),
        ("mini_squad", TOWER, ["x", ".", "", "the"], ".", 3),
        ("wsc", WSC, ["suitcase", "his trophy", "The Trophy"], "his trophy", 2),
        ("dpr", TOWER, ["the Tower", "the tower", "the tower"], "the tower", 2),
    ],
)
def test_most_votes_win_on_the_answer_that_the_task_compares(
    task, example, answers, won, num_votes
):
    """The text of the first prompt in the group is scored, as it was written."""
    text, found = voted(task, example, answers)
    assert (text, found.num_votes, found.is_tied) == (won, num_votes, False)


def test_case_and_articles_make_classes_no_answer():
    """T5 compares verbalizers to the letter, and a vote must not be kinder than the metric."""
    text, _ = voted("boolq", BOOLQ, ["true", "the True", "False", "TRUE"])
    assert text == "False"
    assert normaliser(TASKS["boolq"])("the True") == "the True"


def test_a_tie_goes_to_the_group_of_the_prompt_that_comes_first():
    answers = ["maybe", "False", "True", "True", "False"]
    assert voted("boolq", BOOLQ, answers) == ("False", Vote(1, 2, is_tied=True))
    assert voted("boolq", BOOLQ, answers, [3, 0, 1, 2, 4]) == ("True", Vote(2, 2, is_tied=True))


def test_best_orders_prompts_by_the_score_they_were_chosen_by():
    assert tie_order("first", [1.0, 3.0, None]) == [0, 1, 2]
    assert tie_order("best", [1.0, 3.0, 2.0, 3.0]) == [1, 3, 2, 0]


def test_what_is_no_answer_votes_under_its_text_and_loses_ties():
    """Two prompts that say the same nonsense do outvote one that says a class."""
    assert voted("boolq", BOOLQ, ["yes", "True"])[0] == "True"
    assert voted("boolq", BOOLQ, ["yes", "no", "True"]) == ("True", Vote(2, 1, is_tied=True))
    assert voted("boolq", BOOLQ, ["yes", "True", "yes"])[0] == "yes"
    assert voted("wsc", WSC, ["", "The trophy"])[0] == "The trophy"
    assert voted("record", TOWER, [" ", "Paris"])[0] == "Paris"


def test_agreement_and_kappa_of_a_case_worked_by_hand():
    """3 prompts, 2 examples: AAB agrees in 1 of 3 pairs, BBB in all; p(A) = 1/3, p(B) = 2/3."""
    a, b = Ballot("A", is_legal=True), Ballot("B", is_legal=True)
    found = agreement([[a, b], [a, b], [b, b]])
    kappa = (2 / 3 - 5 / 9) / (1 - 5 / 9)
    assert found == pytest.approx({"pairwise": 2 / 3, "unanimous": 0.5, "kappa": kappa})
    assert agreement([[a, a], [a, a]]) == {"pairwise": 1.0, "unanimous": 1.0, "kappa": None}
    assert agreement([[a, b], [b, a]])["kappa"] == pytest.approx(-1.0)


def test_calibration_sets_the_share_of_votes_against_the_share_of_right_answers():
    """5 of 5 votes and 3 of 4 right: off by 1/4; 3 of 5 votes and 1 of 1 right: off by 2/5."""
    examples = [*[BOOLQ] * 5, Example("q", "<unk>", idx=0)]
    answers = ["True", "True", "True", "False", "True", "True"]
    votes = [*[Vote(0, 5, is_tied=False)] * 4, *[Vote(0, 3, is_tied=False)] * 2]
    found = calibration(TASKS["boolq"], examples, answers, votes, num_prompts=5)
    assert found is not None
    assert [[*each.values()] for each in found["bins"]] == [[3, 1, 1], [5, 4, 3]]
    assert found["error"] == pytest.approx((4 * 0.25 + 1 * 0.4) / 5)
    assert calibration(TASKS["boolq"], examples[-1:], ["True"], votes[-1:], 5) is None


def test_the_best_is_that_of_each_metric_by_itself():
    """As the paper's table has it: no prompt of the two has both of its best numbers."""
    low, high = (Scores({"f1a": a, "exact_match": e}, 0.0, 9, 0) for a, e in ((50, 40), (70, 20)))
    vote = Scores({"f1a": 80.0, "exact_match": 60.0}, 70.0, 9, 1)
    found = columns(TASKS["multirc"], [low, high], vote)
    assert found["average"].metrics == {"f1a": 60.0, "exact_match": 30.0}
    assert found["best"].metrics == {"f1a": 70.0, "exact_match": 40.0}
    assert [each.score for each in found.values()] == [45.0, 55.0, 70.0]
    squad = {"f1": 80.0, "exact_match": 60.0}
    of_squad = columns(TASKS["squad"], [Scores(squad, 80.0, 9, 0)], Scores(squad, 80.0, 9, 0))
    assert of_squad["average"].score == 80.0  # SQuAD's score is its F1
    unlabelled = Scores({}, None, 0, 0)
    assert columns(TASKS["boolq"], [unlabelled], unlabelled) == {"ensemble": unlabelled}


@pytest.mark.parametrize(
    ("task", "example", "prediction", "key"),
    [
        ("boolq", BOOLQ, "True", "accuracy"),
        ("boolq", BOOLQ, "true", "accuracy"),
        ("wsc", WSC, "trophy", "accuracy"),
        ("wsc", WSC, "suitcase", "accuracy"),
        ("wsc", Example("s", "The trophy", idx=0, label=0), "", "accuracy"),
        ("record", TOWER, "The Eiffel Tower!", "exact_match"),
        ("squad", TOWER, "Tower", "exact_match"),
        ("squad", TOWER, "", "exact_match"),
        ("squad", Example("q", "the", idx=0, answers=("the",)), "", "exact_match"),
        ("dpr", TOWER, "eiffel tower", "accuracy"),
        ("dpr", TOWER, "Eiffel Tower", "accuracy"),
    ],
)
def test_an_answer_is_right_where_its_own_metric_says_so(task, example, prediction, key):
    of_metric = score(TASKS[task], [example], [prediction]).metrics[key]
    assert 100 * is_right(TASKS[task], example, prediction) == of_metric


@pytest.mark.parametrize(
    ("task", "example", "right", "wrong"),
    [("boolq", BOOLQ, "True", "true"), ("dpr", TOWER, "Eiffel Tower", "eiffel tower")],
)
def test_under_a_metric_of_the_users_answers_are_compared_to_the_letter(
    task, example, right, wrong
):
    """A folder for `evaluate`: it scores all answers together, and says nothing of one."""
    own = replace(TASKS[task], metrics=("./share_right",))
    assert [ballot.answer for ballot in ballots_of(own, [example], [wrong])] == [wrong]
    assert is_right(own, example, right) and not is_right(own, example, wrong)
