"""What a result was made from, by content: data files and weights, and whether they have changed.

Nothing here imports torch: a finished run is recognised at once.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prompt_tuning.errors import UserError
from prompt_tuning.files import stamp
from prompt_tuning.ladder.shipped_models import EMBEDDED, EMBEDDED_MODELS

GONE = ("model.recipe",)  # a key of earlier configs that moved no result
UNTRAINED = "untrained-"  # begins the name of a folder of random weights
FINGERPRINTED = ("shared.weight", "lm_head.weight")  # as in models/loading.py
_NUMBERS_AT_ONCE = 2**24


def digests(facts: Mapping[str, Any]) -> dict[str, str]:
    """Every hash, revision and fingerprint in the nested facts of a record, by its dotted place."""
    names = ("sha256", "revision", "fingerprint")
    return {place: str(value) for place, value in flat(facts) if place.split(".")[-1] in names}


def changed_since(
    record: Mapping[str, Any], data: Mapping[str, Any], model_path: str | None = None
) -> str | None:
    """What a record was made from and is another now, in words; None if nothing is known to be.

    Hub data have pinned revisions but for DPR's; whether that or a hub model has a newer one is not
    asked. `data` are facts of what would be read now, under their names in the record's data;
    without a `model_path` in the config the model is where the record has it. So are random
    weights, which have the shape alone of what is there.
    """
    before = digests(record["data"])
    for place, digest in digests(data).items():
        if before.get(place, digest) != digest:
            return f"its data have changed since ({place.rpartition('.')[0]})"
    model = record.get("model", {})
    if "fingerprint" in model:
        is_untrained = Path(model["source"]).name.startswith(UNTRAINED)
        folder = _folder_of(model["source"] if is_untrained else model_path or model["source"])
        found = fingerprint_of(folder) if folder.is_dir() else None
        if found not in (None, model["fingerprint"]):
            return f"the weights in {folder} have changed since"
    return None


def fingerprint_of(folder: Path) -> str | None:
    """`weights_fingerprint` of a checkpoint; None if its weights are not in safetensors.

    Raises:
        UserError: its files are damaged.
    """
    try:
        paths = [path for name in FINGERPRINTED if (path := _file_with(folder, name))]
        if len(paths) < len(FINGERPRINTED):
            return None
        return _fingerprint(*paths, *map(stamp, paths))
    except (ValueError, KeyError, TypeError, AttributeError, MemoryError, RecursionError) as error:
        raise UserError(
            f"the weights in {folder} are damaged ({type(error).__name__}: {error}), "
            "and a finished run was made from them",
            fix="copy or download them again; the run's record is untouched",
        ) from error


@cache  # for the runs of a sweep; the stamps see a change
def _fingerprint(embedding: Path, head: Path, *stamps: tuple[int, int]) -> str | None:
    digest = hashlib.sha256()
    for path, name in zip((embedding, head), FINGERPRINTED, strict=True):
        stored = _stored(path, name)
        if stored is None:
            return None
        for start in range(0, len(stored), _NUMBERS_AT_ONCE):
            digest.update(_as_bfloat16(stored[start : start + _NUMBERS_AT_ONCE]).tobytes())
    return digest.hexdigest()[:16]


def _folder_of(source: str) -> Path:
    if source.startswith(EMBEDDED):
        return EMBEDDED_MODELS / source.removeprefix(EMBEDDED)
    return Path(source)


def _file_with(folder: Path, name: str) -> Path | None:
    """The safetensors file that holds a tensor; None if there is none."""
    path, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if index.is_file():
        path = folder / json.loads(index.read_text(encoding="utf-8"))["weight_map"].get(name, "")
    return path if path.is_file() else None


def _stored(path: Path, name: str) -> NDArray[Any] | None:
    """A tensor's numbers, flat; those of bfloat16 as uint16. None: not there, or of another type.

    NumPy has no bfloat16, and safetensors refuses it; the format is a JSON header and bytes.
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > path.stat().st_size:
            raise ValueError("its header is longer than the file")
        header = json.loads(file.read(length))
    dtype = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}.get(header.get(name, {}).get("dtype"))
    if dtype is None:
        return None
    start, end = header[name]["data_offsets"]
    count = (end - start) // np.dtype(dtype).itemsize
    return np.memmap(path, dtype, mode="r", offset=8 + length + start, shape=(count,))


def _as_bfloat16(numbers: NDArray[Any]) -> NDArray[np.uint16]:
    """The upper halves of float32 numbers, rounded to the nearest, of two equal ones the even."""
    if numbers.dtype == np.uint16:
        return np.asarray(numbers)
    bits = numbers.astype("<f4").view("<u4")
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")


def flat(facts: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every value with its dotted key."""
    for name, value in facts.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
