"""From predicted texts to a task's scores."""

import itertools

import pytest

from prompt_tuning.errors import UserError
from prompt_tuning.metrics import METRICS, Scores, score
from prompt_tuning.task_registry import TASKS
from prompt_tuning.tasks import Example
from prompt_tuning.tasks.own import CLASS_METRICS, TEXT_METRICS


def labelled(*labels):
    return [Example("", "", idx=i, label=label) for i, label in enumerate(labels)]


def test_every_metric_of_every_task_exists():
    ours = {name for task in TASKS.values() for name in task.metrics}
    assert ours | {*CLASS_METRICS, *TEXT_METRICS} == set(METRICS)


def test_an_unparseable_answer_is_wrong_and_counted():
    scores = score(TASKS["rte"], labelled(0, 1, 0), ["entailment", "maybe", ""])
    assert scores == Scores({"accuracy": pytest.approx(100 / 3)}, pytest.approx(100 / 3), 3, 2)


def test_the_score_is_the_mean_of_the_metrics():
    """Section 3: a data set with several metrics is represented by their mean."""
    verbalizers = TASKS["cb"].verbalizers
    scores = score(TASKS["cb"], labelled(0, 1, 1), [verbalizers[0], verbalizers[1], "?"])
    assert list(scores.metrics) == ["mean_3class_f1", "accuracy"]
    assert scores.metrics["mean_3class_f1"] == pytest.approx(100 * (1 + 2 / 3 + 0) / 3)
    assert scores.score == pytest.approx(sum(scores.metrics.values()) / 2)


def test_squad_is_selected_by_f1_alone():
    """Section 5 chooses checkpoints by F1, not by the mean of F1 and exact match."""
    for name in ("squad", "mrqa_race"):
        scores = score(TASKS[name], [Example("", "x y", 0, answers=("x y",))], ["x"])
        assert scores.metrics == {"f1": pytest.approx(100 * 2 / 3), "exact_match": 0.0}
        assert scores.score == scores.metrics["f1"]


def test_a_question_of_multirc_is_one_of_its_paragraph():
    """Files of other makers number the questions of each paragraph from 0; one of 4 is wrong."""
    examples = [
        Example("", "", {"paragraph": paragraph, "question": question}, label=1)
        for paragraph, question, _answer in itertools.product(range(2), repeat=3)
    ]
    scores = score(TASKS["multirc"], examples, ["False"] + ["True"] * 7)
    assert scores.metrics == {"f1a": pytest.approx(100 * 14 / 15), "exact_match": 75.0}


@pytest.mark.parametrize("idx", [None, {"paragraph": 0}, {"paragraph": 0, "question": None}])
def test_multirc_without_question_numbers_is_refused(idx):
    with pytest.raises(UserError, match="does not say which question"):
        score(TASKS["multirc"], [Example("", "", idx, label=1)], ["True"])


def test_record_examples_of_one_query_are_scored_once():
    examples = [
        Example("", "", {"passage": 0, "query": query}, answers=("Roma", "Rome"))
        for query in (0, 0, 1)
    ]
    scores = score(TASKS["record"], examples, ["rome", "Milan", ""])
    assert scores == Scores({"f1": 50.0, "exact_match": 50.0}, 50.0, 3, 1)


def test_wsc_never_answering_scores_the_share_of_false_labels():
    """A sentence that matches no referent is 0, the right answer for 66 of 104 dev rows."""
    examples = [Example("", "Ann", idx=i, label=label) for i, label in enumerate([0, 0, 1])]
    assert score(TASKS["wsc"], examples, ["x"] * 3).metrics["accuracy"] == pytest.approx(200 / 3)
    assert score(TASKS["wsc"], examples, [""] * 3).metrics["accuracy"] == 0.0


def test_unlabelled_examples_are_not_scored():
    assert score(TASKS["rte"], labelled(None, None), ["entailment"] * 2) == Scores({}, None, 0, 0)
    assert score(TASKS["rte"], labelled(None, 0), ["", "entailment"]).num_examples == 1


def test_a_missing_prediction_is_refused():
    with pytest.raises(ValueError, match="shorter"):
        score(TASKS["rte"], labelled(0, 1), ["entailment"])
