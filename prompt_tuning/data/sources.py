"""From a task and a split to examples: official files, the hub, or what the package ships.

Nothing is left out silently: a row that is wrong stops the run, one that the task does not use is
counted with the reason.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import Any

from prompt_tuning.data.hub import HUB_SOURCES, HubSource, read_hub
from prompt_tuning.data.mini_tasks import MINI_SPLITS, MiniSplit, mini_provenance, mini_rows
from prompt_tuning.data.official import OFFICIAL_FILES, find_file, no_such_split
from prompt_tuning.data.readers import read_records
from prompt_tuning.errors import UserError
from prompt_tuning.tasks import Example, Row, RowError, Task, TextFormat

SPLITS = ("train", "validation", "test")
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
        split: "train", "validation" or "test".
        spec: where to look.
        limit: how many examples to keep, None: all.
        text_format: whether T5's name of the task stands in front of the inputs.

    Raises:
        UserError: there is no such split, or a row of it is wrong (names file, line, reason).
    """
    origin = _locate(task, split, spec)
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
    examples, num_rows, dropped = _collect(
        task, read, training=split == "train", text_format=text_format
    )
    name = " ".join(str(part) for part in provenance.values())
    if not examples:
        raise UserError(f"no {split} example of {task.name} in {name}")
    if split == "train" and (unlabelled := sum(not e.is_labelled for e in examples)):
        raise UserError(
            f"{unlabelled} of {len(examples)} training examples have no label in {name}",
            fix="train on a split with labels; test files have none",
        )
    provenance |= {
        "source": _source(task, spec),
        "split": split,
        "num_rows": num_rows,
        "num_examples": len(examples[:limit]),
        "dropped": dropped,
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


def _collect(
    task: Task, records: Iterator[tuple[str, Row]], *, training: bool, text_format: TextFormat
) -> tuple[list[Example], int, dict[str, int]]:
    """The examples of all records, the number of flat rows, and what was dropped, by reason."""
    examples: list[Example] = []
    dropped: Counter[str] = Counter()
    num_rows = 0
    for place, record in records:
        with _named(place):
            rows = task.flatten(record)
        for i, row in enumerate(rows):
            with _named(place if len(rows) == 1 else f"{place}: row {i} of the record"):
                found = task.examples(
                    {"idx": num_rows, **row}, training=training, text_format=text_format
                )
            num_rows += 1
            # A row is decoded once: T5 too scores only the first of ReCoRD's examples of a query.
            examples += found if training else found[:1]
            dropped[task.dropped_because] += not found
        dropped[task.dropped_because] += not rows
    return examples, num_rows, dict(+dropped)


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
