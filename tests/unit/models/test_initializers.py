"""How a prompt starts, against the paper's section 3.2 and the released code."""

import logging

import pytest
import torch

from prompt_tuning.models.initializers import class_label, from_text, random_uniform, sampled_vocab

EMBEDDING = torch.arange(40.0).repeat(3, 1).T.contiguous()  # row i is (i, i, i)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("signed", "low"), [(True, -0.5), (False, 0.0)], ids=["paper", "released"])
def test_random_uniform_fills_its_range(signed: bool, low: float) -> None:
    """The paper's U[-0.5, 0.5], the released code's U[0, 0.5)."""
    prompt = random_uniform(100, 512, bound=0.5, signed=signed, generator=generator())
    assert prompt.shape == (100, 512) and prompt.dtype == torch.float32
    assert low <= prompt.min() < low + 1e-3
    assert 0.5 - 1e-3 < prompt.max() <= 0.5
    assert prompt.mean().item() == pytest.approx((low + 0.5) / 2, abs=0.005)


def test_sampled_vocab_draws_frequent_tokens_without_replacement() -> None:
    prompt = sampled_vocab(30, EMBEDDING, sample_size=30, generator=generator())
    assert sorted(prompt[:, 0].tolist()) == list(range(30))
    assert prompt[:, 0].tolist() != list(range(30))


def test_sampled_vocab_repeats_tokens_only_if_the_prompt_is_longer_than_the_sample() -> None:
    prompt = sampled_vocab(50, EMBEDDING, sample_size=4, generator=generator())
    assert set(prompt[:, 0].tolist()) == {0.0, 1.0, 2.0, 3.0}
    whole = sampled_vocab(40, EMBEDDING, sample_size=5000, generator=generator())
    assert sorted(whole[:, 0].tolist()) == list(range(40))


def test_the_seed_fixes_the_draw() -> None:
    draws = [sampled_vocab(5, EMBEDDING, sample_size=40, generator=generator(s)) for s in (0, 0, 1)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_class_label_takes_the_mean_of_the_sub_tokens_and_leaves_the_rest() -> None:
    pieces = {"entailment": [3, 35, 5, 29], "True": [10]}
    rest = torch.full((4, 3), -1.0)
    prompt = class_label(rest, EMBEDDING, words=list(pieces), encode=pieces.__getitem__)
    assert prompt[:, 0].tolist() == [18.0, 10.0, -1.0, -1.0]
    assert rest[0, 0] == -1.0


def test_a_prompt_too_short_for_the_labels_takes_the_first_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        prompt = class_label(
            torch.zeros(1, 3),
            EMBEDDING,
            words=["a", "b", "c"],
            encode=lambda word: [ord(word) - 90],
        )
    assert prompt[:, 0].tolist() == [7.0]
    assert "length 1 leaves out the labels b, c" in caplog.text


def test_from_text_fills_a_position_a_sub_token_and_cuts_what_does_not_fit(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rest = torch.full((3, 3), -1.0)
    prompt = from_text(rest, EMBEDDING, text="x", encode=lambda _: [7, 8])
    assert prompt[:, 0].tolist() == [7.0, 8.0, -1.0]
    with caplog.at_level(logging.WARNING):
        prompt = from_text(rest, EMBEDDING, text="x", encode=lambda _: [1, 2, 3, 4])
    assert prompt[:, 0].tolist() == [1.0, 2.0, 3.0]
    assert "at 3 of 4 tokens" in caplog.text
