"""Mixtures are made of the package's own tasks, and the paper's is the paper's."""

import pytest

from prompt_tuning.task_registry import MIXTURES, TASKS
from prompt_tuning.tasks import SUPERGLUE


@pytest.mark.parametrize("mixture", MIXTURES.values(), ids=lambda mixture: mixture.name)
def test_a_mixture_is_made_of_tasks_each_once_and_with_a_name_of_t5s(mixture):
    """Else one model could not tell them apart; WSC and DPR share one, as in T5."""
    names = [task.name for task in mixture.trained]
    assert [TASKS[name] for name in names] == [*mixture.scored, *mixture.unscored]
    assert len({*names}) == len(names) and mixture.scored
    assert mixture.name not in TASKS  # `task=` takes both kinds
    prefixes = [task.t5_prefix for task in mixture.trained]
    assert all(prefixes)
    assert len({*prefixes}) == len(names) - ("dpr" in names)


def test_the_papers_mixture_scores_superglue_and_trains_on_dpr_too():
    """Footnote 4 of the paper; a score on DPR would make the mean one of nine tasks."""
    assert SUPERGLUE == ("boolq", "cb", "copa", "multirc", "record", "rte", "wic", "wsc")
    assert [task.name for task in MIXTURES["superglue"].unscored] == ["dpr"]


def test_the_mini_mixture_is_embedded_and_its_answers_are_classes():
    mixture = MIXTURES["mini_superglue"]
    assert all(task.verbalizers and task.is_embedded for task in mixture.trained)
    assert not mixture.unscored
