"""T5 v1.1 checkpoints: loading from the hub or a folder in the hub's layout, checking, saving.

What transformers can silently get wrong is asserted here, once, before a prompt is trained on it.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import save_file
from torch import Tensor
from transformers import (
    AutoTokenizer,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)
from transformers.utils.hub import cached_file

from prompt_tuning.errors import UserError
from prompt_tuning.models.frozen_t5 import FrozenT5, PackedT5
from prompt_tuning.models.packaged import provenance
from prompt_tuning.models.places import located
from prompt_tuning.models.random_checkpoint import Shape, random_weights

DESCRIPTION_FILES = (
    "config.json",
    "spiece.model",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
)
EXPECTED_SPECIAL_IDS = {"<pad>": 0, "</s>": 1, "<unk>": 2}


@dataclass(frozen=True)
class Checkpoint:
    """A model with its tokenizer and its identity.

    `source` is a hub id, a folder or `embedded:<name>`, `revision` the commit of a hub id, and
    `fingerprint` names the weights themselves: a prompt trained on them works on no others.
    """

    model: PackedT5
    tokenizer: PreTrainedTokenizerFast
    source: str
    revision: str | None
    fingerprint: str
    num_parameters: int
    provenance: Mapping[str, Any] | None = None  # of an imported model: package, files, a note

    def encode_text(self, text: str) -> list[int]:
        """Token ids of a text, without EOS."""
        return list(self.tokenizer(text, add_special_tokens=False).input_ids)

    @property
    def sentinel_id(self) -> int:
        """The id of `<extra_id_0>`: 32099 in T5's vocabulary."""
        return _token_id(self.tokenizer, "<extra_id_0>")


def load_checkpoint(
    source: str, *, revision: str | None, dtype: torch.dtype, device: torch.device
) -> Checkpoint:
    """Loads, checks and fuses a checkpoint.

    Args:
        source: a hub id such as google/t5-small-lm-adapt, a folder with config.json, weights and
            tokenizer files, or `embedded:<name>`.
        revision: of the hub repository; None for a folder or for the hub's main branch.
        dtype: float32 or bfloat16.
        device: where the model will run.

    Raises:
        UserError: the checkpoint cannot be read, or is not a T5 v1.1.
    """
    model, tokenizer = _load(source, revision=revision, dtype=dtype)
    torch.nn.Module.to(model.requires_grad_(False), device)
    return Checkpoint(
        model=FrozenT5(model),
        tokenizer=tokenizer,
        source=str(Path(source).resolve()) if Path(source).is_dir() else source,
        revision=getattr(model.config, "_commit_hash", None),
        fingerprint=weights_fingerprint(model.shared.weight, model.lm_head.weight),
        num_parameters=sum(parameter.numel() for parameter in model.parameters()),
        provenance=provenance(Path(located(source))),
    )


def _load(
    source: str, *, revision: str | None, dtype: torch.dtype
) -> tuple[T5ForConditionalGeneration, PreTrainedTokenizerFast]:
    """Model and tokenizer, checked."""
    assert dtype is not torch.float16, "T5 overflows in float16"
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    place = located(source)
    check_is_v1_1(place)
    try:
        loaded: Any = T5ForConditionalGeneration.from_pretrained(
            place, revision=revision or "main", dtype=dtype, output_loading_info=True
        )
        tokenizer = AutoTokenizer.from_pretrained(place, revision=revision or "main")
    except (OSError, ValueError) as error:
        raise UserError(
            f"cannot load the checkpoint {source}: {str(error).splitlines()[0]}",
            fix="check the network, or give a folder in the hub's layout: model.path=<folder>",
        ) from error
    model, report = loaded
    assert isinstance(tokenizer, PreTrainedTokenizerFast), type(tokenizer)
    problems = _problems(model, report) + _tokenizer_problems(tokenizer)
    if problems:
        raise UserError(f"the checkpoint {source} did not load cleanly: {'; '.join(problems)}")
    return model, tokenizer


def load_weights(
    source: str, *, device: torch.device, revision: str | None = None
) -> tuple[dict[str, Tensor], T5Config]:
    """The float32 weights of a checkpoint by name, each requiring a gradient, and its config.

    Raises:
        UserError: as `load_checkpoint`.
    """
    model, _ = _load(source, revision=revision, dtype=torch.float32)
    weights = {
        name: weight.detach().to(device).clone().requires_grad_()
        for name, weight in model.state_dict().items()
        if not name.endswith("embed_tokens.weight")  # shared.weight under other names
    }
    return weights, model.config


def save_checkpoint(
    folder: Path,
    weights: Mapping[str, Tensor],
    first: str,
    *,
    dtype: torch.dtype,
    revision: str | None = None,
) -> None:
    """Writes weights beside the config and the tokenizer of the checkpoint they began as.

    Args:
        folder: gets the hub's layout; the weights come last.
        weights: by their names in a checkpoint.
        first: that checkpoint, a folder or a hub id.
        dtype: of the file; it is loaded as the run asks for.
        revision: of the hub repository; None: its newest.
    """
    _copy_description(first, revision, folder)
    stored = {name: weight.detach().to(dtype).cpu() for name, weight in weights.items()}
    unfinished = folder / "model.safetensors.tmp"
    save_file(stored, unfinished, metadata={"format": "pt"})
    unfinished.replace(folder / "model.safetensors")


def write_untrained_checkpoint(folder: Path, source: str, *, revision: str | None = None) -> None:
    """Writes a checkpoint of the shape and with the tokenizer of another, its weights random.

    They are drawn as transformers draws them, with seed 0: the control of what pre-training gives.

    Args:
        folder: gets the hub's layout.
        source: a hub id, a folder or `embedded:<name>`.
        revision: of the hub repository; None: its newest.
    """
    place = located(source)
    check_is_v1_1(place)
    config = T5Config.from_pretrained(place, revision=revision or "main")
    names = [field.name for field in fields(Shape)]
    shape = Shape(**{name: getattr(config, name) for name in names})
    weights = random_weights(shape, config.vocab_size, seed=0)
    save_checkpoint(folder, weights, source, dtype=torch.float32, revision=revision)


def _copy_description(source: str, revision: str | None, folder: Path) -> None:
    """Copies what a checkpoint has beside its weights: config and tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    place = located(source)
    for name in DESCRIPTION_FILES:
        path = cached_file(
            place, name, revision=revision, _raise_exceptions_for_missing_entries=False
        )
        if path is not None:
            (folder / name).write_bytes(Path(path).read_bytes())


def weights_fingerprint(embedding: Tensor, lm_head: Tensor) -> str:
    """16 hex digits over both ends of a model, the same for float32 and bfloat16 weights.

    The embedding and the head move in every kind of pre-training, so they tell the variants of a
    size apart; hashing the other 97 % of an XXL would take minutes.
    """
    digest = hashlib.sha256()
    for tensor in (embedding, lm_head):
        rounded = tensor.detach().to(device="cpu", dtype=torch.bfloat16).contiguous()
        digest.update(rounded.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def check_is_v1_1(source: str) -> None:
    """Refuses a folder whose config.json is not that of a T5 v1.1; needs no weights.

    A hub id passes: its config is read with its weights.
    """
    path = Path(source) / "config.json"
    if not path.exists():
        return
    config = json.loads(path.read_text(encoding="utf-8"))
    expected = {"model_type": "t5", "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}
    for key, value in expected.items():
        if config.get(key) != value:
            raise UserError(
                f"{path}: {key} is {config.get(key)!r}; a T5 v1.1 has {value!r}",
                fix="give a T5 v1.1 checkpoint (gated GELU, untied lm_head)",
            )


def _problems(model: T5ForConditionalGeneration, report: dict[str, object]) -> list[str]:
    """What transformers may have done to the weights without saying so (each was seen)."""
    config = model.config
    embedding = model.shared.weight
    checks = {
        f"missing weights {report['missing_keys']}": not report["missing_keys"],
        f"weights of another shape {report['mismatched_keys']}": not report["mismatched_keys"],
        "the feed-forward layer is not gated GELU": config.feed_forward_proj == "gated-gelu",
        "the logits are scaled, as in T5 1.0": not config.scale_decoder_outputs,
        "the lm_head is tied to the embedding": model.lm_head.weight is not embedding,
        "the encoder has its own embedding": model.encoder.embed_tokens.weight is embedding,
        "the decoder has its own embedding": model.decoder.embed_tokens.weight is embedding,
        f"the weights are {embedding.dtype}": embedding.dtype is not torch.float16,
    }
    return [problem for problem, passed in checks.items() if not passed]


def _tokenizer_problems(tokenizer: PreTrainedTokenizerFast) -> list[str]:
    return [
        f"the tokenizer gives {token} the id {_token_id(tokenizer, token)}, not {expected}"
        for token, expected in EXPECTED_SPECIAL_IDS.items()
        if _token_id(tokenizer, token) != expected
    ]


def _token_id(tokenizer: PreTrainedTokenizerFast, token: str) -> int:
    token_id = tokenizer.convert_tokens_to_ids(token)
    assert isinstance(token_id, int), token_id
    return token_id
