"""From predicted texts to the scores of a task, and from task scores to SuperGLUE's average."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from prompt_tuning.errors import UserError
from prompt_tuning.metrics.base import OfflineMetric
from prompt_tuning.metrics.classification import (
    Accuracy,
    BinaryF1,
    ExactMatchByQuestion,
    F1a,
    Mean3ClassF1,
)
from prompt_tuning.metrics.question_answering import ExactText, Squad, SquadByQuery, normalise
from prompt_tuning.tasks import SUPERGLUE, Example, Task

METRICS: dict[str, type[OfflineMetric]] = {
    "accuracy": Accuracy,
    "mean_3class_f1": Mean3ClassF1,
    "f1": BinaryF1,
    "f1a": F1a,
    "exact_match_by_question": ExactMatchByQuestion,
    "exact_text": ExactText,
    "squad": Squad,
    "squad_by_query": SquadByQuery,
}


@dataclass(frozen=True)
class Scores:
    """The scores of one evaluation, in percent."""

    metrics: dict[str, float]  # by reported key; {} if no example is labelled
    score: float | None  # what chooses the best step: the mean of the task's `selection`
    num_examples: int  # labelled ones: the others cannot be scored
    num_unparseable: int  # predictions that were no answer: wrong, and counted


def score(task: Task, examples: Sequence[Example], predictions: Sequence[str]) -> Scores:
    """Scores one predicted text per example; examples without a label are left out."""
    scored = [(e, p) for e, p in zip(examples, predictions, strict=True) if e.is_labelled]
    if not scored:
        return Scores({}, None, 0, 0)
    parsed = [task.parse(prediction, example) for example, prediction in scored]
    metrics: dict[str, float] = {}
    for name in task.metrics:
        metric = METRICS[name]()
        no_answer = "" if metric.prediction.dtype == "string" else -1
        metrics |= metric.compute(
            predictions=[no_answer if p is None else p for p in parsed],
            references=[_REFERENCE[name](example) for example, _ in scored],
        )
    return Scores(
        metrics=metrics,
        score=fmean(metrics[key] for key in task.selection or metrics),
        num_examples=len(scored),
        num_unparseable=parsed.count(None),
    )


def is_right(task: Task, example: Example, prediction: str) -> bool:
    """Whether a prediction for one labelled example is right: the class, or an exact match.

    Metrics of many examples (F1, MultiRC's questions, ReCoRD's queries) have no such value; theirs
    is that of the single answer.
    """
    parsed = task.parse(prediction, example)
    if parsed is None:
        return False
    if example.label is not None:
        return parsed == example.label
    answers = _answers(example)
    if issubclass(METRICS[task.metrics[0]], Squad):
        return normalise(prediction) in map(normalise, answers)
    return prediction in answers


def superglue_average(scores: Mapping[str, float]) -> float:
    """The unweighted mean of the eight tasks' scores.

    Source: recomputed from the paper's Table 3.

    Raises:
        UserError: a task is missing.
    """
    if missing := [name for name in SUPERGLUE if name not in scores]:
        raise UserError(
            f"no SuperGLUE average without {', '.join(missing)}",
            allowed=f"a score for each of {', '.join(SUPERGLUE)}",
            fix=f"ptune train -m task={','.join(missing)}",
        )
    return fmean(scores[name] for name in SUPERGLUE)


def _label(example: Example) -> int | None:
    return example.label


def _answers(example: Example) -> list[str]:
    return list(example.answers or ())


def _group(example: Example, *keys: str) -> str:
    try:
        return "/".join(str(example.idx[key]) for key in keys)
    except (KeyError, TypeError):
        raise UserError(
            f"idx={example.idx!r} does not say which {keys[-1]} the example belongs to",
            allowed=f"idx as an object with {' and '.join(keys)}",
        ) from None


_REFERENCE: dict[str, Callable[[Example], Any]] = {
    "accuracy": _label,
    "mean_3class_f1": _label,
    "f1": _label,
    "f1a": _label,
    "exact_match_by_question": lambda e: {"label": e.label, "group": _group(e, "question")},
    "exact_text": _answers,
    "squad": _answers,
    "squad_by_query": lambda e: {"answers": _answers(e), "group": _group(e, "passage", "query")},
}
