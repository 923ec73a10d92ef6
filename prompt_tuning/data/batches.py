"""Which examples a step sees, and how rows are split to fit the memory."""

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np


def batch_order(num_examples: int, batch_size: int, seed: int) -> Callable[[int], list[int]]:
    """The examples of every step, counted from 0: each epoch a permutation, batches run across.

    They follow from seed and step alone, so a resumed run sees what it would have. A batch larger
    than the data set takes examples of the next epoch too.
    """
    assert num_examples > 0 and batch_size > 0, (num_examples, batch_size)

    @lru_cache(maxsize=2)
    def permutation(epoch: int) -> list[int]:
        return np.random.default_rng([seed, epoch]).permutation(num_examples).tolist()

    def batch(step: int) -> list[int]:
        positions = range(step * batch_size, (step + 1) * batch_size)
        return [permutation(at // num_examples)[at % num_examples] for at in positions]

    return batch


def deal_by_tokens(lengths: Sequence[int], num_shares: int) -> list[list[int]]:
    """Shares of row indices, in their order, with about the same number of tokens each.

    The longest row comes first, and each goes to the share that has the fewest tokens so far.
    """
    shares: list[list[int]] = [[] for _ in range(num_shares)]
    tokens = [0] * num_shares
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        least = tokens.index(min(tokens))
        shares[least].append(index)
        tokens[least] += lengths[index]
    return [sorted(share) for share in shares]


def split_by_tokens(lengths: Sequence[int], max_tokens: int) -> list[list[int]]:
    """Groups of row indices, shortest rows first, of at most `max_tokens` tokens each.

    Rows of like length come together, so that what must be padded is padded little. A row longer
    than the budget is a group of its own: nothing is left out.
    """
    groups: list[list[int]] = []
    tokens = 0
    for index in sorted(range(len(lengths)), key=lambda i: (lengths[i], i)):
        if not groups or tokens + lengths[index] > max_tokens:
            groups.append([])
            tokens = 0
        groups[-1].append(index)
        tokens += lengths[index]
    return groups
