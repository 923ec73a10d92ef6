"""Token ids of documents on disk: whole, equal to SentencePiece's, found again, never half."""

import numpy as np
import pytest

from prompt_tuning.errors import UserError
from prompt_tuning.pretraining.corpus import DOCUMENTS_PER_CALL, hold_out, load_corpus
from prompt_tuning.pretraining.documents import TextSource


def source_of(*documents, name="test"):
    return TextSource({"generator": name}, lambda: iter(documents))


def documents_of(corpus):
    return [corpus.document(i).tolist() for i in range(len(corpus))]


def test_documents_come_back_as_sentencepiece_cuts_them(tokenizer, processor, texts, tmp_path):
    """The tokenizer gets several documents at once, which leaves no trace."""
    assert len(texts) > 2 * DOCUMENTS_PER_CALL
    corpus = load_corpus(source_of(*texts), tokenizer, cache_dir=tmp_path)
    assert documents_of(corpus) == processor.encode(texts)
    assert isinstance(corpus.tokens, np.memmap)
    assert corpus.tokens.dtype == np.uint16
    assert corpus.num_tokens == len(corpus.tokens) == corpus.provenance["num_tokens"]


def test_empty_documents_are_left_out_and_unknown_tokens_counted(tokenizer, tmp_path):
    corpus = load_corpus(source_of("", "Anna", " ", "\u4e2d Anna"), tokenizer, cache_dir=tmp_path)
    assert len(corpus) == 2
    assert len(corpus.provenance["sha256"]) == 64
    assert {**corpus.provenance, "sha256": None} == {
        "source": {"generator": "test"},
        "num_documents": 2,
        "num_tokens": 4,
        "num_unknown_tokens": 1,
        "sha256": None,
    }


def test_a_limit_stops_after_the_document_that_reaches_it(tokenizer, tmp_path):
    documents = iter(["Anna", "Anna Boris", "Clara", "Clara"])
    monitored = TextSource({"generator": "endless"}, lambda: documents)
    lengths = [len(tokenizer(text).input_ids) - 1 for text in ("Anna", "Anna Boris")]
    corpus = load_corpus(monitored, tokenizer, cache_dir=tmp_path, max_tokens=lengths[0] + 1)
    assert [len(document) for document in documents_of(corpus)] == lengths


def test_the_cache_is_used_only_for_the_same_source_tokenizer_and_limit(
    tokenizer, vocabulary_folder, tmp_path
):
    read = []

    def load(*documents, name="test", by=tokenizer, max_tokens=None):
        source = TextSource({"generator": name}, lambda: read.append(name) or iter(documents))
        return load_corpus(source, by, cache_dir=tmp_path / "cache", max_tokens=max_tokens)

    first, again = load("Anna", "Boris"), load("never read")
    assert documents_of(again) == documents_of(first)
    assert again.provenance == first.provenance
    assert len(read) == 1

    other = type(tokenizer).from_pretrained(vocabulary_folder)
    other.add_tokens(["zorb"])
    load("Anna", name="other")
    load("Anna", max_tokens=1)
    load("Anna", by=other)
    assert len(read) == 4


def test_an_interrupted_write_is_not_taken_for_a_corpus(tokenizer, tmp_path):
    def interrupted():
        yield from ["Anna"] * 20  # more than the tokenizer gets at once
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_corpus(TextSource({"generator": "test"}, interrupted), tokenizer, cache_dir=tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(load_corpus(source_of("Anna"), tokenizer, cache_dir=tmp_path)) == 1


@pytest.mark.parametrize("name", ["tokens.bin", "ends.npy", "corpus.json"])
@pytest.mark.parametrize("damage", ["absent", "empty", "flipped"])
def test_a_damaged_entry_is_named_and_written_again(tokenizer, tmp_path, caplog, name, damage):
    whole = load_corpus(source_of("Anna", "Boris"), tokenizer, cache_dir=tmp_path)
    expected = documents_of(whole)
    (path,) = tmp_path.glob(f"*/{name}")
    content = path.read_bytes()
    path.unlink()
    if damage != "absent":
        path.write_bytes(b"" if damage == "empty" else bytes([content[0] ^ 1]) + content[1:])
    again = load_corpus(source_of("Anna", "Boris"), tokenizer, cache_dir=tmp_path)
    assert documents_of(again) == expected
    assert f"{path.parent} is damaged" in caplog.text


def test_a_source_without_text_is_the_users_mistake(tokenizer, tmp_path):
    with pytest.raises(UserError, match="no text in"):
        load_corpus(source_of("", " "), tokenizer, cache_dir=tmp_path)


def test_every_document_is_either_trained_on_or_held_out(tokenizer, texts, tmp_path):
    corpus = load_corpus(source_of(*texts), tokenizer, cache_dir=tmp_path)
    train, held_out = hold_out(corpus, 0.1, seed=0)
    assert sorted(documents_of(train) + documents_of(held_out)) == sorted(documents_of(corpus))
    assert len(held_out) == 10
    assert train.num_tokens + held_out.num_tokens == corpus.num_tokens
    assert documents_of(hold_out(corpus, 0.1, seed=0)[1]) == documents_of(held_out)
    assert documents_of(hold_out(corpus, 0.1, seed=1)[1]) != documents_of(held_out)


def test_a_repeated_document_is_never_on_both_sides(tokenizer, texts, tmp_path):
    """A generator repeats itself; its held-out loss must not be of what was trained on."""
    corpus = load_corpus(source_of(*(texts[:20] * 5)), tokenizer, cache_dir=tmp_path)
    for seed in range(10):
        train, held_out = (map(tuple, documents_of(c)) for c in hold_out(corpus, 0.13, seed=seed))
        assert not set(train) & set(held_out)


def test_at_least_one_document_is_held_out_and_one_is_left(tokenizer, tmp_path):
    corpus = load_corpus(source_of("Anna", "Boris"), tokenizer, cache_dir=tmp_path)
    assert [len(part) for part in hold_out(corpus, 0.01, seed=0)] == [1, 1]
    with pytest.raises(UserError, match="leaves none to train on"):
        hold_out(corpus, 0.9, seed=0)
