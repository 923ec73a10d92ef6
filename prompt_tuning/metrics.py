"""Scores of predictions: `evaluate.Metric`s that work offline, and what a task makes of them.

`evaluate.load` would fetch a script from the hub; these classes are part of the package instead.
"""

import re
import string
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, ClassVar

import datasets
import evaluate

from prompt_tuning.errors import UserError
from prompt_tuning.tasks import Example, Prediction, Task
from prompt_tuning.tasks.base import is_null

CLASS_ID = datasets.Value("int32")  # -1: a prediction that named no class; always wrong
TEXT = datasets.Value("string")  # "": a prediction that is no answer
TEXTS = datasets.Sequence(TEXT)
Texts = Sequence[str]


class OfflineMetric(evaluate.Metric):  # type: ignore[misc]
    """An `evaluate.Metric` of 0 to 100 that needs neither the hub nor a cache folder.

    `compute(predictions=, references=)` returns percentages by reported key. The docstring of a
    subclass is its description.
    """

    prediction: ClassVar[Any] = CLASS_ID
    reference: ClassVar[Any] = CLASS_ID
    citation: ClassVar[str] = "Raffel et al. (2020), https://arxiv.org/abs/1910.10683"

    def __init__(self) -> None:
        super().__init__(keep_in_memory=True)

    def _build_data_dir(self) -> str:
        return ""  # the library would make a folder below HOME, for what is kept in memory

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=self.__doc__ or "",
            citation=self.citation,
            features=datasets.Features(
                {"predictions": self.prediction, "references": self.reference}
            ),
        )

    @staticmethod
    def reference_of(example: Example) -> Any:
        """What a prediction for the example is compared with."""
        return example.label


class Accuracy(OfflineMetric):
    """Share of predictions equal to their reference.

    Source: T5's `metrics.accuracy`.
    """

    def _compute(self, predictions: Sequence[int], references: Sequence[int]) -> dict[str, float]:
        hits = [p == r for p, r in zip(predictions, references, strict=True)]
        return {"accuracy": mean_percent(hits)}


class Mean3ClassF1(OfflineMetric):
    """Unweighted mean of the F1 of the classes 0, 1, 2; a class that never occurs counts as 0.

    Source: T5's `metrics.mean_multiclass_f1(num_classes=3)`, CB's metric.
    """

    def _compute(self, predictions: Sequence[int], references: Sequence[int]) -> dict[str, float]:
        return {"mean_3class_f1": mean_percent([f1(predictions, references, c) for c in range(3)])}


class MacroF1(OfflineMetric):
    """Unweighted mean of the F1 of every class that occurs in predictions or references.

    Source: scikit-learn's `f1_score(average="macro")`; an answer that names no class is no class.
    """

    citation = "Pedregosa et al. (2011), https://arxiv.org/abs/1201.0490"

    def _compute(self, predictions: Sequence[int], references: Sequence[int]) -> dict[str, float]:
        classes = {*predictions, *references} - {-1}
        return {"macro_f1": mean_percent([f1(predictions, references, c) for c in classes])}


class BinaryF1(OfflineMetric):
    """F1 of class 1; a prediction that is neither 0 nor 1 counts as the wrong one of the two.

    Source: T5's `metrics.f1_score_with_invalid`.
    """

    key: ClassVar[str] = "f1"

    def _compute(self, predictions: Sequence[int], references: Sequence[int]) -> dict[str, float]:
        pairs = zip(predictions, references, strict=True)
        valid = [p if p in (0, 1) else 1 - r for p, r in pairs]
        return {self.key: 100 * f1(valid, references, 1)}


class F1a(BinaryF1):
    """MultiRC's F1 over all answers of all questions; the computation of `BinaryF1`.

    Source: T5's `metrics.multirc_f1_over_all_answers`.
    """

    key = "f1a"


class ExactMatchByQuestion(OfflineMetric):
    """Share of MultiRC's questions with every answer judged right.

    Source: T5's `metrics.mean_group_metric(metrics.all_match)`. Deviation: grouped by paragraph and
    question; T5 takes the question alone, which is another one in each paragraph of official files.
    """

    reference: ClassVar = {"label": CLASS_ID, "group": TEXT}

    def _compute(self, predictions: Sequence[int], references: Sequence[Any]) -> dict[str, float]:
        all_right: dict[str, bool] = defaultdict(lambda: True)
        for prediction, reference in zip(predictions, references, strict=True):
            all_right[reference["group"]] &= prediction == reference["label"]
        return {"exact_match": mean_percent([*all_right.values()])}

    @staticmethod
    def reference_of(example: Example) -> Any:
        return {"label": example.label, "group": _group(example, "paragraph", "question")}


class ExactText(OfflineMetric):
    """Accuracy of texts: share of predictions that are an accepted answer to the letter.

    Source: T5's `metrics.accuracy` on texts (definite pronoun resolution).
    """

    prediction, reference = TEXT, TEXTS
    key: ClassVar[str] = "accuracy"

    def _compute(self, predictions: Texts, references: Sequence[Texts]) -> dict[str, float]:
        hits = [p in accepted for p, accepted in zip(predictions, references, strict=True)]
        return {self.key: mean_percent(hits)}

    @staticmethod
    def reference_of(example: Example) -> Any:
        return list(example.answers or ())


class ExactMatch(ExactText):
    """`ExactText` under the name that it has where the answers are free text of any kind.

    Source: Rajpurkar et al. (2016), without their normalisation: to the letter.
    """

    key = "exact_match"


class Squad(ExactText):
    """Word F1 and exact match of normalised texts, each the best over the accepted answers.

    Source: T5's `metrics.squad`, which follows the official SQuAD 1.1 script.
    """

    citation = "Rajpurkar et al. (2016), https://arxiv.org/abs/1606.05250"

    def _compute(self, predictions: Texts, references: Sequence[Texts]) -> dict[str, float]:
        f1s, matches = [], []
        for prediction, answers in zip(predictions, references, strict=True):
            predicted = normalise(prediction)
            accepted = [normalise(answer) for answer in answers]
            f1s.append(max(word_f1(predicted, answer) for answer in accepted))
            matches.append(predicted in accepted)
        return {"f1": mean_percent(f1s), "exact_match": mean_percent(matches)}


class SquadByQuery(Squad):
    """`Squad` on the first prediction of each query: ReCoRD's metric.

    Source: T5's `metrics.deduplicate_metric(metrics.squad)`; its rows repeat a query per answer.
    """

    reference: ClassVar = {"answers": TEXTS, "group": TEXT}
    citation = "Zhang et al. (2018), https://arxiv.org/abs/1810.12885"

    def _compute(self, predictions: Texts, references: Sequence[Any]) -> dict[str, float]:
        first: dict[str, tuple[str, Texts]] = {}
        for prediction, reference in zip(predictions, references, strict=True):
            first.setdefault(reference["group"], (prediction, reference["answers"]))
        return super()._compute(*zip(*first.values(), strict=True))

    @staticmethod
    def reference_of(example: Example) -> Any:
        answers = list(example.answers or ())
        return {"answers": answers, "group": _group(example, "passage", "query")}


METRICS: dict[str, type[OfflineMetric]] = {
    "accuracy": Accuracy,
    "mean_3class_f1": Mean3ClassF1,
    "macro_f1": MacroF1,
    "f1": BinaryF1,
    "f1a": F1a,
    "exact_match_by_question": ExactMatchByQuestion,
    "exact_text": ExactText,
    "exact_match": ExactMatch,
    "squad": Squad,
    "squad_by_query": SquadByQuery,
}


def mean_percent(values: Sequence[float]) -> float:
    """100 times the mean."""
    return 100 * sum(values) / len(values)


def f1(predictions: Sequence[int], references: Sequence[int], positive: int) -> float:
    """F1 of one class, 0..1; 0 where it is undefined, as in scikit-learn."""
    hits = sum(p == r == positive for p, r in zip(predictions, references, strict=True))
    claims = sum(p == positive for p in predictions) + sum(r == positive for r in references)
    return 2 * hits / claims if claims else 0.0


_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalise(text: str) -> str:
    """The text in lower case without punctuation, articles and superfluous white space."""
    text = text.lower().translate(_NO_PUNCTUATION)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def word_f1(prediction: str, answer: str) -> float:
    """F1 of the bag of words, 0..1; 0 if they share none, be they both empty."""
    predicted, expected = prediction.split(), answer.split()
    shared = (Counter(predicted) & Counter(expected)).total()
    return 2 * shared / (len(predicted) + len(expected)) if shared else 0.0


@dataclass(frozen=True)
class Scores:
    """The scores of one evaluation, in percent; a user's metric is taken as it is."""

    metrics: dict[str, float]  # by reported key; {} if no example is labelled
    score: float | None  # what chooses the best step: the mean of the task's `selection`
    num_examples: int  # labelled ones: the others cannot be scored
    num_unparseable: int  # predictions of no answer: wrong, unless SQuAD's accepted one is "the"


def score(task: Task, examples: Sequence[Example], predictions: Sequence[str]) -> Scores:
    """Scores one predicted text per example; examples without a label are left out."""
    scored = [(e, p) for e, p in zip(examples, predictions, strict=True) if e.is_labelled]
    if not scored:
        return Scores({}, None, 0, 0)
    parsed = [task.parse(prediction, example) for example, prediction in scored]
    metrics: dict[str, float] = {}
    for name in task.metrics:
        if name not in METRICS:
            metrics |= _by_evaluate(name, task, [example for example, _ in scored], parsed)
            continue
        metric = METRICS[name]()
        no_answer = "" if metric.prediction is TEXT else -1
        metrics |= metric.compute(
            predictions=[no_answer if p is None else p for p in parsed],
            references=[metric.reference_of(example) for example, _ in scored],
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
    answers = example.answers or ()
    if compares_normalised(task):  # an empty text too, which "the" equals
        return normalise(prediction) in map(normalise, answers)
    parsed = task.parse(prediction, example)
    return parsed in answers if example.label is None else parsed == example.label


def compares_normalised(task: Task) -> bool:
    """Whether a task's texts are compared as SQuAD's are; else, and by a user's metric, as text."""
    return issubclass(METRICS.get(task.metrics[0], ExactText), Squad)


def _group(example: Example, *keys: str) -> str:
    """Names the question or query that an example belongs to."""
    idx = example.idx if isinstance(example.idx, Mapping) else {}
    parts = [idx.get(key) for key in keys]
    if any(map(is_null, parts)):
        raise UserError(
            f"idx={example.idx!r} does not say which {keys[-1]} the example belongs to",
            allowed=f"idx as an object with {' and '.join(keys)}",
        )
    return "/".join(map(str, parts))


def _by_evaluate(
    folder: str, task: Task, examples: Sequence[Example], parsed: Sequence[Prediction]
) -> dict[str, float]:
    """The numbers of a metric in `evaluate`'s form, as they are: nothing makes them percent.

    Class labels are ids, no answer is -1 or an empty text; of several accepted answers it gets all
    where it takes a list of references, else the first.
    """
    try:
        metric = evaluate.load(folder)
        features = metric.features[0] if isinstance(metric.features, list) else metric.features
        takes_one = isinstance(features["references"], datasets.Value)
        if task.verbalizers:
            references: list[Any] = [example.label for example in examples]
        else:
            answers = [list(example.answers or ()) for example in examples]
            references = [each[0] for each in answers] if takes_one else answers
        no_answer = -1 if task.verbalizers else ""
        predictions = [no_answer if each is None else each for each in parsed]
        found = metric.compute(predictions=predictions, references=references)
        return {key: float(value) for key, value in found.items() if isinstance(value, int | float)}
    except Exception as error:  # the code is a stranger's
        reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        raise UserError(f"the metric {folder} failed: {reason}") from error
