"""Examples to token ids, cached on disk, and ids back to text.

Deviation: T5 runs SentencePiece, this project its re-implementation in `tokenizers`. Of 45,699 real
texts 3 differ: two ties between segmentations, and one U+0085, here white space. What mT5's
vocabulary lacks is <unk>, as transformers reads it; SentencePiece spells it in bytes.
"""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from itertools import chain, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from prompt_tuning.files import written_whole
from prompt_tuning.tasks import Example

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

logger = logging.getLogger(__name__)

SENTINEL = "<extra_id_0>"  # what answers of span corruption + sentinel begin with
_CACHE_FORMAT = 2  # of the files, and of the rules that made them
TEXTS_PER_CALL = 1000  # bounds the memory that the tokenizer's by-products take
_UNWRITABLE = " "  # a space reaches the pieces as \u2581, never as itself
_SENTENCEPIECE_UNKNOWN = " \u2047 "  # what SentencePiece writes for an unknown token


@dataclass(frozen=True)
class EncodedSplit:
    """Token ids of a split; every sequence ends in EOS."""

    inputs: list[list[int]]
    targets: list[list[int]]
    truncated_inputs: int
    truncated_targets: int


def encode_split(
    examples: Sequence[Example],
    tokenizer: "PreTrainedTokenizerFast",
    *,
    max_input_tokens: int | None = None,
    max_target_tokens: int | None = None,
    target_sentinel_id: int | None = None,
    cache_dir: str | Path | None = None,
) -> EncodedSplit:
    """The token ids of the examples of one split, in their order, by T5's tokenizer.

    Args:
        max_input_tokens: at most this many, EOS included; None does not truncate.
        max_target_tokens: likewise of a target, a sentinel included.
        target_sentinel_id: put in front of every target (span corruption + sentinel); None: not.
        cache_dir: of token ids; None does not cache.
    """
    if cache_dir is not None:
        limits = [max_input_tokens, max_target_tokens, target_sentinel_id]
        path = Path(cache_dir, f"{_cache_key(examples, tokenizer, limits)}.npz")
        if path.exists() and (found := _load(path, len(examples))):
            return found
    first = [] if target_sentinel_id is None else [target_sentinel_id]
    inputs, truncated_inputs = _finish(
        _encode([e.inputs for e in examples], tokenizer), tokenizer.eos_token_id, max_input_tokens
    )
    targets, truncated_targets = _finish(
        [first + ids for ids in _encode([e.targets for e in examples], tokenizer)],
        tokenizer.eos_token_id,
        max_target_tokens,
    )
    split = EncodedSplit(inputs, targets, truncated_inputs, truncated_targets)
    if cache_dir is not None:
        _save(split, path)
    return split


def encode_texts(texts: Sequence[str], tokenizer: "PreTrainedTokenizerFast") -> list[list[int]]:
    """The ids of each text, without EOS; the name of a control token in it is plain characters.

    "</s>" does not end a text, and a sentinel comes from an objective or a config alone.

    Source: SentencePiece, of whose pieces of text neither is one.
    Deviation: seqio takes "<extra_id_0>" at the start of a word for the sentinel, transformers
    takes it and "</s>" for the tokens wherever they stand; no official file has either.
    """
    encodings = _text_tokenizer(tokenizer).encode_batch_fast(list(texts), add_special_tokens=False)
    return [encoding.ids for encoding in encodings]


@lru_cache(maxsize=4)  # of a sweep's runs, each with a tokenizer of its own, the last few
def _text_tokenizer(tokenizer: "PreTrainedTokenizerFast") -> "Tokenizer":
    """The tokenizer with its control tokens, sentinels included, under names that no text has.

    (transformers' `split_special_tokens` changes nothing: they are pieces too.)
    """
    backend = tokenizer.backend_tokenizer
    rules, control = json.loads(backend.to_str()), {*tokenizer.all_special_ids}
    added = [token for token in rules["added_tokens"] if token["id"] not in control]
    rules |= {"added_tokens": added, "post_processor": None, "truncation": None, "padding": None}
    pieces = rules["model"]["vocab"]
    for token_id in control:
        if token_id < len(pieces):
            pieces[token_id][0] = f"{_UNWRITABLE}{token_id}"
    return type(backend).from_str(json.dumps(rules))


def decode_ids(tokenizer: "PreTrainedTokenizerFast", ids: Iterable[int]) -> str:
    """The text up to the first EOS. Sentinels stay in it, so that they make an answer wrong.

    Source: seqio's `SentencePieceVocabulary.decode`, for which an id beyond the vocabulary (T5's
    embedding has 28 spare rows) is an unknown token.
    """
    unknown = tokenizer.unk_token_id
    kept = [
        i if i < len(tokenizer) else unknown
        for i in takewhile(lambda i: i != tokenizer.eos_token_id, ids)
        if i != tokenizer.pad_token_id
    ]
    text = tokenizer.decode(kept, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    assert isinstance(text, str), text
    return text.replace(tokenizer.unk_token, _SENTENCEPIECE_UNKNOWN)


def _encode(texts: Sequence[str], tokenizer: "PreTrainedTokenizerFast") -> list[list[int]]:
    """The ids of the texts without EOS; a text that occurs often is tokenised once."""
    distinct = list(dict.fromkeys(texts))
    ids_of: dict[str, list[int]] = {}
    for start in range(0, len(distinct), TEXTS_PER_CALL):
        batch = distinct[start : start + TEXTS_PER_CALL]
        ids_of |= zip(batch, encode_texts(batch, tokenizer), strict=True)
    return [ids_of[text] for text in texts]


def _finish(
    sequences: Sequence[list[int]], eos: int, max_tokens: int | None
) -> tuple[list[list[int]], int]:
    """Truncates and appends EOS; also returns how many sequences were truncated."""
    if max_tokens is None:
        return [[*ids, eos] for ids in sequences], 0
    truncated = sum(len(ids) >= max_tokens for ids in sequences)
    return [[*ids[: max_tokens - 1], eos] for ids in sequences], truncated


def _cache_key(
    examples: Sequence[Example], tokenizer: "PreTrainedTokenizerFast", limits: list[int | None]
) -> str:
    digest = sha256(json.dumps([_CACHE_FORMAT, limits]).encode())
    digest.update(tokenizer.backend_tokenizer.to_str().encode())
    for example in examples:
        digest.update(json.dumps([example.inputs, example.targets]).encode())
    return digest.hexdigest()


def _save(split: EncodedSplit, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as unfinished, unfinished.open("wb") as file:
        truncated = [split.truncated_inputs, split.truncated_targets]
        arrays = _joined("inputs", split.inputs) | _joined("targets", split.targets)
        np.savez(file, **arrays, truncated=truncated)


def _load(path: Path, num_examples: int) -> EncodedSplit | None:
    """What `_save` wrote; None, with a warning, if the file is damaged (zip has checksums)."""
    try:
        with np.load(path) as arrays:
            inputs, targets = _split("inputs", arrays), _split("targets", arrays)
            split = EncodedSplit(inputs, targets, *arrays["truncated"].tolist())
        assert len(inputs) == len(targets) == num_examples, (len(inputs), len(targets))
        return split
    except Exception as error:  # NumPy, zipfile and zlib have no class in common
        logger.warning("%s is damaged (%s): the texts are tokenised again", path, error)
        return None


def _joined(name: str, sequences: Sequence[list[int]]) -> dict[str, Any]:
    """Arrays of all ids and of how many each sequence has."""
    ids = np.fromiter(chain.from_iterable(sequences), dtype=np.int32)
    return {name: ids, f"{name}_lengths": np.array([*map(len, sequences)], dtype=np.int32)}


def _split(name: str, arrays: Mapping[str, np.ndarray]) -> list[list[int]]:
    ends = np.cumsum(arrays[f"{name}_lengths"])
    return [part.tolist() for part in np.split(arrays[name], ends[:-1])]
