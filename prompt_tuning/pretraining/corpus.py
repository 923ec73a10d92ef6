"""Documents as token ids on disk: tokenised once, memory-mapped after that.

An entry is a folder: the ids of all documents end to end, without EOS, where each document ends,
and, written last, corpus.json. An entry without it is unfinished.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from prompt_tuning.errors import UserError
from prompt_tuning.pretraining.documents import TextSource

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_CACHE_FORMAT = 1  # of the files, and of the rules that made them
_CHARACTERS_PER_CALL = 1_000_000  # bounds the memory that the tokenizer's by-products take
_UNWRITABLE = " "  # a space reaches the pieces as \u2581, never as itself


@dataclass(frozen=True)
class Corpus:
    """Tokenised documents: document i is `tokens[starts[i] : ends[i]]`.

    `provenance` says what they are: source, counts of documents, tokens and unknown tokens.
    """

    tokens: NDArray[np.unsignedinteger]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    provenance: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def num_tokens(self) -> int:
        """The tokens of its documents."""
        return int((self.ends - self.starts).sum())

    def document(self, index: int) -> NDArray[np.unsignedinteger]:
        """The ids of a document; copy before writing."""
        return self.tokens[self.starts[index] : self.ends[index]]


def load_corpus(
    source: TextSource,
    tokenizer: "PreTrainedTokenizerFast",
    *,
    cache_dir: Path,
    max_tokens: int | None = None,
) -> Corpus:
    """The documents of a source as token ids, from the cache if it has them.

    Args:
        source: see `documents.py`.
        tokenizer: T5's, of the `tokenizers` library. Special tokens written in a text are text.
        cache_dir: gets an entry per source, tokenizer and limit.
        max_tokens: stops after the document that reaches it; None takes all. A hub data set is
            streamed only so far.

    Raises:
        UserError: the source cannot be read, or has no text.
    """
    entry = cache_dir / _cache_key(source, tokenizer, max_tokens)
    if not (entry / "corpus.json").exists():
        _write(source, tokenizer, entry, max_tokens)
    return _open(entry)


def hold_out(corpus: Corpus, fraction: float, *, seed: int) -> tuple[Corpus, Corpus]:
    """Documents to train on, and about `fraction` of them for held-out loss.

    Which ones depends on their tokens and the seed alone, so that a repeated document is never on
    both sides.

    Raises:
        UserError: one of the two would be empty.
    """
    hashes = np.array([_hash(corpus.document(i), seed) for i in range(len(corpus))])
    last = np.sort(hashes)[max(round(fraction * len(corpus)), 1) - 1]
    is_held_out = hashes <= last
    if is_held_out.all():
        raise UserError(
            f"holding out {fraction:g} of {len(corpus)} documents leaves none to train on",
            fix="give held-out files of their own",
        )
    return _select(corpus, ~is_held_out), _select(corpus, is_held_out)


def _select(corpus: Corpus, chosen: NDArray[np.bool_]) -> Corpus:
    return replace(corpus, starts=corpus.starts[chosen], ends=corpus.ends[chosen])


def _hash(tokens: NDArray[np.unsignedinteger], seed: int) -> int:
    digest = sha256(f"{seed} ".encode() + tokens.tobytes()).digest()
    return int.from_bytes(digest[:8], "big") >> 1  # fits an int64


def _cache_key(
    source: TextSource, tokenizer: "PreTrainedTokenizerFast", max_tokens: int | None
) -> str:
    settings = [_CACHE_FORMAT, max_tokens, source.identity]
    digest = sha256(json.dumps(settings, sort_keys=True).encode())
    digest.update(tokenizer.backend_tokenizer.to_str().encode())
    return digest.hexdigest()[:32]


def _write(
    source: TextSource,
    tokenizer: "PreTrainedTokenizerFast",
    entry: Path,
    max_tokens: int | None,
) -> None:
    dtype = np.dtype(np.uint16 if len(tokenizer) <= 2**16 else np.uint32)
    ends, num_tokens, num_unknown = [], 0, 0
    entry.mkdir(parents=True, exist_ok=True)
    with _unfinished(entry / "tokens.bin") as file:
        for ids in _encode(source.documents(), tokenizer):
            file.write(np.array(ids, dtype).tobytes())
            num_tokens += len(ids)
            num_unknown += ids.count(tokenizer.unk_token_id)
            ends.append(num_tokens)
            if max_tokens is not None and num_tokens >= max_tokens:
                break
    if not ends:
        raise UserError(f"no text in {dict(source.identity)}")
    with _unfinished(entry / "ends.npy") as file:
        np.save(file, np.array(ends, np.int64))
    facts = {
        "source": source.identity,
        "num_documents": len(ends),
        "num_tokens": num_tokens,
        "num_unknown_tokens": num_unknown,
        "dtype": dtype.name,
    }
    with _unfinished(entry / "corpus.json") as file:
        file.write(json.dumps(facts, indent=2).encode())


def _open(entry: Path) -> Corpus:
    facts = json.loads((entry / "corpus.json").read_text(encoding="utf-8"))
    ends = np.load(entry / "ends.npy")
    tokens = np.memmap(entry / "tokens.bin", facts.pop("dtype"), mode="r")
    starts = np.concatenate([[0], ends[:-1]])
    return Corpus(tokens, starts, ends, facts)


def _encode(documents: Iterable[str], tokenizer: "PreTrainedTokenizerFast") -> Iterator[list[int]]:
    """The ids of each document, without EOS; one without any is left out, as T5 does."""
    backend = _without_special_tokens(tokenizer)
    for batch in _batches(documents):
        for encoding in backend.encode_batch_fast(batch, add_special_tokens=False):
            if encoding.ids:
                yield encoding.ids


def _without_special_tokens(tokenizer: "PreTrainedTokenizerFast") -> Any:
    """The tokenizer with its special tokens, sentinels included, under names that no text has.

    As in SentencePiece, "</s>" in a document is then four characters, and a sentinel comes from an
    objective alone. (transformers' `split_special_tokens` changes nothing: they are pieces too.)
    """
    backend = tokenizer.backend_tokenizer
    rules = json.loads(backend.to_str())
    rules["added_tokens"], rules["post_processor"] = [], None
    for token_id in tokenizer.all_special_ids:
        rules["model"]["vocab"][token_id][0] = f"{_UNWRITABLE}{token_id}"
    return type(backend).from_str(json.dumps(rules))


def _batches(documents: Iterable[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    num_characters = 0
    for document in documents:
        batch.append(document)
        num_characters += len(document)
        if num_characters >= _CHARACTERS_PER_CALL:
            yield batch
            batch, num_characters = [], 0
    if batch:
        yield batch


@contextmanager
def _unfinished(path: Path) -> Iterator[IO[bytes]]:
    """A file that appears under its name when it is whole, or not at all."""
    with NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as file:
        try:
            yield file
        except BaseException:
            Path(file.name).unlink()
            raise
    Path(file.name).replace(path)
