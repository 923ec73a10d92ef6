"""Tasks that name a class: `"key: value key: value"` in, a verbalizer out.

Source: T5's `preprocessors.glue` and `postprocessors.string_label_to_class_id`.
"""

from collections.abc import Callable, Mapping

from prompt_tuning.tasks.base import (
    CUT_OFF,
    UNKNOWN,
    Example,
    Origin,
    Prediction,
    Row,
    RowError,
    Task,
    class_id,
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
    dropped_because: str = "",
    together: tuple[str, ...] = (),
) -> Task:
    """A task whose inputs are `fields`, in this order, and whose targets are `verbalizers`.

    Args:
        clean: Applied to the joined inputs.
        unnest: Makes flat rows of an official record; labels are turned into class ids after it.
        name, about, origin, metrics, dropped_because, together: As in `Task`.
    """

    def to_examples(row: Row, training: bool) -> list[Example]:
        label = class_id(row, verbalizers)
        return [
            Example(
                inputs=clean(" ".join(f"{key}: {require(row, key, str)}" for key in fields)),
                targets=UNKNOWN if label is None else verbalizers[label],
                idx=row.get("idx"),
                label=label,
            )
        ]

    def parse(prediction: str, example: Example) -> Prediction:
        return verbalizers.index(prediction) if prediction in verbalizers else None

    def flatten(record: Row) -> list[Row]:
        rows = unnest(record)
        if any(CUT_OFF in row.values() for row in rows):
            raise RowError("its line has fewer columns than the first line names")
        return [with_class_id(row, verbalizers) for row in rows]

    return Task(
        name=name,
        about=about,
        t5_prefix=name,
        metrics=metrics,
        to_examples=to_examples,
        parse=parse,
        flatten=flatten,
        origin=origin,
        verbalizers=verbalizers,
        init_words=verbalizers,
        dropped_because=dropped_because,
        together=together,
    )


def rename(record: Row, columns: Mapping[str, str]) -> Row:
    """The record with official column names replaced by the hub's."""
    return {columns.get(key, key): value for key, value in record.items()}
