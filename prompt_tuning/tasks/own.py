"""Tasks that a user defines in a file: a template over columns in, a label's word or a text out.

What such a file says is in `config.TaskConfig`; `task_data` reads it and finds labels in the data.
"""

from collections.abc import Mapping, Sequence
from string import Formatter
from typing import Any

from prompt_tuning.tasks.base import (
    CUT_OFF,
    NO_LABEL,
    UNKNOWN,
    Example,
    Origin,
    Prediction,
    Row,
    RowError,
    Task,
    keep_flat,
    parse_text,
    require,
)

CLASS_METRICS = ("accuracy", "macro_f1", "f1")  # of class labels
TEXT_METRICS = ("exact_match", "squad")  # of free text


class Template:
    """A text with the names of columns in braces; {{ and }} stand for the braces themselves."""

    def __init__(self, text: str) -> None:
        """Reads the template.

        Raises:
            ValueError: its braces do not match, or hold anything but a column's name.
        """
        self._parts: list[tuple[str, str | None]] = []
        for literal, column, form, conversion in Formatter().parse(text):
            if column == "" or form or conversion:
                raise ValueError("braces hold the name of a column and nothing else")
            self._parts.append((literal, column))

    @property
    def columns(self) -> list[str]:
        """The columns that it names."""
        return [column for _, column in self._parts if column is not None]

    def filled(self, row: Row) -> str:
        """The text for a row.

        Raises:
            RowError: a column is not there or has no text, or all of them are empty.
        """
        cells = {column: _text_in(row, column) for column in self.columns}
        if not any(cell.strip() for cell in cells.values()):
            raise RowError(f"its inputs are empty: {', '.join(self.columns)}")
        return "".join(text + ("" if name is None else cells[name]) for text, name in self._parts)


def _text_in(row: Row, column: str) -> str:
    """A cell as the model reads it; null is an empty text, as CSV has it."""
    if column not in row:
        there = ", ".join(str(name) for name in row if name != "idx")
        raise RowError(f"no column {column!r}; there are {there}")
    if row[column] is CUT_OFF:
        raise RowError("its line has fewer columns than the first line names")
    if row[column] is None:
        return ""
    cell = row[column]
    return require(row, column, str) if isinstance(cell, str) else _of_number(cell, column)


def _of_number(value: Any, column: str) -> str:
    if not isinstance(value, int | float):
        raise RowError(f"column {column!r} holds a {type(value).__name__}, not a text or a number")
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def label_in(row: Row, column: str) -> str | None:
    """A row's label as it stands in the data; None: it has none (empty, null, or no such column).

    Raises:
        RowError: the cell is a list or an object.
    """
    return (_text_in(row, column) or None) if column in row else None


def own_task(
    name: str,
    *,
    inputs: str,
    label: str | None,
    labels: Mapping[str, str],
    target: str | None,
    metrics: Sequence[str],
    origin: Origin,
    report_split: str | None,
) -> Task:
    """The task of such a file.

    Args:
        name: of the task.
        inputs: the template of what the model reads.
        label: the column of class labels; None: `target` is asked for.
        labels: of a label in the data the word that the model says; several may share one.
        target: the column of free text, a text or a list of accepted ones.
        metrics: keys of `metrics.METRICS`.
        origin: where its rows are.
        report_split: labelled, and free of choices; None: there is none.

    Raises:
        ValueError: the template cannot be read.
    """
    template = Template(inputs)
    words = tuple(dict.fromkeys(labels.values()))

    def class_example(row: Row, training: bool) -> list[Example]:
        assert label is not None, name
        found = label_in(row, label)
        if found is not None and found not in labels and found == str(NO_LABEL):
            found = None
        if found is not None and found not in labels:
            raise RowError(f"label {found!r} is not among {', '.join(labels)}")
        word = None if found is None else labels[found]
        number = None if word is None else words.index(word)
        return [Example(template.filled(row), word or UNKNOWN, row.get("idx"), number)]

    def text_example(row: Row, training: bool) -> list[Example]:
        assert target is not None, name
        answers = _answers_in(row, target)
        text = template.filled(row)
        return [Example(text, (*answers, UNKNOWN)[0], row.get("idx"), answers=answers)]

    def class_word(prediction: str, example: Example) -> Prediction:
        return words.index(prediction) if prediction in words else None

    return Task(
        name=name,
        about=inputs,
        t5_prefix="",
        metrics=tuple(metrics),
        to_examples=class_example if label else text_example,
        parse=class_word if label else parse_text,
        flatten=keep_flat,
        origin=origin,
        report_split=report_split,
        verbalizers=words,
        init_words=words,
    )


def _answers_in(row: Row, column: str) -> tuple[str, ...]:
    """Every accepted answer of a row, the one to learn first; (): none is known."""
    cell = row.get(column)
    if isinstance(cell, list):
        texts = [_text_in({column: each}, column) for each in cell]
    else:
        texts = [_text_in(row, column)] if column in row else []
    return tuple(filter(str.strip, texts))
