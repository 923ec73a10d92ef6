"""From a task and a split to examples: official files, the hub, or what the package ships.

Nothing is left out silently: a row that is wrong stops the run, one that the task does not use is
counted with the reason.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

from prompt_tuning.data.hub import HUB_SOURCES, HubSource, read_hub
from prompt_tuning.data.official import OFFICIAL_FILES, find_file, no_such_split
from prompt_tuning.data.readers import read_records
from prompt_tuning.errors import UserError
from prompt_tuning.ladder.mini_tasks import MINI_SPLITS, MiniSplit, mini_provenance, mini_rows
from prompt_tuning.tasks import Example, Row, RowError, Task, TextFormat

SPLITS = ("train", "validation", "test")
HELD_OUT = "held_out"  # a part of the training split that is not trained on
SOURCES: dict[str, Mapping[str, Any]] = {  # which tasks each has
    "hub": HUB_SOURCES,
    "local": OFFICIAL_FILES,
    "embedded": MINI_SPLITS,
}


@dataclass(frozen=True)
class DataSpec:
    """Where to look for examples."""

    source: str  # hub, local, embedded, or auto: what is embedded is; else local if dir is given
    dir: Path | None = None  # of the official files
    train_file: str | None = None  # instead of the official name; relative to dir
    validation_file: str | None = None
    test_file: str | None = None
    num_held_out: int | None = None  # training rows kept apart as split held_out; None: none


@dataclass(frozen=True)
class Split:
    """The examples of a split, and what a record of a run says about them."""

    examples: list[Example]
    provenance: dict[str, Any]

    @property
    def is_labelled(self) -> bool:
        """Whether any prediction for it can be scored."""
        return any(example.is_labelled for example in self.examples)


def load_split(
    task: Task,
    split: str,
    spec: DataSpec,
    limit: int | None = None,
    *,
    text_format: TextFormat = "taskless",
) -> Split:
    """Reads a whole split and makes its examples; keeps the first `limit` of them.

    Args:
        task: whose rows they are.
        split: "train", "validation", "test", or "held_out", the part of "train" that is kept apart.
        spec: where to look.
        limit: how many examples to keep, None: all.
        text_format: whether T5's name of the task stands in front of the inputs.

    Raises:
        UserError: there is no such split, or a row of it is wrong (names file, line, reason).
    """
    origin = _locate(task, split, spec)
    part, split = split, "train" if split == HELD_OUT else split
    if isinstance(origin, Path):
        read = ((f"{origin}:{line}", record) for line, record in read_records(origin))
        provenance: dict[str, Any] = {"file": str(origin), "sha256": _sha256(origin)}
    elif isinstance(origin, MiniSplit):
        rows = mini_rows(task, origin)
        read = ((f"{task.name}, {split} row {i}", row) for i, row in enumerate(rows))
        provenance = mini_provenance(rows)
    else:
        read = ((f"{origin.repo}, row {i}", row) for i, row in read_hub(origin, split))
        provenance = {"hub": origin.repo, "config": origin.config, "revision": origin.revision}
    flat, num_empty = _flat_rows(task, read)
    if split == "train" and spec.num_held_out is not None:
        apart = held_out_rows(task, flat, spec.num_held_out)
        flat = [row for i, row in enumerate(flat) if (i in apart) == (part == HELD_OUT)]
    training = part == "train"
    examples, num_dropped = _examples(task, flat, training=training, text_format=text_format)
    num_dropped += num_empty
    name = " ".join(str(part) for part in provenance.values())
    if not examples:
        raise UserError(f"no {part} example of {task.name} in {name}")
    if part == "train" and (unlabelled := sum(not e.is_labelled for e in examples)):
        raise UserError(
            f"{unlabelled} of {len(examples)} training examples have no label in {name}",
            fix="train on a split with labels; test files have none",
        )
    provenance |= {
        "source": _source(task, spec),
        "split": part,
        "num_rows": len(flat),
        "num_examples": len(examples[:limit]),
        "dropped": {task.dropped_because: num_dropped} if num_dropped else {},
    }
    return Split(examples[:limit], provenance)


def check_available(task: Task, spec: DataSpec, splits: Sequence[str] = ()) -> None:
    """Raises a UserError if data are missing; cheap, so that it can come before everything else.

    Args:
        task: whose rows are needed.
        spec: where to look. Whether the hub can be reached is not tried.
        splits: which must be there; (): at least one.
    """
    for split in splits:
        _locate(task, split, spec)
    if not splits:
        _locate_any(task, spec)


def _locate_any(task: Task, spec: DataSpec) -> None:
    errors = []
    for split in SPLITS:
        try:
            _locate(task, split, spec)
            return
        except UserError as error:
            errors.append(error)
    raise errors[0]


def _locate(task: Task, split: str, spec: DataSpec) -> Path | MiniSplit | HubSource:
    """The file, the generator's split, or the place on the hub, that a split is read from."""
    split = "train" if split == HELD_OUT else split
    if split not in SPLITS:
        raise UserError(f"{split!r} is not a split", allowed=", ".join(SPLITS))
    source = _source(task, spec)
    if source == "local":
        return find_file(task, split, spec.dir, getattr(spec, f"{split}_file"))
    embedded = source == "embedded"
    splits = MINI_SPLITS[task.name] if embedded else HUB_SOURCES[task.name].splits
    if split not in splits:
        raise no_such_split(task, split, list(splits))
    return MINI_SPLITS[task.name][split] if embedded else HUB_SOURCES[task.name]


def _source(task: Task, spec: DataSpec) -> str:
    """Which of the `SOURCES` is meant."""
    source = spec.source
    if source == "auto":
        source = "embedded" if task.name in MINI_SPLITS else "local" if spec.dir else "hub"
    if source not in SOURCES:
        allowed = ", ".join(("auto", *SOURCES))
        raise UserError(f"data.source={source} is not a source", allowed=allowed)
    if task.name not in SOURCES[source]:
        raise UserError(
            f"data.source={source} does not have task {task.name}",
            allowed=", ".join(name for name, tasks in SOURCES.items() if task.name in tasks),
        )
    return source


def held_out_rows(task: Task, rows: Sequence[tuple[str, Row]], num_rows: int) -> set[int]:
    """The places of the training rows that are kept apart: `num_rows`, a fifth of all at most.

    Groups of rows that belong together (a passage's, an article's) are taken whole, in the order of
    a hash of their text: the same rows for every seed and method, and from every source.
    """
    groups: dict[str, list[int]] = {}
    for i, (place, row) in enumerate(rows):
        with _named(place):
            groups.setdefault(task.group_of(row), []).append(i)
    ordered = sorted(groups, key=lambda text: sha256(text.encode()).digest())
    wanted = min(num_rows, len(rows) // 5)
    apart: set[int] = set()
    for text in ordered:
        if len(apart) >= wanted:
            break
        apart.update(groups[text])
    return apart


def _flat_rows(task: Task, records: Iterator[tuple[str, Row]]) -> tuple[list[tuple[str, Row]], int]:
    """The flat rows of all records with their places, and the number of records without any."""
    rows: list[tuple[str, Row]] = []
    num_empty = 0
    for place, record in records:
        with _named(place):
            flat = task.flatten(record)
        places = [f"{place}: row {i} of the record" for i in range(len(flat))]
        for row, own_place in zip(flat, places if len(flat) > 1 else [place], strict=False):
            rows.append((own_place, {"idx": len(rows), **row}))
        num_empty += not flat
    return rows, num_empty


def _examples(
    task: Task, rows: Iterable[tuple[str, Row]], *, training: bool, text_format: TextFormat
) -> tuple[list[Example], int]:
    """The examples of flat rows, and the number of rows that gave none."""
    examples: list[Example] = []
    num_dropped = 0
    for place, row in rows:
        with _named(place):
            found = task.examples(row, training=training, text_format=text_format)
        # A row is decoded once: T5 too scores only the first of ReCoRD's examples of a query.
        examples += found if training else found[:1]
        num_dropped += not found
    return examples, num_dropped


@contextmanager
def _named(place: str) -> Iterator[None]:
    """Says where the row is that turns out to be wrong."""
    try:
        yield
    except RowError as error:
        raise UserError(f"{place}: {error}") from None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
