"""What a result was made from, by content: data files and weights, and whether they have changed.

Nothing here imports torch: a finished run is recognised at once.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prompt_tuning.errors import UserError
from prompt_tuning.files import flat, stamp
from prompt_tuning.ladder.shipped_models import EMBEDDED, EMBEDDED_MODELS

UNTRAINED_PREFIX = "untrained-"  # begins the name of a folder of random weights
ENDS = ("shared.weight", "lm_head.weight")
FINGERPRINT, INNER = "fingerprint", "inner_fingerprint"  # of the weights of a model
# The embedding under another name; a table that T5's older files have and no model reads.
_NO_WEIGHT = re.compile(r"embed_tokens\.weight|EncDecAttention\.relative_attention_bias\.weight")
_NUMBERS_AT_ONCE = 2**24


def digests(facts: Mapping[str, Any]) -> dict[str, str]:
    """Every hash, revision and fingerprint in the nested facts of a record, by its dotted place."""
    names = ("sha256", "revision", FINGERPRINT, INNER)
    return {place: str(value) for place, value in flat(facts) if place.split(".")[-1] in names}


def differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The places of digests that are others now, or were not there before.

    It also says whether two models have the same weights. Records, prompts and resume points of
    earlier versions have no inner fingerprint: then it is not compared.
    """
    return sorted(
        place
        for place, digest in now.items()
        if before.get(place, digest if place.endswith(INNER) else None) != digest
    )


def changed_since(
    record: Mapping[str, Any], data: Mapping[str, Any], model_path: str | None
) -> str | None:
    """What a record was made from and is another now, in words; None if nothing is known to be.

    Hub data have pinned revisions but for DPR's; whether that or a hub model has a newer one is not
    asked. `data` are facts of what would be read now, under their names in the record's data;
    without a `model_path` in the config the model is where the record has it. Random weights are
    not looked at: they are drawn again where they are needed.
    """
    before = digests(record["data"])
    for place, digest in digests(data).items():
        if before.get(place, digest) != digest:
            return f"its data have changed since ({place.rpartition('.')[0]})"
    model = record.get("model", {})
    if FINGERPRINT in model and not Path(model["source"]).name.startswith(UNTRAINED_PREFIX):
        folder = _folder_of(model_path or model["source"])
        if folder.is_dir() and differing(model, fingerprints_of(folder)):
            return f"the weights in {folder} have changed since"
    return None


def fingerprints_of(folder: Path) -> dict[str, str]:
    """The `fingerprints` of a checkpoint; {} if its weights are not in safetensors.

    Raises:
        UserError: its files are damaged.
    """
    try:
        paths = _weight_files(folder)
        is_there = all(path.is_file() for path in paths)
        return _fingerprints(tuple(paths), *map(stamp, paths)) if is_there else {}
    except (ValueError, KeyError, TypeError, AttributeError, MemoryError, RecursionError) as error:
        raise UserError(
            f"the weights in {folder} are damaged ({type(error).__name__}: {error}), "
            "and a finished run was made from them",
            fix="copy or download them again; the run's record is untouched",
        ) from error


def fingerprints(names: Iterable[str], read: Callable[[str, slice], bytes]) -> dict[str, str]:
    """What names the weights of a model, 16 hex digits each, the same for float32 and bfloat16.

    `fingerprint` is of both ends: they move in every kind of pre-training, so they tell the
    variants of a size apart; hashing the other 97 % of an XXL would take minutes. Of these
    `inner_fingerprint` has the first and last 64 numbers of each tensor, by name: it sees what left
    the ends as they were, such as a LoRA that was merged. Without other tensors there is none.

    Args:
        names: of the tensors.
        read: gives a part of a tensor, flat, in bfloat16.
    """
    inner = sorted(name for name in names if name not in ENDS and not _NO_WEIGHT.search(name))
    samples = [(name, part) for name in inner for part in (slice(64), slice(-64, None))]
    found = {}
    for key, parts in {FINGERPRINT: [(name, slice(None)) for name in ENDS], INNER: samples}.items():
        digest = hashlib.sha256()
        for name, part in parts:
            digest.update(read(name, part))
        if parts:
            found[key] = digest.hexdigest()[:16]
    return found


@cache  # for the runs of a sweep; the stamps see a change
def _fingerprints(paths: Sequence[Path], *stamps: tuple[int, int]) -> dict[str, str]:
    tensors = {name: tensor for path in paths for name, tensor in _stored(path)}
    tensors.setdefault("shared.weight", tensors.get("encoder.embed_tokens.weight"))
    if any(tensor is None for tensor in tensors.values()) or not tensors.keys() >= {*ENDS}:
        return {}
    return fingerprints(tensors, lambda name, part: _as_bfloat16(tensors[name][part]))


def _folder_of(source: str) -> Path:
    if source.startswith(EMBEDDED):
        return EMBEDDED_MODELS / source.removeprefix(EMBEDDED)
    return Path(source)


def _weight_files(folder: Path) -> list[Path]:
    """model.safetensors or, where that is not there, the parts that an index names.

    It is the order in which transformers looks for them.
    """
    whole, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if whole.is_file() or not index.is_file():
        return [whole]
    parts = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
    return [folder / part for part in sorted({*parts})]


def _stored(path: Path) -> Iterator[tuple[str, Any]]:
    """The tensors of a file, flat, by name; those of bfloat16 as uint16; None: of another type.

    NumPy has no bfloat16, and safetensors refuses it; the format is a JSON header and bytes.
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > path.stat().st_size:
            raise ValueError("its header is longer than the file")
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    numbers = np.memmap(path, "u1", mode="r", offset=8 + length)
    if len(numbers) != max(facts["data_offsets"][1] for facts in header.values()):
        raise ValueError("it is not as long as its header says")
    for name, facts in header.items():
        dtype = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}.get(facts["dtype"])
        yield name, None if dtype is None else numbers[slice(*facts["data_offsets"])].view(dtype)


def _as_bfloat16(numbers: NDArray[Any]) -> bytes:
    """The upper halves of float32 numbers, rounded to the nearest, of two equal ones the even."""
    if numbers.dtype == np.uint16:
        return numbers.tobytes()
    rounded = []
    for start in range(0, len(numbers), _NUMBERS_AT_ONCE):
        bits = numbers[start : start + _NUMBERS_AT_ONCE].astype("<f4").view("<u4")
        rounded.append(((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2").tobytes())
    return b"".join(rounded)
