"""Greedy decoding, by which the paper scores, and label scoring, an explicit alternative."""

from collections.abc import Sequence

import torch
from torch import Tensor

from prompt_tuning.models.frozen_t5 import DECODER_START_ID, EOS_ID, EncodedRows, PackedT5


@torch.no_grad()
def greedy_decode(model: PackedT5, encoded: EncodedRows, max_tokens: int) -> list[list[int]]:
    """The most likely token at every step, for all rows at once, until all have said EOS.

    Args:
        model: the T5.
        encoded: B encoded rows.
        max_tokens: at most so many tokens a row, EOS included.

    Returns:
        B lists of token ids, without EOS and what comes after it.

    Source: T5X's beam search with `num_decodes=1`.
    """
    ids = torch.full((len(encoded.states),), DECODER_START_ID, device=model.device)
    ended = torch.zeros_like(ids, dtype=torch.bool)
    cache, steps = None, []
    for _ in range(max_tokens):
        logits, cache = model.step(ids, encoded, cache)
        ids = logits.argmax(-1)
        steps.append(ids)
        ended |= ids == EOS_ID
        if ended.all():
            break
    rows = torch.stack(steps, dim=1).tolist()
    return [row[: row.index(EOS_ID)] if EOS_ID in row else row for row in rows]


@torch.no_grad()
def score_labels(model: PackedT5, encoded: EncodedRows, labels: Sequence[Tensor]) -> Tensor:
    """The log-probability of every label for every row, summed over the label's tokens.

    Args:
        model: the T5.
        encoded: B encoded rows.
        labels: K token sequences, each ending in EOS.

    Returns:
        [B, K], natural logarithms.
    """
    num_rows, scores = len(encoded.states), []
    for label in labels:
        logits = model.target_logits(encoded, [label] * num_rows)
        of_tokens = logits.log_softmax(-1).gather(1, label.repeat(num_rows).unsqueeze(1))
        scores.append(of_tokens.view(num_rows, -1).sum(1))
    return torch.stack(scores, dim=1)
