"""The vocabulary that a pre-trained model starts from, by SentencePiece and transformers."""

from collections import Counter

import pytest
import sentencepiece

from prompt_tuning.errors import UserError
from prompt_tuning.pretraining.vocabulary import sentence_end_ids, write_vocabulary


def test_special_ids_and_sentinels_are_where_t5_has_them(tokenizer, processor):
    """`<extra_id_0>` is the last id and 100 of them follow the pieces: 32,099 for T5's 32,000."""
    pieces = processor.get_piece_size()
    assert tokenizer.convert_ids_to_tokens([0, 1, 2]) == ["<pad>", "</s>", "<unk>"]
    assert tokenizer.bos_token is None
    assert len(tokenizer) == pieces + 100
    sentinels = [f"<extra_id_{k}>" for k in range(100)]
    expected = list(range(pieces + 99, pieces - 1, -1))
    assert tokenizer.convert_tokens_to_ids(sentinels) == expected


def test_every_required_word_is_one_piece(tokenizer, processor, required_words):
    for word in required_words:
        for text in (word, f"the {word}"):
            ids = tokenizer(text, add_special_tokens=False).input_ids
            assert tokenizer.convert_ids_to_tokens(ids)[-1] == f"\u2581{word}"
            assert ids == processor.encode(text)


def test_a_longer_word_keeps_its_own_pieces(processor):
    """A user-defined symbol "no" would cut "nothing", which the texts have often."""
    assert processor.encode("nothing", out_type=str) == ["\u2581nothing"]


def test_ids_are_sorted_by_frequency(processor, texts):
    """So that the "most frequent" of `sampled_vocab` are what the paper means."""
    counts = Counter(token_id for ids in processor.encode(texts) for token_id in ids)
    by_id = [counts[token_id] for token_id in range(3, processor.get_piece_size())]
    assert by_id == sorted(by_id, reverse=True)
    assert by_id[0] > 300
    assert by_id[-1] == 0


def test_training_again_gives_the_same_bytes(vocabulary_folder, texts, required_words, tmp_path):
    """Whatever the order in which the words are given."""
    write_vocabulary(tmp_path, iter(texts), num_pieces=160, required_words=required_words[::-1])
    for file in ("spiece.model", "tokenizer_config.json"):
        assert (tmp_path / file).read_bytes() == (vocabulary_folder / file).read_bytes()


def test_required_words_are_among_the_number_of_pieces(texts, required_words, tmp_path):
    limits = {"num_pieces": 110, "required_words": required_words}
    assert write_vocabulary(tmp_path, texts, **limits) in range(105, 111)


def test_a_word_unlike_all_others_is_one_piece_only_if_required(tmp_path):
    """If the first half fails, SentencePiece has changed: correct `write_vocabulary`."""
    for words in ([], ["zebra"]):
        write_vocabulary(tmp_path, ["zebra quagga"] * 500, num_pieces=400, required_words=words)
        processor = sentencepiece.SentencePieceProcessor(str(tmp_path / "spiece.model"))
        assert (len(processor.encode("zebra")) == 1) == bool(words)


def test_a_very_long_line_is_learnt_from_too(tmp_path):
    """SentencePiece's default leaves out lines beyond 4,192 bytes, without an error."""
    write_vocabulary(tmp_path, ["zebra zebras " * 500], num_pieces=120)
    processor = sentencepiece.SentencePieceProcessor(str(tmp_path / "spiece.model"))
    assert processor.encode("zebra", out_type=str) == ["\u2581zebra"]


@pytest.mark.parametrize("word", ["two words", "", " "])
def test_a_required_word_that_is_not_one_word_is_refused(texts, tmp_path, word):
    with pytest.raises(UserError, match="is not one word"):
        write_vocabulary(tmp_path, texts[:5], num_pieces=160, required_words=[word])


def test_too_few_pieces_are_refused(texts, tmp_path):
    with pytest.raises(UserError, match="allow more pieces"):
        write_vocabulary(tmp_path, texts[:5], num_pieces=20)


def test_sentences_end_at_pieces_of_full_stops_only(tokenizer):
    pieces = set(tokenizer.convert_ids_to_tokens(list(sentence_end_ids(tokenizer))))
    assert {".", "!", "?"} <= pieces
    assert pieces <= {".", "!", "?", "\u2581.", "\u2581!", "\u2581?"}
