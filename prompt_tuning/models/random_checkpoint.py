"""Random-weight T5 v1.1 checkpoints in the hub's folder layout.

They make every path that the real checkpoints take runnable where there is no hub: same files, same
names, same shapes, the real vocabulary if one is given. They know nothing: speed and wiring only.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

import torch
from safetensors.torch import save_file
from torch import Tensor

NUM_SENTINELS = 100
NUM_BUCKETS = 32  # of the relative position bias
ROWS_MULTIPLE = 128  # T5 pads its 32,100 pieces to 32,128 embedding rows


@dataclass(frozen=True)
class Shape:
    """The sizes of a T5 v1.1; encoder and decoder have `num_layers` each."""

    d_model: int
    num_layers: int
    num_heads: int
    d_kv: int
    d_ff: int

    @classmethod
    def of(cls, config: Any) -> Self:
        """That of a checkpoint's config."""
        return cls(**{each.name: getattr(config, each.name) for each in fields(cls)})

    @property
    def inner(self) -> int:
        """The width of all heads together."""
        return self.num_heads * self.d_kv


SUBLAYERS = {
    "encoder": ("SelfAttention", "DenseReluDense"),
    "decoder": ("SelfAttention", "EncDecAttention", "DenseReluDense"),
}
# Rows, columns and standard deviation of each matrix of a layer.
ATTENTION: dict[str, Callable[[Shape], tuple[int, int, float]]] = {
    "q": lambda s: (s.inner, s.d_model, (s.d_model * s.d_kv) ** -0.5),
    "k": lambda s: (s.inner, s.d_model, s.d_model**-0.5),
    "v": lambda s: (s.inner, s.d_model, s.d_model**-0.5),
    "o": lambda s: (s.d_model, s.inner, s.inner**-0.5),
}
FEED_FORWARD: dict[str, Callable[[Shape], tuple[int, int, float]]] = {
    "wi_0": lambda s: (s.d_ff, s.d_model, s.d_model**-0.5),
    "wi_1": lambda s: (s.d_ff, s.d_model, s.d_model**-0.5),
    "wo": lambda s: (s.d_model, s.d_ff, s.d_ff**-0.5),
}

# Source: google-research/prompt-tuning configs/models/sizes.
SHAPES = {
    "small": Shape(d_model=512, num_layers=8, num_heads=6, d_kv=64, d_ff=1024),
    "base": Shape(d_model=768, num_layers=12, num_heads=12, d_kv=64, d_ff=2048),
    "large": Shape(d_model=1024, num_layers=24, num_heads=16, d_kv=64, d_ff=2816),
    "xl": Shape(d_model=2048, num_layers=24, num_heads=32, d_kv=64, d_ff=5120),
    "xxl": Shape(d_model=4096, num_layers=24, num_heads=64, d_kv=64, d_ff=10240),
}


def write_random_checkpoint(
    folder: Path,
    shape: Shape,
    sentencepiece_model: Path,
    *,
    seed: int = 0,
    lm_head_deviation: float = 1.0,
) -> None:
    """Writes config.json, model.safetensors and the tokenizer's files, as a hub folder has them.

    Args:
        folder: created if absent.
        shape: the architecture.
        sentencepiece_model: a T5-like vocabulary (pad 0, eos 1, unk 2), copied as spiece.model.
        seed: of the weights.
        lm_head_deviation: standard deviation of the lm_head.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pieces = write_tokenizer(folder, sentencepiece_model)
    rows = -(-(pieces + NUM_SENTINELS) // ROWS_MULTIPLE) * ROWS_MULTIPLE
    (folder / "config.json").write_text(json.dumps(hub_config(shape, rows), indent=2) + "\n")
    weights = random_weights(shape, rows, seed=seed)
    weights["lm_head.weight"] *= lm_head_deviation
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def random_weights(
    shape: Shape, vocab_rows: int, *, seed: int, model_type: str = "t5"
) -> dict[str, Tensor]:
    """The tensors of a T5 v1.1, mT5 or umT5 under their hub names, float32.

    Their deviations are those of transformers.
    """
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.ones(size)
        if deviation is None
        else torch.randn(size, generator=generator) * deviation
        for name, size, deviation in _parameters(shape, vocab_rows, model_type)
    }


def parameter_shapes(shape: Shape, vocab_rows: int) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor of a T5 v1.1, by its hub name."""
    return {name: size for name, size, _ in _parameters(shape, vocab_rows, "t5")}


def _parameters(
    shape: Shape, vocab_rows: int, model_type: str
) -> Iterator[tuple[str, tuple[int, ...], float | None]]:
    """Name, shape and deviation of every tensor; the scales of norms start at one: None."""
    yield "shared.weight", (vocab_rows, shape.d_model), 1.0
    yield "lm_head.weight", (vocab_rows, shape.d_model), 1.0  # untied: a tensor of its own
    for stack, sublayers in SUBLAYERS.items():
        for block in range(shape.num_layers):
            for index, sublayer in enumerate(sublayers):
                layer = f"{stack}.block.{block}.layer.{index}"
                yield f"{layer}.layer_norm.weight", (shape.d_model,), None
                matrices = FEED_FORWARD if sublayer == "DenseReluDense" else ATTENTION
                for name, sizes in matrices.items():
                    rows, columns, deviation = sizes(shape)
                    yield f"{layer}.{sublayer}.{name}.weight", (rows, columns), deviation
        yield f"{stack}.final_layer_norm.weight", (shape.d_model,), None
        for block in range(shape.num_layers if model_type == "umt5" else 1):
            table = f"{stack}.block.{block}.layer.0.SelfAttention.relative_attention_bias.weight"
            yield table, (NUM_BUCKETS, shape.num_heads), shape.d_model**-0.5


def hub_config(shape: Shape, vocab_rows: int) -> dict[str, object]:
    """config.json as google/t5-v1_1-* have it; untied embeddings mean unscaled logits."""
    sizes = asdict(shape)
    return {
        "architectures": ["T5ForConditionalGeneration"],
        "model_type": "t5",
        **sizes,
        "num_decoder_layers": shape.num_layers,
        "vocab_size": vocab_rows,
        "decoder_start_token_id": 0,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "dropout_rate": 0.1,
        "feed_forward_proj": "gated-gelu",
        "initializer_factor": 1.0,
        "is_encoder_decoder": True,
        "layer_norm_epsilon": 1e-06,
        "relative_attention_num_buckets": NUM_BUCKETS,
        "relative_attention_max_distance": 128,
        "tie_word_embeddings": False,
        "use_cache": True,
    }


def write_tokenizer(folder: Path, sentencepiece_model: Path) -> int:
    """Copies the vocabulary beside the hub's tokenizer_config.json; returns its size in pieces."""
    import sentencepiece

    if sentencepiece_model != folder / "spiece.model":
        shutil.copyfile(sentencepiece_model, folder / "spiece.model")
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer_config(), indent=2) + "\n")
    return int(sentencepiece.SentencePieceProcessor(str(sentencepiece_model)).get_piece_size())


def tokenizer_config() -> dict[str, object]:
    """tokenizer_config.json as google/t5-v1_1-* have it."""
    return {
        "tokenizer_class": "T5Tokenizer",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "pad_token": "<pad>",
        "extra_ids": NUM_SENTINELS,
        "additional_special_tokens": [f"<extra_id_{k}>" for k in range(NUM_SENTINELS)],
    }
