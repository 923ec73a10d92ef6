"""ReCoRD: which entity of the passage fills the query's placeholder? (Zhang et al., 2018)"""

import re

from prompt_tuning.tasks.base import (
    UNKNOWN,
    Example,
    Row,
    RowError,
    Task,
    parse_text,
    require,
    require_texts,
)
from prompt_tuning.tasks.benchmarks import superglue


def to_examples(row: Row, training: bool) -> list[Example]:
    """One example per accepted answer, all with the same inputs."""
    inputs = (
        f"query: {require(row, 'query', str)}"
        f" entities: {', '.join(require_texts(row, 'entities'))}"
        f" passage: {join_highlights(require(row, 'passage', str))}"
    )
    answers = tuple(require_texts(row, "answers"))
    return [
        Example(inputs, target, idx=row.get("idx"), answers=answers)
        for target in answers or (UNKNOWN,)
    ]


def join_highlights(passage: str) -> str:
    """The passage with its bullet points joined into prose."""
    passage = re.sub(r"([.?!\"'])\n@highlight\n", r"\1 ", passage)
    return passage.replace("\n@highlight\n", ". ")


def flatten(record: Row) -> list[Row]:
    """One row per query of an official record; entities and answers are sorted sets of texts.

    Source: TFDS `super_glue/record`.
    """
    if "qas" not in record:
        return [record]
    passage = require(record, "passage", dict)
    text = require(passage, "text", str)
    entities = {_quote(text, span) for span in require(passage, "entities", list)}
    return [
        {
            "passage": text,
            "query": require(query, "query", str),
            "entities": sorted(entities),
            "answers": sorted({require(a, "text", str) for a in _answers(query)}),
            "idx": {"passage": require(record, "idx", int), "query": require(query, "idx", int)},
        }
        for query in require(record, "qas", list)
    ]


def _quote(text: str, span: Row) -> str:
    start, end = require(span, "start", int), require(span, "end", int)
    if not 0 <= start <= min(end, len(text) - 1):
        raise RowError(f"entity {start}..{end} is not in the text, 0..{len(text) - 1}")
    return text[start : end + 1]


def _answers(query: Row) -> list[Row]:
    return require(query, "answers", list) if "answers" in query else []


RECORD = Task(
    "record",
    __doc__,
    origin=superglue("ReCoRD", "record"),
    t5_prefix="record",
    metrics=("squad_by_query",),
    to_examples=to_examples,
    parse=parse_text,
    flatten=flatten,
    together=("passage",),
    init_words=("commonsense", "reasoning", "reading", "comprehension"),  # the paper's footnote 7
)
