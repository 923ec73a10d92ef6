"""Prompt files: safetensors with metadata, and the bare .npy of the authors' release.

Reads and writes with NumPy alone, so that a wrong file is refused before torch is imported.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prompt_tuning.errors import UserError, printable
from prompt_tuning.files import written_whole
from prompt_tuning.made_from import FINGERPRINT, INNER, differing

TENSOR = "prompt"
INIT_TENSOR = "init"
PEFT_TENSOR, PEFT_CONFIG = "prompt_embeddings", "adapter_config.json"
RUN_FILE, PEFT_FILE = "prompt.safetensors", "adapter_model.safetensors"
# Greedy, as ptune answers; ids of T5's vocabulary.
GENERATION = {
    "do_sample": False,
    "num_beams": 1,
    "max_new_tokens": 62,
    "decoder_start_token_id": 0,
    "pad_token_id": 0,
    "eos_token_id": 1,
}
METADATA_KEY = "ptune"
FORMAT = 1


@dataclass(frozen=True)
class PromptFile:
    """A saved prompt, float32 [P, H], and what is known about it ({} for an .npy file).

    Metadata keys: model, source, revision, fingerprint, inner_fingerprint, variant, lm_adapt_steps,
    target_sentinel, task, own_task (the definition of a user's own), init, init_words (in the rows,
    where they are not the task's), recipe, seed, config_hash, step, score.
    """

    weight: NDArray[np.float32]
    metadata: Mapping[str, Any]
    init: NDArray[np.float32] | None = None  # [P, H] before the first update; None: not in the file

    @property
    def length(self) -> int:
        """P, the number of prompt positions."""
        return int(self.weight.shape[0])

    @property
    def hidden_size(self) -> int:
        """H, the width of the model that the prompt was trained on."""
        return int(self.weight.shape[1])


def save_prompt(
    path: Path,
    weight: NDArray[np.float32],
    metadata: Mapping[str, Any],
    init: NDArray[np.float32] | None = None,
) -> None:
    """Writes the fields of a `PromptFile`, by atomic rename: a file that exists is whole."""
    from safetensors.numpy import save_file

    tensors = {TENSOR: weight} | ({} if init is None else {INIT_TENSOR: init})
    for tensor in tensors.values():
        assert tensor.ndim == 2 and tensor.dtype == np.float32, (tensor.shape, tensor.dtype)
        assert tensor.shape == weight.shape, (tensor.shape, weight.shape)
    stored = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    with written_whole(path) as unfinished:
        save_file(stored, unfinished, metadata=_described(metadata))


def _described(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Metadata in the form that a safetensors file has for them: texts by names.

    Their order is kept: that of labels says which class is which.
    """
    return {METADATA_KEY: json.dumps({"format": FORMAT, **metadata})}


def save_array(path: Path, prompt: PromptFile) -> None:
    """Writes the bare float32 array [P, H] of google-research/prompt-tuning, by atomic rename."""
    with written_whole(path) as unfinished, unfinished.open("wb") as file:
        np.save(file, prompt.weight)


def save_peft(folder: Path, prompt: PromptFile, base: str, num_submodules: int) -> None:
    """Writes what `PeftModel.from_pretrained` takes, with the settings of ptune's own answers.

    The file has ptune's metadata as well, so that it can be used here as the run's own.

    Args:
        folder: that is there.
        prompt: with metadata.
        base: hub id or folder of its model.
        num_submodules: 1 or 2. With 2, PEFT's default for T5, there is a second prompt, for the
            decoder, which PEFT never uses: the same one again.
    """
    from safetensors.numpy import save_file

    settings = {
        "peft_type": "PROMPT_TUNING",
        "task_type": "SEQ_2_SEQ_LM",
        "base_model_name_or_path": base,
        "revision": prompt.metadata["revision"],
        "inference_mode": True,
        "num_virtual_tokens": prompt.length,
        "token_dim": prompt.hidden_size,
        "num_transformer_submodules": num_submodules,
        "num_attention_heads": None,  # of prefix tuning; PEFT fills them in from the model
        "num_layers": None,
        "prompt_tuning_init": "RANDOM",
    }
    for name, values in ((PEFT_CONFIG, settings), ("generation_config.json", GENERATION)):
        with written_whole(folder / name) as unfinished:
            unfinished.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    tensors = {PEFT_TENSOR: np.concatenate([prompt.weight] * num_submodules)}
    with written_whole(folder / PEFT_FILE) as unfinished:
        save_file(tensors, unfinished, metadata={"format": "pt", **_described(prompt.metadata)})


def prompt_file(path: Path) -> Path:
    """The prompt in a folder, of a run or of PEFT; a file is itself.

    Raises:
        UserError: the folder has none.
    """
    if not path.is_dir():
        return path
    for name in (RUN_FILE, PEFT_FILE):
        if (path / name).is_file():
            return path / name
    there = ", ".join(sorted(each.name for each in path.iterdir())[:8]) or "nothing"
    raise UserError(
        f"{path} has no prompt: neither {RUN_FILE} of a run nor {PEFT_FILE} of PEFT",
        fix="give the folder of a finished run of prompt tuning, or an .npy file itself "
        f"(there is {there}); a run that has lost its prompt makes it again when it is started "
        "again",
    )


def load_prompt(path: Path) -> PromptFile:
    """Reads a prompt of ours, an .npy of the authors', or PEFT's adapter_model.safetensors.

    Raises:
        UserError: the file is missing, unreadable, or holds no float32 matrix.
    """
    if not path.is_file():
        raise UserError(f"prompt file {path} does not exist", fix="check the path")
    try:
        weight, described, init = _read(path)
        metadata = _checked(described)
    except Exception as error:
        raise UserError(
            f"prompt file {path} cannot be read: {error}",
            allowed="a .safetensors prompt of ptune or PEFT, or an .npy array [P, H]",
            fix="copy it again; a run makes its own again when it is started again",
        ) from error
    if weight.ndim != 2 or 0 in weight.shape or not np.issubdtype(weight.dtype, np.floating):
        raise UserError(
            f"prompt file {path} holds a {weight.dtype} array of shape {weight.shape}",
            allowed="floating-point numbers of shape [prompt length, hidden size]",
        )
    if init is not None and (init.shape != weight.shape or init.dtype != np.float32):
        raise UserError(f"prompt file {path} has an init of {init.dtype} {init.shape}")
    with np.errstate(over="ignore"):  # a float64 may be beyond float32
        weight = weight.astype(np.float32)
    if not all(np.isfinite(array).all() for array in (weight, init) if array is not None):
        raise UserError(f"prompt file {path} holds values that are not finite in float32")
    return PromptFile(weight, metadata, init)


def library_paths(folder: Path) -> dict[str, Path]:
    """The prompts of a folder by name: `<name>.safetensors`, and `<run>/prompt.safetensors`."""
    files = {path.stem: path for path in sorted(folder.glob("*.safetensors"))}
    return {path.parent.name: path for path in sorted(folder.glob(f"*/{RUN_FILE}"))} | files


def mixed_models(prompts: Mapping[str, PromptFile]) -> list[UserError]:
    """What is wrong with prompts that one frozen model is to serve: nothing, or one problem."""
    names: dict[tuple[str | None, int], list[str]] = {}
    for name, prompt in prompts.items():
        key = (prompt.metadata.get("fingerprint"), prompt.hidden_size)
        names.setdefault(key, []).append(name)
    if len(names) <= 1:
        return []
    found = "; ".join(
        f"{', '.join(alike)}: {prompts[alike[0]].metadata.get('source', 'unknown')}, width {width}"
        for (_, width), alike in names.items()
    )
    return [UserError(f"the prompts are of several models: {found}", fix="run one after another")]


def check_fits(
    prompt: PromptFile, path: Path, *, hidden_size: int, fingerprints: Mapping[str, str]
) -> None:
    """Refuses a prompt on a model (H, and the digests of its weights) that it was not trained on.

    Raises:
        UserError: the width differs, or the weights do.
    """
    trained_on = prompt.metadata.get("source", "an unknown model")
    if prompt.hidden_size != hidden_size:
        raise UserError(
            f"prompt {path} has width {prompt.hidden_size} and the model {hidden_size}; "
            f"it was trained on {trained_on}",
            fix="choose the model that the prompt was trained on",
        )
    known = prompt.metadata
    if FINGERPRINT in known and (others := differing(known, fingerprints)):
        raise UserError(
            f"prompt {path} was trained on {trained_on} (weights {known[others[0]]}), "
            f"and these are other weights ({fingerprints[others[0]]})",
            fix="choose the model, variant and revision that the prompt was trained on",
        )


# What metadata may hold; that of another version of ptune may have more.
_TEXT = ("model", "name", "source", FINGERPRINT, INNER, "variant", "task", "init", "recipe")
_KINDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys((*_TEXT, "config_hash"), (str,)),
    **dict.fromkeys(("format", "lm_adapt_steps", "seed", "step"), (int,)),
    **dict.fromkeys(("target_sentinel", "random_weights"), (bool,)),
    "revision": (str, NoneType),
    "score": (int, float, NoneType),
    "init_words": (list,),
    "own_task": (dict,),  # what is in it `own_data.from_metadata` checks
}
_VARIANT_KEYS = ("variant", "lm_adapt_steps", "target_sentinel")
# What it takes to load the model again.
_NEEDED = {"source": ("revision", *_VARIANT_KEYS), "variant": _VARIANT_KEYS}
_NAME = r"(?!\.+(?:/|$))[\w.-]+"  # of a part of a path, neither . nor ..
_INSIDE = re.compile(rf"(?:embedded:|packaged:)?{_NAME}(?:/{_NAME})*")


def _checked(metadata: Any) -> dict[str, Any]:
    """The metadata of a prompt file, which may be a stranger's, with its texts printable.

    Raises:
        ValueError: a value is of a wrong type, or leads out of the place that it names.
    """
    if not isinstance(metadata, dict):
        raise ValueError(f"its metadata are a {type(metadata).__name__}, not an object")
    for name, value in metadata.items():
        kinds = _KINDS.get(name)
        if kinds and (
            not isinstance(value, kinds) or isinstance(value, bool) != (kinds == (bool,))
        ):
            raise ValueError(f"its metadata have {name} {value!r:.40}")
    if metadata.get("format", FORMAT) != FORMAT:
        raise ValueError(f"it has format {metadata['format']}, and this version reads {FORMAT}")
    checked = {name: printable(v) if isinstance(v, str) else v for name, v in metadata.items()}
    for name, needed in _NEEDED.items():
        if name in checked and (missing := [each for each in needed if each not in checked]):
            raise ValueError(f"its metadata lack {', '.join(missing)}")
    if (source := checked.get("source")) is not None:
        places = [source, checked["revision"]]
        if Path(source).is_absolute():  # a folder, trained on with model.path=
            places.remove(source)
        for place in filter(None, places):
            if not _INSIDE.fullmatch(place):
                raise ValueError(f"its metadata name the place {place!r:.80}")
    return checked


def _read(path: Path) -> tuple[NDArray[Any], dict[str, Any], NDArray[Any] | None]:
    from safetensors import deserialize, safe_open

    if path.suffix == ".npy":
        return np.load(path, allow_pickle=False), {}, None
    with safe_open(path, framework="np") as file:
        metadata = json.loads((file.metadata() or {}).get(METADATA_KEY, "{}"))
    tensors = {name: _array(**stored) for name, stored in deserialize(path.read_bytes())}
    if TENSOR in tensors:
        return tensors[TENSOR], metadata, tensors.get(INIT_TENSOR)
    if PEFT_TENSOR not in tensors:
        names = ", ".join(tensors)
        raise ValueError(f"no tensor {TENSOR} or {PEFT_TENSOR} in it, but {names or 'none'}")
    # PEFT's default for T5 stores a second prompt, for the decoder, and never uses it.
    try:
        config = dict(json.loads((path.parent / PEFT_CONFIG).read_text(encoding="utf-8")))
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"{PEFT_CONFIG} beside it is damaged: {error}") from error
    kind, number = (config.get(name) for name in ("peft_type", "num_virtual_tokens"))
    if kind != "PROMPT_TUNING":
        raise ValueError(f"{PEFT_CONFIG} says peft_type={kind}, not PROMPT_TUNING")
    rows = tensors[PEFT_TENSOR]
    if type(number) is not int or number < 1 or len(rows) not in (number, 2 * number):
        raise ValueError(f"{PEFT_CONFIG} says num_virtual_tokens={number} beside {len(rows)} rows")
    return rows[:number], metadata, None


_NUMPY_DTYPES = {"F16": "<f2", "F32": "<f4", "F64": "<f8"}


def _array(dtype: str, shape: list[int], data: bytes) -> NDArray[Any]:
    """A stored tensor; bfloat16, which NumPy lacks, as float32 of the same values."""
    if dtype == "BF16":
        bits = np.frombuffer(data, "<u2").astype("<u4") << 16
        return bits.view("<f4").reshape(shape)
    return np.frombuffer(data, _NUMPY_DTYPES.get(dtype, "u1")).reshape(shape)
