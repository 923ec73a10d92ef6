"""Documents as token ids on disk: tokenised once, memory-mapped after that.

An entry of the cache is a folder: the ids of all documents end to end, without EOS, where each
document ends, and what they are. It appears whole or not at all.
"""

import json
import logging
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from prompt_tuning.data.tokenization import encode_texts
from prompt_tuning.errors import UserError
from prompt_tuning.files import made_once, sha256_of
from prompt_tuning.pretraining.documents import TextSource

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

logger = logging.getLogger(__name__)

_CACHE_FORMAT = 2  # of the files, and of the rules that made them
DOCUMENTS_PER_CALL = 16  # bounds the memory that the tokenizer's by-products take


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

    Special tokens that are written in a text are text. `cache_dir` gets an entry per source,
    tokenizer and limit. Stops after the document that reaches `max_tokens`; None takes all. A hub
    data set is streamed only so far.

    Raises:
        UserError: the source cannot be read, or has no text.
    """
    settings = [_CACHE_FORMAT, max_tokens, source.identity]
    key = json.dumps(settings, sort_keys=True) + tokenizer.backend_tokenizer.to_str()
    entry = cache_dir / sha256(key.encode()).hexdigest()[:32]
    write = partial(_write, source, tokenizer, max_tokens)
    try:
        return _open(made_once(entry, write))
    except (OSError, ValueError, KeyError) as error:
        logger.warning("%s is damaged (%s): the text is tokenised again", entry, error)
        shutil.rmtree(entry)
        return _open(made_once(entry, write))


def hold_out(corpus: Corpus, fraction: float, *, seed: int) -> tuple[Corpus, Corpus]:
    """Documents to train on, and about `fraction` of them for held-out loss.

    Which ones depends on their tokens and the seed alone, so that a repeated document is never on
    both sides.

    Raises:
        UserError: one of the two would be empty.
    """

    def digest(document: int) -> int:
        tokens = corpus.document(document).tobytes()
        first_bytes = sha256(f"{seed} ".encode() + tokens).digest()[:8]
        return int.from_bytes(first_bytes, "big") >> 1  # fits an int64

    def select(chosen: NDArray[np.bool_]) -> Corpus:
        return replace(corpus, starts=corpus.starts[chosen], ends=corpus.ends[chosen])

    hashes = np.array([digest(i) for i in range(len(corpus))])
    last = np.sort(hashes)[max(round(fraction * len(corpus)), 1) - 1]
    is_held_out = hashes <= last
    if is_held_out.all():
        raise UserError(
            f"holding out {fraction:g} of {len(corpus)} documents leaves none to train on",
            fix="give held-out files of their own",
        )
    return select(~is_held_out), select(is_held_out)


def _write(
    source: TextSource, tokenizer: "PreTrainedTokenizerFast", max_tokens: int | None, entry: Path
) -> None:
    dtype = np.dtype(np.uint16 if len(tokenizer) <= 2**16 else np.uint32)
    ends, num_tokens, num_unknown = [], 0, 0
    entry.mkdir()
    with (entry / "tokens.bin").open("wb") as file:
        for ids in _encode(source.documents(), tokenizer):
            file.write(np.array(ids, dtype).tobytes())
            num_tokens += len(ids)
            num_unknown += ids.count(tokenizer.unk_token_id)
            ends.append(num_tokens)
            if max_tokens is not None and num_tokens >= max_tokens:
                break
    if not ends:
        raise UserError(f"no text in {dict(source.identity)}")
    np.save(entry / "ends.npy", np.array(ends, np.int64))
    facts = {
        "source": source.identity,
        "num_documents": len(ends),
        "num_tokens": num_tokens,
        "num_unknown_tokens": num_unknown,
        "dtype": dtype.name,
        "sha256": _sha256(entry),
    }
    (entry / "corpus.json").write_text(json.dumps(facts, indent=2), encoding="utf-8")


def _open(entry: Path) -> Corpus:
    """Raises OSError, ValueError or KeyError where the entry is not what was written."""
    facts = json.loads((entry / "corpus.json").read_text(encoding="utf-8"))
    if facts["sha256"] != _sha256(entry):
        raise ValueError("its checksum is wrong")
    ends = np.load(entry / "ends.npy")
    tokens = np.memmap(entry / "tokens.bin", facts.pop("dtype"), mode="r")
    starts = np.concatenate([[0], ends[:-1]])
    return Corpus(tokens, starts, ends, facts)


def _sha256(entry: Path) -> str:
    digests = (bytes.fromhex(sha256_of(entry / name)) for name in ("tokens.bin", "ends.npy"))
    return sha256(b"".join(digests)).hexdigest()


def _encode(documents: Iterable[str], tokenizer: "PreTrainedTokenizerFast") -> Iterator[list[int]]:
    """The ids of each document, without EOS; one without any is left out, as T5 does."""
    remaining = iter(documents)
    while batch := list(islice(remaining, DOCUMENTS_PER_CALL)):
        yield from filter(None, encode_texts(batch, tokenizer))
