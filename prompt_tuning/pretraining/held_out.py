"""What a model in pre-training is measured by: held-out loss, and probes of the mini world."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast

from prompt_tuning.data.tokenization import encode_texts
from prompt_tuning.ladder.running_text import probes
from prompt_tuning.ladder.world import LADDER_WORLD, World
from prompt_tuning.loop import Display, EncodedExamples, mean_loss
from prompt_tuning.models.frozen_t5 import EOS_ID, PackedT5, Rows
from prompt_tuning.models.loading import sentinel_id
from prompt_tuning.models.methods import Method


@dataclass
class HeldOutWatch(Display):
    """Measures while a run goes on, and saves checkpoints on the way."""

    title: ClassVar[str] = "pre-training"
    held_out_rows: EncodedExamples
    probes: "WorldProbes | None"  # of a run on the mini world
    save: Callable[[Path], None]
    save_at_steps: dict[int, Path]
    measured: dict[str, Any] | None = None  # by the last evaluation since the run began or resumed

    def __post_init__(self) -> None:
        super().__post_init__()
        self._since = (time.monotonic(), self.training.progress.num_tokens)

    def on_step(self, step: int, loss: float) -> None:
        """Saves the checkpoints that the config asks for, too."""
        super().on_step(step, loss)
        if step in self.save_at_steps:
            self.save(self.save_at_steps[step])

    def evaluate(self, method: Method, step: int) -> None:
        """Measures, prints and logs; chooses no step: the last one is the checkpoint."""
        num_tokens, (then, num_tokens_then) = self.training.progress.num_tokens, self._since
        tokens_per_s = (num_tokens - num_tokens_then) / (time.monotonic() - then)
        self.measured = self.measure()
        loss, probed = self.measured["held_out_loss"], self.measured["probes"]
        values = {
            "eval/held_out_loss": loss,
            "train/tokens": num_tokens,
            "train/tokens_per_s": tokens_per_s,
        }
        self.tracker.log(step, values | {f"probe/{kind}": share for kind, share in probed.items()})
        line = f"held-out loss {loss:7.4f}  {num_tokens:,} tokens, {tokens_per_s:,.0f}/s"
        self.say(step, line + "".join(f"  {kind} {share:.2f}" for kind, share in probed.items()))
        self._since = (time.monotonic(), num_tokens)

    @torch.no_grad()
    def measure(self) -> dict[str, Any]:
        """Held-out loss and probes of the present weights, as a record has them."""
        method = self.training.method
        loss = mean_loss(method, self.held_out_rows, self.training.settings)
        probed = self.probes.measure(method.make_model()) if self.probes else {}
        return {"held_out_loss": loss, "probes": probed}


class WorldProbes:
    """Questions of the mini world, by kind, as rows of the objective that a model is trained on.

    The language-modelling objectives continue the question; span corruption fills a span that
    stands behind it.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerFast, *, masks_spans: bool, num_probes: int
    ) -> None:
        """Encodes `num_probes` questions of every kind; `masks_spans`: of span corruption."""
        mark = [sentinel_id(tokenizer)] if masks_spans else []

        def row(question: str, answer: str) -> tuple[list[int], list[int]]:
            asked, said = encode_texts([question, answer], tokenizer)
            return [*asked, *mark, EOS_ID], [*mark, *said]

        self._num_marks = len(mark)
        self._rows = {
            kind: [row(*probe) for probe in of_kind]
            for kind, of_kind in probes(World(LADDER_WORLD), num_probes).items()
        }

    @torch.no_grad()
    def measure(self, model: PackedT5) -> dict[str, float]:
        """The share of each kind whose answer's first word is the likeliest, token by token."""
        return {kind: self._accuracy(model, rows) for kind, rows in self._rows.items()}

    def _accuracy(self, model: PackedT5, rows: Sequence[tuple[list[int], list[int]]]) -> float:
        inputs, targets = (
            [torch.tensor(row[side], device=model.device) for row in rows] for side in (0, 1)
        )
        no_prompt = model.embedding.new_zeros(0, model.hidden_size)
        logits = model.target_logits(model.encode(Rows.under(no_prompt, inputs)), targets)
        right = (logits.argmax(-1) == torch.cat(targets)).split([len(ids) for ids in targets])
        return float(np.mean([bool(of_row[self._num_marks :].all()) for of_row in right]))
