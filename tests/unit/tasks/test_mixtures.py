"""Mixtures are made of the package's own tasks, and the paper's is the paper's."""

import pytest

from prompt_tuning.task_registry import MIXTURES, TASKS
from prompt_tuning.tasks import SUPERGLUE, Mixture

every_mixture = pytest.mark.parametrize("mixture", MIXTURES.values(), ids=lambda m: m.name)


def test_names_are_keys_and_no_tasks() -> None:
    """`task=` takes both kinds."""
    assert all(name == mixture.name for name, mixture in MIXTURES.items())
    assert not {*MIXTURES} & {*TASKS}


@every_mixture
def test_a_mixture_is_made_of_tasks_each_once(mixture: Mixture) -> None:
    names = [task.name for task in mixture.trained]
    assert [TASKS[name] for name in names] == [*mixture.scored, *mixture.unscored]
    assert len({*names}) == len(names) and mixture.scored


def test_the_papers_mixture_scores_superglue_and_trains_on_dpr_too() -> None:
    """Footnote 4 of the paper; a score on DPR would make the mean one of nine tasks."""
    mixture = MIXTURES["superglue"]
    assert tuple(task.name for task in mixture.scored) == SUPERGLUE
    assert [task.name for task in mixture.unscored] == ["dpr"]


def test_the_mini_mixture_is_embedded_and_its_answers_are_classes() -> None:
    mixture = MIXTURES["mini_superglue"]
    assert all(task.verbalizers and task.is_embedded for task in mixture.trained)
    assert not mixture.unscored


@every_mixture
def test_the_tasks_of_a_mixture_have_t5s_names(mixture: Mixture) -> None:
    """Else one model could not tell them apart; WSC and DPR share one, as in T5."""
    prefixes = {task.name: task.t5_prefix for task in mixture.trained}
    assert all(prefixes.values())
    assert len({*prefixes.values()}) == len(prefixes) - ("dpr" in prefixes)
