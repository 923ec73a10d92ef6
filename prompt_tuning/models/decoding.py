"""Answers read off a model: decoded greedily, as the paper does it, or scored labels."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from prompt_tuning.models.frozen_t5 import DECODER_START_ID, EOS_ID, EncodedRows, PackedT5


@torch.no_grad()
def greedy_decode(model: PackedT5, encoded: EncodedRows, max_target_tokens: int) -> list[list[int]]:
    """The most likely token at every step, for all rows at once, until all have said EOS.

    Args:
        model: the T5.
        encoded: B rows.
        max_target_tokens: at most so many a row, EOS included.

    Returns:
        B lists of token ids, without EOS and what comes after it.

    Source: T5X's beam search with `num_decodes=1`.
    """
    ids = torch.full((len(encoded.states),), DECODER_START_ID, device=model.device)
    ended = torch.zeros_like(ids, dtype=torch.bool)
    cache, steps = None, []
    for _ in range(max_target_tokens):
        logits, cache = model.step(ids, encoded, cache)
        ids = logits.argmax(-1)
        steps.append(ids)
        ended |= ids == EOS_ID
        if ended.all():
            break
    rows = torch.stack(steps, dim=1).tolist()
    return [row[: row.index(EOS_ID)] if EOS_ID in row else row for row in rows]


@torch.no_grad()
def score_labels(
    model: PackedT5, encoded: EncodedRows, labels: Sequence[Tensor], *, per_token: bool = False
) -> Tensor:
    """Log-probabilities of K label texts for each of B encoded rows, decoded in one pass.

    Not the paper's way: a label always wins, where greedy decoding can say something else.
    Source: Brown et al. (2020), section 2.4: per token on most tasks, so that a label does not lose
    by its length.

    Args:
        model: the T5.
        encoded: B rows.
        labels: K tensors [U_k] of token ids that end in EOS.
        per_token: the mean over a label's tokens; False: their sum.

    Returns:
        [B, K], over all tokens of a label, EOS included.
    """
    targets = list(labels) * len(encoded.states)
    logits = model.target_logits(encoded, targets)
    of_tokens = -F.cross_entropy(logits, torch.cat(targets), reduction="none")
    by_row = of_tokens.view(len(encoded.states), -1)  # [B, sum of U_k]
    of_labels = by_row.split([len(label) for label in labels], dim=1)
    scores = [tokens.mean(1) if per_token else tokens.sum(1) for tokens in of_labels]
    return torch.stack(scores, dim=1)
