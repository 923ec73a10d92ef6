"""Which examples a step sees, and how rows are split to fit the memory."""

from collections.abc import Sequence

import numpy as np


class BatchOrder:
    """An endless, seeded order of examples: every epoch a new permutation, batches run across.

    The batch of a step follows from seed and step alone, so a resumed run sees what it would have.
    """

    def __init__(self, num_examples: int, batch_size: int, seed: int) -> None:
        """A batch larger than the data set takes examples of the next epoch too."""
        assert num_examples > 0 and batch_size > 0, (num_examples, batch_size)
        self._num_examples = num_examples
        self._batch_size = batch_size
        self._seed = seed
        self._epoch = -1
        self._permutation = np.empty(0, dtype=np.int64)

    def __getitem__(self, step: int) -> list[int]:
        """Indices of the examples of step `step`, counted from 0."""
        first = step * self._batch_size
        return [self._example(position) for position in range(first, first + self._batch_size)]

    def _example(self, position: int) -> int:
        epoch, place = divmod(position, self._num_examples)
        if epoch != self._epoch:
            rng = np.random.default_rng([self._seed, epoch])
            self._epoch, self._permutation = epoch, rng.permutation(self._num_examples)
        return int(self._permutation[place])


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
