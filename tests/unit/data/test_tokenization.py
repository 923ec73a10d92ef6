"""Limits, sentinels, the cache, and decoding; the tokenizer is T5's own."""

from unittest.mock import Mock

import pytest
import sentencepiece

from prompt_tuning.data import tokenization
from prompt_tuning.data.tokenization import EncodedSplit, decode_ids, encode_split, encode_texts
from prompt_tuning.tasks import Example

EOS, UNK, SENTINEL = 1, 2, 32099
TRUE, FALSE = [10998], [10747, 7, 15]  # SentencePiece ids of the two words


def encode(tokenizer, *pairs, inputs=None, targets=None, sentinel=None, cache_dir=None):
    examples = [Example(text, target, idx=i) for i, (text, target) in enumerate(pairs)]
    limits = {"max_input_tokens": inputs, "max_target_tokens": targets}
    more = {"target_sentinel_id": sentinel, "cache_dir": cache_dir}
    return encode_split(examples, tokenizer, **limits, **more)


def test_every_sequence_ends_in_eos(t5_tokenizer):
    encoded = encode(t5_tokenizer, ("True False", "False"), ("", "True"))
    assert encoded == EncodedSplit(
        [[*TRUE, *FALSE, EOS], [EOS]], [[*FALSE, EOS], [*TRUE, EOS]], 0, 0
    )


def test_a_long_text_is_cut_to_leave_room_for_eos_and_counted(t5_tokenizer):
    """T5 cuts the text to max - 1 tokens and then appends EOS; exactly max tokens is no cut."""
    pairs = [("True False", "False"), ("False", "True"), ("True", "False")]
    encoded = encode(t5_tokenizer, *pairs, inputs=4, targets=3)
    assert encoded.inputs == [[*TRUE, *FALSE[:2], EOS], [*FALSE, EOS], [*TRUE, EOS]]
    assert encoded.targets == [[*FALSE[:2], EOS], [*TRUE, EOS], [*FALSE[:2], EOS]]
    assert (encoded.truncated_inputs, encoded.truncated_targets) == (1, 2)


def test_a_sentinel_comes_first_and_counts(t5_tokenizer):
    encoded = encode(t5_tokenizer, ("True", "False"), targets=4, sentinel=SENTINEL)
    assert encoded.targets == [[SENTINEL, *FALSE[:2], EOS]]
    assert encoded.truncated_targets == 1
    assert encoded.inputs == [[*TRUE, EOS]]


def test_repeated_texts_and_many_texts_keep_their_order(t5_tokenizer, monkeypatch):
    monkeypatch.setattr(tokenization, "TEXTS_PER_CALL", 2)
    texts = ["True", "False", "True", "True False", "False"]
    encoded = encode(t5_tokenizer, *((text, "True") for text in texts))
    single = [encode(t5_tokenizer, (text, "True")).inputs[0] for text in texts]
    assert encoded.inputs == single


def test_the_cache_is_used_only_for_the_same_texts_limits_and_tokenizer(
    t5_tokenizer, tmp_path, monkeypatch
):
    pairs, counted = [("True False", "False"), ("", "True")], Mock(wraps=encode_texts)
    monkeypatch.setattr(tokenization, "encode_texts", counted)
    first = encode(t5_tokenizer, *pairs, inputs=3, cache_dir=tmp_path / "c")
    assert counted.call_count == 2  # inputs and targets
    assert encode(t5_tokenizer, *pairs, inputs=3, cache_dir=tmp_path / "c") == first
    assert counted.call_count == 2
    other = type(t5_tokenizer).from_pretrained(t5_tokenizer.name_or_path)
    other.add_tokens(["zorb"])
    for tokenizer, texts, limits in (
        (t5_tokenizer, pairs[::-1], {"inputs": 3}),
        (t5_tokenizer, [("True False", "False"), ("", "False")], {"inputs": 3}),
        (t5_tokenizer, pairs, {"inputs": 4}),
        (t5_tokenizer, pairs, {"inputs": 3, "targets": 9}),
        (t5_tokenizer, pairs, {"inputs": 3, "sentinel": SENTINEL}),
        (other, pairs, {"inputs": 3}),
    ):
        encode(tokenizer, *texts, **limits, cache_dir=tmp_path / "c")
    assert counted.call_count == 14
    assert len([*(tmp_path / "c").iterdir()]) == 7


def test_an_interrupted_write_leaves_no_cache_entry(t5_tokenizer, tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("numpy.savez", fail)
    with pytest.raises(KeyboardInterrupt):
        encode(t5_tokenizer, ("True", "False"), cache_dir=tmp_path)
    assert not list(tmp_path.glob("*.npz"))


@pytest.mark.parametrize(
    ("ids", "text"),
    [
        ([*TRUE, EOS, *FALSE], "True"),
        ([0, *TRUE, 0, EOS, 0, 0], "True"),
        ([EOS], ""),
        ([], ""),
        (FALSE, "False"),
        ([SENTINEL, *TRUE], "<extra_id_0> True"),
        ([SENTINEL - 1, SENTINEL], "<extra_id_1><extra_id_0>"),
        ([UNK, *TRUE], " \u2047  True"),
        ([32100, *TRUE], " \u2047  True"),
        ([32127, EOS], " \u2047 "),
    ],
)
def test_decoding_drops_padding_and_stops_at_eos_but_keeps_sentinels(t5_tokenizer, ids, text):
    """A sentinel, or an id beyond the vocabulary, must not turn into a right answer."""
    assert decode_ids(t5_tokenizer, ids) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "  a  b ", "a\tb\nc", "a\x0bb", "a\u00a0b", "\u3000a", "\u2028x", "\u200b"),
        *("\ufb01 \u2163 \uff41", "e\u0301", "a\u2581b", "\U0001f642 ok", "\x00", "a\x84b"),
        *("<br>", "don``t ''", "x" * 300, "\x000", "\u25810"),
        *("a </s> b", "</s>", "a</s>b", "a <extra_id_0> b", "<extra_id_99>", " <pad>", "<unk> a"),
    ],
)
def test_unusual_characters_are_tokenised_as_sentencepiece_does(t5_tokenizer, t5_vocabulary, text):
    (ids,) = encode(t5_tokenizer, (text, "")).inputs
    assert ids == [*t5_vocabulary.encode(text), EOS]


def test_where_the_tokenizer_is_known_to_differ_from_sentencepiece(t5_tokenizer, t5_vocabulary):
    """If this fails, the library has changed: correct the `Deviation:` in tokenization.py."""
    (ids,) = encode(t5_tokenizer, ("a\x85b", "")).inputs
    assert ids != [*t5_vocabulary.encode("a\x85b"), EOS]


@pytest.mark.parametrize("text", ["a </s> b", "</s>", "a <extra_id_0> b", "<extra_id_99>", "<pad>"])
def test_the_name_of_a_control_token_in_a_text_is_text(tiny_checkpoint, tiny_folder, text):
    """A user's text can neither end an input nor pass for a sentinel, and comes back as it was."""
    tokenizer = tiny_checkpoint.tokenizer
    expected = sentencepiece.SentencePieceProcessor(str(tiny_folder / "spiece.model")).encode(text)
    assert tiny_checkpoint.encode_text(text) == expected
    encoded = encode(tokenizer, (text, text))
    assert encoded.inputs == encoded.targets == [[*expected, EOS]]
    assert not {*expected} & {*tokenizer.all_special_ids}
    assert decode_ids(tokenizer, encoded.targets[0]) == text


def test_a_word_that_was_added_to_a_vocabulary_stays_one_token(tiny_checkpoint):
    """It is no control token."""
    tokenizer = type(tiny_checkpoint.tokenizer).from_pretrained(tiny_checkpoint.source)
    tokenizer.add_tokens(["zorb"])
    assert encode_texts(["a zorb"], tokenizer)[0][-1] == len(tokenizer) - 1
