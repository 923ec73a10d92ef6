"""How a prompt starts, against the paper's section 3.2 and the released code."""

import logging

import pytest
import torch

from prompt_tuning.errors import UserError
from prompt_tuning.models.initializers import class_label, from_text, random_uniform, sampled_vocab

EMBEDDING = torch.arange(40.0).repeat(3, 1).T.contiguous()  # row i is (i, i, i)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("signed", "low"), [(True, -0.5), (False, 0.0)], ids=["paper", "released"])
def test_random_uniform_fills_its_range(signed, low):
    """The paper's U[-0.5, 0.5], the released code's U[0, 0.5)."""
    prompt = random_uniform(100, 512, bound=0.5, signed=signed, generator=generator())
    assert prompt.shape == (100, 512) and prompt.dtype == torch.float32
    assert low <= prompt.min() < low + 1e-3
    assert 0.5 - 1e-3 < prompt.max() <= 0.5
    assert prompt.mean().item() == pytest.approx((low + 0.5) / 2, abs=0.005)


def test_sampled_vocab_draws_frequent_tokens_and_repeats_only_what_it_must():
    def draw(length, sample_size, seed=0):
        drawn = sampled_vocab(length, EMBEDDING, sample_size=sample_size, generator=generator(seed))
        return drawn[:, 0].tolist()

    assert sorted(draw(30, 30)) == list(range(30)) != draw(30, 30)
    assert sorted(draw(40, 5000)) == list(range(40))
    assert set(draw(50, 4)) == {0.0, 1.0, 2.0, 3.0}
    assert draw(5, 40) == draw(5, 40) != draw(5, 40, seed=1)


def test_class_label_takes_the_mean_of_the_sub_tokens_and_leaves_the_rest():
    pieces = {"entailment": [3, 35, 5, 29], "True": [10]}
    rest = torch.full((4, 3), -1.0)
    prompt = class_label(rest, EMBEDDING, words=list(pieces), encode=pieces.__getitem__)
    assert prompt[:, 0].tolist() == [18.0, 10.0, -1.0, -1.0]
    assert rest[0, 0] == -1.0


def test_a_word_without_pieces_is_refused():
    """T5's vocabulary has none for a zero-width space: the mean of no embedding is NaN."""
    with pytest.raises(UserError, match="no piece for '\\\\u200b'"):
        class_label(torch.zeros(1, 3), EMBEDDING, words=["\u200b"], encode=lambda word: [])


def test_a_prompt_too_short_for_the_labels_takes_the_first_and_says_so(caplog):
    with caplog.at_level(logging.WARNING):
        words, rest = ["a", "b", "c"], torch.zeros(1, 3)
        prompt = class_label(rest, EMBEDDING, words=words, encode=lambda word: [ord(word) - 90])
    assert prompt[:, 0].tolist() == [7.0]
    assert "length 1 leaves out the labels b, c" in caplog.text


def test_from_text_fills_a_position_a_sub_token_and_cuts_what_does_not_fit(caplog):
    rest = torch.full((3, 3), -1.0)
    prompt = from_text(rest, EMBEDDING, text="x", encode=lambda _: [7, 8])
    assert prompt[:, 0].tolist() == [7.0, 8.0, -1.0]
    with caplog.at_level(logging.WARNING):
        prompt = from_text(rest, EMBEDDING, text="x", encode=lambda _: [1, 2, 3, 4])
    assert prompt[:, 0].tolist() == [1.0, 2.0, 3.0]
    assert "at 3 of 4 tokens" in caplog.text
