"""The vocabulary of a checkpoint with its embeddings, read without the rest of the model."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from prompt_tuning.made_from import ENDS
from prompt_tuning.models.checkpoint_files import located, reading, stored_file
from prompt_tuning.models.loading import (
    ends_problems,
    identity_of,
    load_description,
    load_hugging_face,
    refuse_unclean,
    weights_fingerprints,
)


@dataclass(frozen=True)
class EmbeddingTable:
    """The embeddings of a model [rows, H], with its tokenizer and identity as in `Checkpoint`."""

    weight: NDArray[np.float32]
    tokenizer: PreTrainedTokenizerFast
    source: str
    revision: str | None
    fingerprints: Mapping[str, str]  # of both ends alone: nothing else is looked at

    def token_ids(self, *, with_control_tokens: bool) -> list[int]:
        """The tokens that are pieces of text: neither spare rows nor control tokens.

        Deviation: the paper does not say which rows it looks for neighbours in. Those beyond the
        tokenizer (28 of T5's) stand for nothing, and pad, eos, unk and the sentinels for no text:
        they are left out unless `with_control_tokens`, which leaves out the spare rows alone.
        """
        every = range(min(len(self.tokenizer), len(self.weight)))
        vocabulary = self.tokenizer.get_vocab()
        sentinels = {i for piece, i in vocabulary.items() if "<extra_id_" in piece}  # mT5: pieces
        control = sentinels.union(self.tokenizer.all_special_ids)
        return [i for i in every if with_control_tokens or i not in control]


def load_embedding_table(source: str, revision: str | None) -> EmbeddingTable:
    """Reads two matrices of a checkpoint in safetensors, the whole of any other.

    Takes a source and a revision, and raises, as `load_checkpoint` does.
    """
    _, tokenizer = load_description(source, revision=revision)
    place = located(source)
    with reading(source):
        embedding, head = (_stored(place, revision, name) for name in ENDS)
    if embedding is None or head is None:
        model, _ = load_hugging_face(source, revision=revision)
        embedding, head = model.shared.weight.detach(), model.lm_head.weight.detach()
    refuse_unclean(source, ends_problems(tokenizer, embedding, head))
    return EmbeddingTable(
        embedding.float().numpy(),
        tokenizer,
        *identity_of(source, revision),
        weights_fingerprints(dict(zip(ENDS, (embedding, head), strict=True))),
    )


def _stored(place: str, revision: str | None, name: str) -> Tensor | None:
    """One tensor of a checkpoint in safetensors; None where there is none of that name."""
    path = stored_file(place, "model.safetensors", revision)
    index = None if path else stored_file(place, "model.safetensors.index.json", revision)
    if index is not None:
        part = json.loads(index.read_text(encoding="utf-8"))["weight_map"].get(name)
        path = part and stored_file(place, part, revision)
    if path is None:
        return None
    with safe_open(path, framework="pt") as weights:
        return weights.get_tensor(name) if name in weights.keys() else None  # noqa: SIM118
