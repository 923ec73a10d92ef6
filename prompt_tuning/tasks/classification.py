"""Tasks that name a class: `"key: value key: value"` in, a verbalizer out.

Source: T5's `preprocessors.glue` and `postprocessors.string_label_to_class_id`.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from prompt_tuning.tasks.base import (
    CUT_OFF,
    Example,
    Origin,
    Row,
    RowError,
    Task,
    class_example,
    class_id,
    class_parser,
    keep_flat,
    require,
    with_class_id,
)


def classification_task(
    name: str,
    about: str,
    *,
    origin: Origin,
    fields: tuple[str, ...],
    verbalizers: tuple[str, ...],
    metrics: tuple[str, ...] = ("accuracy",),
    clean: Callable[[str], str] = str,
    unnest: Callable[[Row], list[Row]] = keep_flat,
    official_columns: Mapping[str, str] = MappingProxyType({}),
    dropped_because: str = "",
    together: tuple[str, ...] = (),
) -> Task:
    """A task whose inputs are `fields`, in this order, and whose targets are `verbalizers`.

    Args:
        clean: Applied to the joined inputs.
        unnest: Makes flat rows of an official record; labels are turned into class ids after it.
        official_columns: Names in official files to the hub's.
        dropped_because: Also a training row without a label, which "" has the reader refuse.
        name, about, origin, metrics, together: As in `Task`.
    """

    def to_examples(row: Row, training: bool) -> list[Example]:
        label = class_id(row, verbalizers)
        inputs = clean(" ".join(f"{key}: {require(row, key, str)}" for key in fields))
        if training and label is None and dropped_because:
            return []
        return class_example(inputs, label, verbalizers, row.get("idx"))

    def flatten(record: Row) -> list[Row]:
        rows = [
            {official_columns.get(key, key): cell for key, cell in row.items()}
            for row in unnest(record)
        ]
        if any(CUT_OFF in row.values() for row in rows):
            raise RowError("its line has fewer columns than the first line names")
        return [with_class_id(row, verbalizers) for row in rows]

    return Task(
        name=name,
        about=about,
        t5_prefix=name,
        metrics=metrics,
        to_examples=to_examples,
        parse=class_parser(verbalizers),
        flatten=flatten,
        origin=origin,
        verbalizers=verbalizers,
        init_words=verbalizers,
        dropped_because=dropped_because,
        together=together,
    )
