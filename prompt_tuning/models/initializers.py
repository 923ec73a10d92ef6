"""How a prompt starts: random, from the vocabulary, from the class labels, or from a text.

Each function returns float32 [P, H]. Source: Lester et al. (2021), section 3.2;
google-research/prompt-tuning prompts.py.
"""

import logging
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from prompt_tuning.errors import UserError

logger = logging.getLogger(__name__)

EncodeText = Callable[[str], list[int]]


def random_uniform(
    length: int, hidden_size: int, *, bound: float, signed: bool, generator: torch.Generator
) -> Tensor:
    """Uniform in [-bound, bound) if `signed` (the paper), else [0, bound) (the released code)."""
    unit = torch.rand(length, hidden_size, generator=generator)
    return (2 * unit - 1) * bound if signed else unit * bound


def sampled_vocab(
    length: int, embedding: Tensor, *, sample_size: int, generator: torch.Generator
) -> Tensor:
    """Embeddings of tokens drawn from the `sample_size` most frequent ones.

    T5's ids are sorted by frequency. Drawn without replacement; with it only if the prompt is
    longer than the sample. The first ids are pad, eos, unk and punctuation: nothing is filtered.
    """
    population = min(sample_size, len(embedding))
    if length <= population:
        ids = torch.randperm(population, generator=generator)[:length]
    else:
        ids = torch.randint(population, (length,), generator=generator)
    return embedding[ids.to(embedding.device)].float().cpu()


def class_label(
    rest: Tensor, embedding: Tensor, *, words: Sequence[str], encode: EncodeText
) -> Tensor:
    """Word i, the mean of its sub-token embeddings, at position i of `rest` ([P, H]).

    A prompt with fewer positions than words takes the first words and says which it leaves out.

    Raises:
        UserError: the vocabulary has no piece for a word.
    """
    used, left_out = words[: len(rest)], words[len(rest) :]
    if left_out:
        logger.warning("prompt length %d leaves out the labels %s", len(rest), ", ".join(left_out))
    prompt = rest.clone()
    for position, word in enumerate(used):
        if not (ids := encode(word)):
            problem = f"the model's vocabulary has no piece for {word!r}, which is to start a row"
            raise UserError(problem, fix="give other words: 'init.words=[...]'")
        prompt[position] = embedding[ids].float().mean(0).cpu()
    return prompt


def from_text(rest: Tensor, embedding: Tensor, *, text: str, encode: EncodeText) -> Tensor:
    """One sub-token of `text` a position, then `rest` ([P, H]); what does not fit is left out."""
    ids = encode(text)
    if len(ids) > len(rest):
        logger.warning(
            "prompt length %d cuts init.text at %d of %d tokens", len(rest), len(rest), len(ids)
        )
        ids = ids[: len(rest)]
    prompt = rest.clone()
    prompt[: len(ids)] = embedding[ids].float().cpu()
    return prompt
