"""What a task is: rows in, text out, predictions parsed. The tasks themselves have a file each.

A row is flat, as the Hugging Face hub serves it; `Task.flatten` makes such rows of official
records. Standard library only.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

Row = Mapping[str, Any]
Prediction = int | str | None  # a class id, a text, or None: not an answer to this task
TextFormat = Literal["taskless", "t5"]  # t5: its name of the task in front of the inputs

SPLITS = ("train", "validation", "test")
NO_LABEL = -1  # the data sets' own mark of a test row
CUT_OFF: Any = ...  # in place of a cell: its line ends before the table's last column
UNKNOWN = "<unk>"  # T5's target where there is no label

_T = TypeVar("_T")


class RowError(ValueError):
    """A row that is not one of this task's; the message is the reason."""


@dataclass(frozen=True)
class Example:
    """One example as the model and the metrics see it."""

    inputs: str
    targets: str
    idx: Any  # the data set's identity: a number, a text, or a dict of numbers
    label: int | None = None  # class id; None: free text, or no label
    answers: tuple[str, ...] | None = None  # of free text: every accepted answer; () if unknown

    @property
    def is_labelled(self) -> bool:
        """Whether a prediction for it can be scored."""
        return self.label is not None or bool(self.answers)


@dataclass(frozen=True)
class HubDataset:
    """Where on the Hugging Face hub the rows of a task are."""

    repo: str  # an id, or a local folder in the hub's layout
    config: str | None  # None: it has one
    revision: str | None  # a commit; None: the newest
    splits: Mapping[str, str]  # this project's names to the hub's
    subset: str | None = None  # MRQA has all its sets in one: the one to take


@dataclass(frozen=True)
class Origin:
    """Where a task's rows come from: official files, the hub, or the package itself."""

    # split -> names below data.dir, of which the first that exists is read
    files: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    hub: HubDataset | None = None
    generate: Callable[[str], tuple[list[Row], dict[str, Any]]] | None = None  # also provenance
    is_own: bool = False  # a user's: files are tables, below data.dir or where ptune is run

    def splits(self, source: str) -> tuple[str, ...]:
        """The splits that a source (hub, local or embedded) has; () if it lacks the task."""
        if source == "embedded":
            return SPLITS if self.generate else ()
        if source == "local":
            return tuple(self.files)
        return tuple(self.hub.splits) if self.hub else ()


@dataclass(frozen=True)
class Task:
    """All about a data set: where its rows are, its text format, its answers, how they are scored.

    Classification tasks are made from plain values by `classification.classification_task`.
    """

    name: str
    about: str  # its first line says what is asked
    t5_prefix: str  # what T5 puts in front of the inputs; "" where T5 has no task name
    metrics: tuple[str, ...]  # keys of `metrics.METRICS`; the first is the headline
    to_examples: Callable[[Row, bool], list[Example]]  # (row, training)
    # What a predicted text answers; None, which is wrong, if it is no answer.
    parse: Callable[[str, Example], Prediction]
    # The flat rows of an official, perhaps nested, record; a flat row comes back as it is. RowError
    # where it is of neither form.
    flatten: Callable[[Row], list[Row]]
    origin: Origin
    report_split: str | None = None  # labelled, and free of choices: recipe=mini reports it
    verbalizers: tuple[str, ...] = ()  # by class id; () for free text
    init_words: tuple[str, ...] = ()  # of class-label initialisation; () where the paper has none
    selection: tuple[str, ...] = ()  # reported keys whose mean chooses the best step; (): all
    dropped_because: str = ""  # why some rows give no example
    columns: tuple[str, ...] = ()  # of a user's own: those that its template names
    # Rows that are equal in the first of these fields that they have are held out together, or not
    # at all.
    together: tuple[str, ...] = ()

    @property
    def is_embedded(self) -> bool:
        """Whether the package itself makes the rows."""
        return self.origin.generate is not None

    def examples(
        self, row: Row, *, training: bool = False, text_format: TextFormat = "taskless"
    ) -> list[Example]:
        """The examples of one flat row: one, or as many as the task trains on (none, several).

        `taskless`, the paper's format, is T5's (`t5`) without the task name in front.

        Raises:
            RowError: a field is missing or has an impossible value.
        """
        examples = self.to_examples(row, training)
        if text_format == "taskless" or not self.t5_prefix:
            return examples
        return [replace(e, inputs=f"{self.t5_prefix} {e.inputs}") for e in examples]

    def group_of(self, row: Row) -> str:
        """The key of the group that the row is held out with.

        Raises:
            RowError: the row is none of this task's.
        """
        field = next((name for name in self.together if name in row), None)
        if field is not None:
            return str(row[field])
        examples = self.to_examples(row, False)
        return examples[0].inputs if examples else repr(row)


def require(row: Row, name: str, kind: type[_T]) -> _T:
    """`row[name]`, which must be there and be a `kind`; a text has whole characters only."""
    if not isinstance(row, Mapping):
        raise RowError(f"{row!r:.40} where an object with field {name!r} belongs")
    value = row.get(name)
    if value is None:
        raise RowError(f"missing field {name!r}")
    if not isinstance(value, kind):
        raise RowError(f"field {name!r} is {type(value).__name__}, not {kind.__name__}")
    if isinstance(value, str):
        _check_text(value, name)
    return value


def _check_text(text: str, name: str) -> None:
    """Refuses what JSON can escape and UTF-8 cannot hold: an emoji that was cut in two."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = ascii(text[error.start])
        raise RowError(f"field {name!r} has half a character, {half}: no UTF-8") from None


def require_texts(row: Row, name: str) -> list[str]:
    """`row[name]`, which must be a list of texts."""
    texts = require(row, name, list)
    if not all(isinstance(text, str) for text in texts):
        raise RowError(f"field {name!r} has an element that is not a text")
    for text in texts:
        _check_text(text, name)
    return texts


def is_null(cell: Any) -> bool:
    """Whether a cell of a row holds nothing: null, or NaN, NaT or NA, which pandas has for it."""
    return cell is None or type(cell).__name__ == "NAType" or cell != cell


def class_id(row: Row, classes: Sequence[str]) -> int | None:
    """The class that `row["label"]` means; None for a test row (-1, null, or no such field).

    The hub gives an id; official files an id, its digits, the class' name, or a boolean; pandas,
    of a column in which a label is missing, "1.0" and for none an empty cell or NaN.
    """
    label = row.get("label")
    if isinstance(label, bool):
        label = str(label)
    for i, name in enumerate(classes):
        if label in (name, i, str(i), str(float(i))):
            return i
    if is_null(label) or label in (NO_LABEL, str(NO_LABEL), str(float(NO_LABEL)), ""):
        return None
    raise RowError(f"label {label!r} is not in 0..{len(classes) - 1} or {', '.join(classes)}")


def with_class_id(row: Row, classes: Sequence[str]) -> Row:
    """The row with its label as the hub has it: a class id, or -1."""
    label = class_id(row, classes)
    return {**row, "label": NO_LABEL if label is None else label}


def keep_flat(record: Row) -> list[Row]:
    """Keeps the record of a data set whose official records are flat already."""
    return [record]


def class_example(inputs: str, label: int | None, words: Sequence[str], idx: Any) -> list[Example]:
    """The one example of a row with a class: its target is the word for it."""
    return [Example(inputs, UNKNOWN if label is None else words[label], idx, label)]


def text_example(inputs: str, answers: tuple[str, ...], idx: Any) -> list[Example]:
    """The one example of a row of free text: its target is the first accepted answer."""
    return [Example(inputs, (*answers, UNKNOWN)[0], idx, answers=answers)]


def class_parser(words: Sequence[str]) -> Callable[[str, Example], int | None]:
    """Makes class ids of words; a text is a word to the letter, or no answer."""
    return lambda prediction, _: words.index(prediction) if prediction in words else None


def parse_text(prediction: str, example: Example) -> str | None:
    """Free text is its own answer, unless it is empty."""
    return prediction if prediction.strip() else None
