r"""SQuAD 1.1: the answer to the question, as a quote of the context (Rajpurkar et al., 2016).

Source: T5's `preprocessors.squad` at e081111, the commit that the released prompt-tuning code runs
on. Deviation: up to t5 0.9.3 (2021), and so in the paper's own runs, it padded `\W`, which takes
accented letters apart and leaves underscores alone; since 0.9.4 it pads `[[:punct:]]`.
"""

import re
from collections.abc import Mapping

from prompt_tuning.tasks.base import (
    Example,
    HubDataset,
    Origin,
    Row,
    RowError,
    Task,
    parse_text,
    require,
    require_texts,
    text_example,
)


def pad_punctuation(text: str) -> str:
    """The text with a space on both sides of all ASCII punctuation, RE2's `[[:punct:]]`."""
    return squeeze(re.sub(r"([!-/:-@\[-`{-~])", r" \1 ", text))


def squeeze(text: str) -> str:
    r"""The text with one space for each run of RE2's `\s`, which is ASCII and has no \v."""
    return re.sub(r"[\t\n\f\r ]+", " ", text)


def to_examples(row: Row, training: bool) -> list[Example]:
    """Question and context; the target is the first answer, and every answer is accepted."""
    question = pad_punctuation(require(row, "question", str))
    context = pad_punctuation(require(row, "context", str))
    answers = tuple(map(pad_punctuation, answer_texts(row)))
    inputs = squeeze(f"question: {question} context: {context}")
    return text_example(inputs, answers, row.get("id", row.get("qid")))


def answer_texts(row: Row) -> list[str]:
    """The accepted answers of SQuAD's or MRQA's row, in the hub's form or the official one."""
    if row.get("is_impossible"):
        raise RowError("it has no answer (is_impossible): SQuAD 2.0, and this task is SQuAD 1.1")
    match row.get("answers", []):
        case {"text": list()}:  # SQuAD on the hub
            return require_texts(row["answers"], "text")
        case [dict(), *_]:  # SQuAD's own file
            return [require(answer, "text", str) for answer in row["answers"]]
        case _:  # MRQA
            return require_texts(row, "answers") if "answers" in row else []


def flatten(record: Row) -> list[Row]:
    """One row per question of an official record: a whole SQuAD file or a line of an MRQA file."""
    if not isinstance(record, Mapping):
        raise RowError(f"{record!r:.40} where an object with questions belongs")
    if "data" in record:  # of the whole file
        return [row for article in require(record, "data", list) for row in flatten(article)]
    if "paragraphs" in record:  # of an article
        title = {"title": record["title"]} if "title" in record else {}
        paragraphs = require(record, "paragraphs", list)
        return [{**title, **row} for paragraph in paragraphs for row in flatten(paragraph)]
    if "qas" not in record:
        return [record]
    rows: list[Row] = []
    for question in require(record, "qas", list):
        try:
            text = require(question, "question", str)
            number = require(question, "id" if "id" in question else "qid", str)
            row = {"id": number, "context": require(record, "context", str), "question": text}
            rows.append({**row, "answers": {"text": answer_texts(question)}})
        except RowError as error:
            raise RowError(f"question {question!r:.60}: {error}") from None
    return rows


SQUAD = Task(
    "squad",
    __doc__,
    origin=Origin(
        files={"train": ("SQuAD/train-v1.1.json",), "validation": ("SQuAD/dev-v1.1.json",)},
        hub=HubDataset(
            "rajpurkar/squad",
            "plain_text",
            "7b6d24c440a36b6815f21b70d25016731768db1f",
            {"train": "train", "validation": "validation"},
        ),
    ),
    t5_prefix="",
    metrics=("squad",),
    to_examples=to_examples,
    parse=parse_text,
    flatten=flatten,
    together=("title", "context"),
    selection=("f1",),  # the paper chooses and reports by F1 (section 5)
)
