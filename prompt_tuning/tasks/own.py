"""Tasks that a user defines in a file: a template over columns in, a label's word or a text out.

What such a file says is in `config.TaskConfig`; `own_data` makes a task of it.
"""

from collections.abc import Callable, Mapping, Sequence
from string import Formatter

from prompt_tuning.tasks.base import (
    CUT_OFF,
    NO_LABEL,
    Example,
    Row,
    RowError,
    class_example,
    is_null,
    require,
    text_example,
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
    """A cell as the model reads it; null, or NaN, is an empty text, as CSV has it."""
    if column not in row:
        there = ", ".join(str(name) for name in row if name != "idx")
        raise RowError(f"no column {column!r}; there are {there}")
    match row[column]:
        case cell if cell is CUT_OFF:
            raise RowError("its line has fewer columns than the first line names")
        case cell if is_null(cell):
            return ""
        case str():
            return require(row, column, str)
        case float(number) if number.is_integer():
            return str(int(number))
        case int() | float() as number:
            return str(number)
        case cell:
            kind = type(cell).__name__
            raise RowError(f"column {column!r} holds a {kind}, not a text or a number")


def label_in(row: Row, column: str) -> str | None:
    """A row's label as it stands in the data; None: it has none (empty, null, or no such column).

    Raises:
        RowError: the cell is a list or an object.
    """
    return (_text_in(row, column) or None) if column in row else None


def class_examples(
    template: Template, column: str, labels: Mapping[str, str], words: Sequence[str]
) -> Callable[[Row, bool], list[Example]]:
    """Makes the example of a row with a label in `column`.

    `labels` has the word of each label, `words` each word once: labels may share one.
    """

    def to_examples(row: Row, training: bool) -> list[Example]:
        label = label_in(row, column)
        word = None if label is None else labels.get(label)
        if word is None and label not in (None, str(NO_LABEL)):
            raise RowError(f"label {label!r} is not among {', '.join(labels)}")
        number = None if word is None else words.index(word)
        return class_example(template.filled(row), number, words, row.get("idx"))

    return to_examples


def text_examples(template: Template, column: str) -> Callable[[Row, bool], list[Example]]:
    """Makes the example of a row with free text in `column`: one text, or all accepted ones."""

    def to_examples(row: Row, training: bool) -> list[Example]:
        cell = row.get(column, [])
        cells = cell if isinstance(cell, list) else [cell]
        texts = [_text_in({column: each}, column) for each in cells]
        return text_example(template.filled(row), tuple(filter(str.strip, texts)), row.get("idx"))

    return to_examples
