"""Random weights of a T5 v1.1 and the files of a checkpoint around them, in the hub's layout.

Pre-training starts from them, the control variant=random_weights is them, and they stand in for
real checkpoints where there is no hub.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from prompt_tuning.files import written_whole
from prompt_tuning.shapes import MAX_DISTANCE, NUM_SENTINELS, Shape, parameters_of

ROWS_MULTIPLE = 128  # T5 pads its 32,100 pieces to 32,128 embedding rows


def write_random_checkpoint(
    folder: Path,
    shape: Shape,
    sentencepiece_model: Path,
    *,
    seed: int = 0,
    lm_head_deviation: float = 1.0,
) -> None:
    """Writes config.json, model.safetensors and the tokenizer's files, as a hub folder has them.

    `sentencepiece_model` is a T5-like vocabulary (pad 0, eos 1, unk 2), copied as spiece.model.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pieces = write_tokenizer(folder, sentencepiece_model)
    rows = -(-(pieces + NUM_SENTINELS) // ROWS_MULTIPLE) * ROWS_MULTIPLE
    (folder / "config.json").write_text(json.dumps(hub_config(shape, rows), indent=2) + "\n")
    weights = random_weights(shape, rows, seed=seed)
    weights["lm_head.weight"] *= lm_head_deviation
    save_weights(folder, weights)


def save_weights(folder: Path, weights: Mapping[str, Tensor]) -> None:
    """Writes model.safetensors under the tensors' hub names, by atomic rename."""
    with written_whole(folder / "model.safetensors") as unfinished:
        save_file(dict(weights), unfinished, metadata={"format": "pt"})


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
        for name, size, deviation in parameters_of(shape, vocab_rows, model_type)
    }


def hub_config(shape: Shape, vocab_rows: int) -> dict[str, object]:
    """config.json as google/t5-v1_1-* have it; untied embeddings mean unscaled logits."""
    return {
        "architectures": ["T5ForConditionalGeneration"],
        "model_type": "t5",
        **asdict(shape),
        "num_decoder_layers": shape.num_decoder_layers or shape.num_layers,
        "vocab_size": vocab_rows,
        "decoder_start_token_id": 0,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "dropout_rate": 0.1,
        "feed_forward_proj": "gated-gelu",
        "initializer_factor": 1.0,
        "is_encoder_decoder": True,
        "layer_norm_epsilon": 1e-06,
        "relative_attention_max_distance": MAX_DISTANCE,
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
