"""From a task and a split to examples: official files, the hub, or what the package ships.

Nothing is left out silently: a row that is wrong stops the run, one that the task does not use is
counted with the reason.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from prompt_tuning.data.hub import read_hub
from prompt_tuning.data.official_files import find_file, read_records
from prompt_tuning.data.tabular_files import read_table
from prompt_tuning.errors import UserError
from prompt_tuning.files import file_facts
from prompt_tuning.tasks import SPLITS, Example, Row, RowError, Task, TextFormat

HELD_OUT = "held_out"  # a part of the training split that is not trained on
SOURCES = ("hub", "local", "embedded")


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

    @property
    def size(self) -> str:
        """How many examples there are, and how many of them a score leaves out, in words."""
        count = f"{len(self.examples)} examples of {self.provenance['split']}"
        unscored = self.provenance.get("num_unlabelled")
        return count + (f" ({unscored} have no label: not scored)" if unscored else "")


def load_split(
    task: Task,
    split: str,
    spec: DataSpec,
    limit: int | None = None,
    *,
    text_format: TextFormat = "taskless",
) -> Split:
    """Reads a whole split and makes its examples; keeps the first `limit` of them.

    A split is one of the `SPLITS`, or `HELD_OUT`, the part of "train" that is kept apart.

    Raises:
        UserError: there is no such split, or a row of it is wrong (names file, line, reason).
    """
    records, provenance = _read(task, split, spec)
    flat, num_dropped = _flat_rows(task, records)
    if split in ("train", HELD_OUT) and spec.num_held_out is not None:
        apart = _held_out_rows(task, flat, spec.num_held_out)
        flat = [row for i, row in enumerate(flat) if (i in apart) == (split == HELD_OUT)]
    examples: list[Example] = []
    training = split == "train"
    for place, row in flat:
        with _named(place):
            found = task.examples(row, training=training, text_format=text_format)
        # A row is decoded once: T5 too scores only the first of ReCoRD's examples of a query.
        examples += found if training else found[:1]
        num_dropped += not found
    name = " ".join(map(str, provenance.values()))
    if not examples:
        raise UserError(f"no {split} example of {task.name} in {name}")
    if training and (unlabelled := sum(not e.is_labelled for e in examples)):
        raise UserError(
            f"{unlabelled} of {len(examples)} training examples have no label in {name}",
            fix="train on a split with labels; test files have none",
        )
    kept = examples[:limit]
    provenance |= {
        "source": _source(task, split, spec),
        "split": split,
        "num_rows": len(flat),
        "num_examples": len(kept),
        "dropped": {task.dropped_because: num_dropped} if num_dropped else {},
    }
    if num_unlabelled := sum(not example.is_labelled for example in kept):
        provenance["num_unlabelled"] = num_unlabelled
    return Split(kept, provenance)


def rows_of(task: Task, split: str, spec: DataSpec) -> Iterator[tuple[str, Row]]:
    """The records of a split as they stand there, each with its place; of held_out, train's.

    Raises:
        UserError: there is no such split, or it cannot be read.
    """
    return _read(task, split, spec)[0]


def has_split(task: Task, split: str, spec: DataSpec) -> bool:
    """Whether there is such a split; what the hub has is taken on trust."""
    try:
        _source(task, split, spec)
    except UserError:
        return False
    return True


def content_of(task: Task, split: str, spec: DataSpec) -> dict[str, Any]:
    """Where a split is read from, with the hash or the revision of what is there now.

    Raises:
        UserError: there is no such split.
    """
    return _read(task, split, spec)[1]  # no record is read yet


def check_available(task: Task, splits: Sequence[str], spec: DataSpec) -> None:
    """Raises a UserError if data are missing; cheap, so that it can come before everything else.

    All of `splits` must be there, of () at least one. Whether the hub can be reached is not tried.
    """
    errors = []
    for split in splits or SPLITS:
        try:
            if _source(task, split, spec) == "local":
                _file(task, split, spec)
        except UserError as error:
            errors.append(error)
    if errors and (splits or len(errors) == len(SPLITS)):
        raise errors[0]


def _source(task: Task, split: str, spec: DataSpec) -> str:
    """Which of the `SOURCES` a split is read from; all that can be wrong before looking there."""
    split = _stored(split)
    if split not in SPLITS:
        raise UserError(f"{split!r} is not a split", allowed=", ".join(SPLITS))
    source = spec.source
    if source == "auto":
        is_local = spec.dir or (task.origin.is_own and task.origin.hub is None)
        source = "embedded" if task.is_embedded else "local" if is_local else "hub"
    if source not in SOURCES:
        allowed = ", ".join(("auto", *SOURCES))
        raise UserError(f"data.source={source} is not a source", allowed=allowed)
    local = "data.source=local data.dir=<folder of the files>"
    named = [name for name in SPLITS if getattr(spec, f"{name}_file") is not None]
    if source != "local" and named:
        key = f"data.{named[0]}_file={getattr(spec, f'{named[0]}_file')}"
        problem = f"{key} is not read: task {task.name} has its rows from data.source={source}"
        fix = "task=own is for a table of yours" if task.is_embedded else f"add {local}"
        raise UserError(problem, fix=f"{fix}; or leave it out")
    if split in named:
        return source
    known = task.origin.splits(source)
    if not known and task.origin.is_own:
        problem = f"task {task.name} does not say where its {split} rows are"
        fix = f"add data.{split}_file=<table>, or --config-dir <folder> task=<name> where "
        fix += "task/<name>.yaml says it"
        raise UserError(problem, fix=fix)
    if not known:
        raise UserError(
            f"data.source={source} does not have task {task.name}",
            allowed=", ".join(name for name in SOURCES if task.origin.splits(name)),
            fix=local if task.origin.files else None,
        )
    if split not in known:
        other = "" if split == "train" else "split= one of them (of train evaluation.split=), or "
        fix = f"{other}data.{split}_file=<a file with its rows>"
        problem = f"task {task.name} has no {split} split"
        raise UserError(problem, allowed=", ".join(known), fix=fix)
    return source


def _stored(split: str) -> str:
    """`train` for `held_out`, whose rows are a part of it; any other split is itself."""
    return "train" if split == HELD_OUT else split


def _file(task: Task, split: str, spec: DataSpec) -> Path:
    """The official file of a split, or the one that the spec names instead."""
    split = _stored(split)
    folder = Path() if spec.dir is None and task.origin.is_own else spec.dir
    if folder is None:
        fix = "data.dir=<folder of the official files>"
        raise UserError(f"no data.dir to find task {task.name} in", fix=fix)
    given = getattr(spec, f"{split}_file")
    names = task.origin.files[split] if given is None else (given,)
    return find_file(folder, names, split, task.name)


Records = Iterator[tuple[str, Row]]  # each with the place that an error names


def _read(task: Task, split: str, spec: DataSpec) -> tuple[Records, dict[str, Any]]:
    """The records of a split, and where they come from."""
    source, split = _source(task, split, spec), _stored(split)
    hub, generate = task.origin.hub, task.origin.generate
    provenance: dict[str, Any]
    if source == "local":
        path = _file(task, split, spec)
        read = read_table if task.origin.is_own else read_records
        numbered, place = read(path), f"{path}:"
        provenance = {**file_facts(path)}
    elif source == "hub" and hub is not None:
        numbered, place = read_hub(hub, split, named=task.origin.is_own), f"{hub.repo}, row "
        provenance = {"hub": hub.repo, "config": hub.config, "revision": hub.revision}
    else:
        assert generate is not None, (task.name, source)
        rows, provenance = generate(split)
        numbered, place = iter(enumerate(rows)), f"{task.name}, {split} row "
    return ((f"{place}{number}", record) for number, record in numbered), provenance


def _held_out_rows(task: Task, rows: Sequence[tuple[str, Row]], num_rows: int) -> set[int]:
    """The places of the training rows that are kept apart: `num_rows`, a fifth of all at most.

    Groups of rows that belong together (a passage's, an article's) are taken whole, in the order of
    a hash of their text: the same rows for every seed and method, and from every source.
    """
    groups: dict[str, list[int]] = {}
    for i, (place, row) in enumerate(rows):
        with _named(place):
            groups.setdefault(task.group_of(row), []).append(i)
    wanted = min(num_rows, len(rows) // 5)
    apart: set[int] = set()
    for text in sorted(groups, key=lambda text: sha256(text.encode()).digest()):
        if len(apart) < wanted:
            apart.update(groups[text])
    return apart


def _flat_rows(task: Task, records: Records) -> tuple[list[tuple[str, Row]], int]:
    """The flat rows of all records with their places, and the number of records without any."""
    rows: list[tuple[str, Row]] = []
    num_empty = 0
    for place, record in records:
        with _named(place):
            flat = task.flatten(record)
        for i, row in enumerate(flat):
            own_place = f"{place}: row {i} of the record" if len(flat) > 1 else place
            rows.append((own_place, {"idx": len(rows), **row}))
        num_empty += not flat
    return rows, num_empty


@contextmanager
def _named(place: str) -> Iterator[None]:
    """Says where the row is that turns out to be wrong."""
    try:
        yield
    except RowError as error:
        raise UserError(f"{place}: {error}") from None
