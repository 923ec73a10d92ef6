"""Zero-shot probes: does a model in pre-training answer the mini world's own questions?"""

from collections.abc import Sequence

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast

from prompt_tuning.ladder.probe_questions import probes
from prompt_tuning.ladder.world import LADDER_WORLD, World
from prompt_tuning.models.frozen_t5 import EOS_ID, PackedT5, Rows


class WorldProbes:
    """Questions of the mini world, by kind, as rows of the objective that a model is trained on.

    The language-modelling objectives continue the question; span corruption fills a span that
    stands behind it.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerFast, *, masks_spans: bool, num_probes: int
    ) -> None:
        """Encodes `num_probes` questions of every kind; `masks_spans`: of span corruption."""
        sentinel = tokenizer.convert_tokens_to_ids("<extra_id_0>")
        self._mark = [sentinel] if masks_spans else []
        self._rows = {
            kind: [self._row(tokenizer, *probe) for probe in of_kind]
            for kind, of_kind in probes(World(LADDER_WORLD), num_probes).items()
        }

    @torch.no_grad()
    def measure(self, model: PackedT5) -> dict[str, float]:
        """The share of each kind whose answer's first word is the likeliest, token by token."""
        return {kind: self._accuracy(model, rows) for kind, rows in self._rows.items()}

    def _row(
        self, tokenizer: PreTrainedTokenizerFast, question: str, answer: str
    ) -> tuple[list[int], list[int]]:
        asked, said = (
            tokenizer(text, add_special_tokens=False).input_ids for text in (question, answer)
        )
        return [*asked, *self._mark, EOS_ID], [*self._mark, *said]

    def _accuracy(self, model: PackedT5, rows: Sequence[tuple[list[int], list[int]]]) -> float:
        inputs, targets = (
            [torch.tensor(row[side], device=model.device) for row in rows] for side in (0, 1)
        )
        no_prompt = model.embedding.new_zeros(0, model.hidden_size)
        logits = model.target_logits(model.encode(Rows.under(no_prompt, inputs)), targets)
        right = (logits.argmax(-1) == torch.cat(targets)).split([len(ids) for ids in targets])
        return float(np.mean([bool(of_row[len(self._mark) :].all()) for of_row in right]))
