"""The files of a checkpoint: where, which must be there, which architecture, what about damage."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from prompt_tuning.errors import UserError
from prompt_tuning.ladder.shipped_models import EMBEDDED, embedded_folder
from prompt_tuning.made_from import UNTRAINED_PREFIX
from prompt_tuning.models.packaged import PACKAGED, imported_folder
from prompt_tuning.shapes import MAX_DISTANCE, NUM_BUCKETS

ADAPTER = "adapter_config.json"  # PEFT's: with it transformers loads the model that it is for
VOCABULARY_FILES = ("spiece.model", "tokenizer.json")
# model_type: the feed_forward_proj of a config.json that does not say it, as transformers has it.
FAMILY = {"t5": "relu", "mt5": "gated-gelu", "umt5": "gated-gelu"}
_OBJECTS = ("config.json", "tokenizer_config.json", "tokenizer.json", "generation_config.json")
_LFS_POINTER = b"version https://git-lfs"


@contextmanager
def reading(source: str) -> Iterator[None]:
    """Whatever libraries raise over a checkpoint becomes one error that names it.

    The hub's client, four file formats and two tokenizers are at work: their exceptions have no
    common class below Exception.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        folder, reason = Path(located(source)), str(error).partition("\n")[0]
        on_hub = "check the network, or give a folder in the hub's layout: model.path=<folder>"
        raise UserError(
            f"cannot load the checkpoint {source}: {type(error).__name__}: {reason}",
            fix=_remedy(folder) if folder.is_dir() else on_hub,
        ) from error


def located(source: str) -> str:
    """The folder of an embedded or packaged model; any other source, hub id or folder, as it is.

    Prompts and records name a model by its source.

    Raises:
        UserError: this version of ptune has no such model, or its package is not installed.
    """
    if source.startswith(EMBEDDED):
        return str(embedded_folder(source))
    if source.startswith(PACKAGED):
        return str(imported_folder(source))
    return source


def stored_file(place: str, name: str, revision: str | None) -> Path | None:
    """A file of a checkpoint, in a folder or on the hub; None if it has none of that name."""
    from transformers.utils.hub import cached_file

    path = cached_file(place, name, revision=revision, _raise_exceptions_for_missing_entries=False)
    return None if path is None else Path(path)


def check_folder(source: str) -> None:
    """Refuses a folder without a config.json, with an adapter or a damaged file; reads no weight.

    A hub id passes: what it has is read as it is loaded.

    Raises:
        UserError: an absolute path is no folder; config.json is absent; an adapter is there; a file
            is empty, cut short or only points, or links, to its content.
    """
    folder = Path(source)
    if not folder.is_dir():
        if folder.is_absolute():
            raise UserError(f"there is no folder {folder}", fix=_remedy(folder))
        return
    if not (folder / "config.json").exists():
        raise UserError(
            f"no config.json in {folder}",
            fix="give a checkpoint in the hub's layout: model.path=<folder>",
        )
    if (folder / ADAPTER).exists():
        raise UserError(
            f"{folder} has an adapter ({ADAPTER}) beside its weights: it would change them",
            fix="merge it (PEFT: merge_and_unload, save_pretrained), or move its files elsewhere",
        )
    for path in sorted(folder.iterdir()):
        is_read = path.suffix in {".json", ".safetensors", ".bin"} or path.name in VOCABULARY_FILES
        if is_read and not path.exists():
            raise UserError(f"{path} is a link to a file that is not there", fix=_remedy(folder))
        if is_read and not path.is_dir():
            check_file(path, is_vocabulary=path.name == "spiece.model")


def check_vocabulary(source: str) -> None:
    """Refuses a folder without a vocabulary, of which transformers would make an empty one."""
    folder = Path(source)
    if folder.is_dir() and not any((folder / name).exists() for name in VOCABULARY_FILES):
        raise UserError(
            f"no {' or '.join(VOCABULARY_FILES)} in {folder}",
            fix="copy it from the checkpoint that the model began as: without its vocabulary "
            "every word is unknown",
        )


def architecture_problem(name: str, config: Mapping[str, Any]) -> UserError | None:
    """Why a config.json describes no model that ptune has; None if it does.

    What `tie_word_embeddings` says counts for nothing, since transformers 5 writes true for every
    T5. Whether the lm_head is a matrix of its own is seen in the weights.
    """
    model_type = str(config.get("model_type"))
    feed_forward = config.get("feed_forward_proj", FAMILY.get(model_type))
    first_token = config.get("decoder_start_token_id")
    activation = config.get("dense_act_fn", "gelu_new")
    buckets = config.get("relative_attention_num_buckets", NUM_BUCKETS)
    distance = config.get("relative_attention_max_distance", MAX_DISTANCE)
    if model_type not in FAMILY:
        problem = f"holds a {model_type} (model_type in its config.json)"
    elif config.get("tokenizer_class") == "ByT5Tokenizer":
        problem = "holds a ByT5, which reads bytes; prompts are made of pieces of text"
    elif feed_forward != "gated-gelu":
        problem = (
            f"holds a {model_type} of feed_forward_proj={feed_forward}; T5 1.0 has relu, "
            "T5 v1.1 gated-gelu"
        )
    elif config.get("scale_decoder_outputs", False):
        problem = "holds a T5 1.0: scale_decoder_outputs is true in its config.json"
    elif first_token not in (None, 0):
        problem = f"starts decoding with token {first_token} (decoder_start_token_id), T5 with 0"
    elif activation != "gelu_new":
        problem = f"has dense_act_fn={activation}, T5 v1.1 gelu_new"
    elif not (type(buckets) is type(distance) is int and 2 <= buckets // 2 < distance):
        problem = (  # half of a stack's buckets are exact, and the others reach further
            f"has relative_attention_num_buckets={buckets} and "
            f"relative_attention_max_distance={distance}, T5 {NUM_BUCKETS} and {MAX_DISTANCE}"
        )
    else:
        return None
    return UserError(
        f"{name} {problem}",
        allowed="T5 v1.1, also LM-adapted or FLAN-T5 (t5), mT5 (mt5), umT5 (umt5)",
        fix="choose a checkpoint of one of these, such as google/t5-v1_1-base or google/mt5-base",
    )


def _remedy(folder: Path) -> str:
    """What to do about a checkpoint that is gone or damaged."""
    if folder.name.startswith(UNTRAINED_PREFIX):
        return "add model=<its name> variant=random_weights: its weights are drawn again"
    return "copy or download it again"


def check_file(path: Path, *, is_vocabulary: bool) -> None:
    """Raises a UserError if a file is damaged or, as a vocabulary, no SentencePiece model."""
    with path.open("rb") as file:
        start = file.read(len(_LFS_POINTER))
    if not start:
        raise UserError(f"{path} is empty", fix=_remedy(path.parent))
    if start == _LFS_POINTER:
        raise UserError(
            f"{path} is a pointer of Git LFS, not the file itself",
            fix=f"git lfs pull, in {path.parent}",
        )
    try:
        if is_vocabulary:
            import sentencepiece

            sentencepiece.SentencePieceProcessor(str(path))
        elif path.suffix == ".json":
            value = json.loads(path.read_text(encoding="utf-8"))
            if path.name in _OBJECTS and not isinstance(value, dict):
                raise ValueError(f"a {type(value).__name__} where an object belongs")
        elif path.suffix == ".safetensors":
            with safe_open(path, framework="pt"):
                pass  # its header is read, and compared with the length of the file
    except (ValueError, SafetensorError, RuntimeError, RecursionError) as error:
        raise UserError(f"{path} is damaged: {error}", fix=_remedy(path.parent)) from error
