"""Evaluation: greedy decoding and label scoring against `generate()`, same rows, same order."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from prompt_tuning.bench.arms import padded, with_peft_prompt
from prompt_tuning.bench.clock import as_columns, interleave
from prompt_tuning.bench.gate import NotEqualError
from prompt_tuning.bench.profiles import Batch, load_profiles, random_ids
from prompt_tuning.bench.settings import BenchConfig
from prompt_tuning.bench.workload import (
    VOCAB_SIZE,
    Place,
    draw_batches,
    random_prompt,
    random_t5,
)
from prompt_tuning.model_choice import machine_of
from prompt_tuning.models.decoding import greedy_decode, score_labels
from prompt_tuning.models.frozen_t5 import EOS_ID, FrozenT5, Rows

LABEL_TOLERANCE = 1e-3  # of a label's summed log-probability, in nats


def measure_evaluation(config: BenchConfig, say: Callable[[str], None]) -> dict[str, Any]:
    """Costs of four ways of evaluating the same batches.

    Args:
        config: `max_target_tokens` bounds what is decoded; there is one label of each target length
            that the profile has.
        say: told what is being measured.

    Raises:
        NotEqualError: other tokens than `generate()` says, or other label scores.
    """
    place = Place(*machine_of(config.machine))
    batches = draw_batches(config)
    label_lengths = [length for length, _ in load_profiles()[config.profile].targets]
    labels = [ids.to(place.device) for ids in random_ids(label_lengths, VOCAB_SIZE, seed=2)]
    peft, ptune = _Peft(config, place, labels), _Ptune(config, place, labels)
    ways: dict[str, Callable[[Batch], Any]] = {
        "peft_generate": peft.generate,
        "peft_labels": peft.score_labels,
        "ptune_greedy": ptune.decode,
        "ptune_labels": ptune.score_labels,
    }
    for batch in batches[:1]:  # of the gate; it warms all four up, too
        tokens = [ways[name](batch) for name in ("peft_generate", "ptune_greedy")]
        scores = [ways[name](batch) for name in ("peft_labels", "ptune_labels")]
        difference = check_same(*tokens, *scores)
    say(f"same tokens as generate(); label scores differ by {difference:.0e} nats at most")
    calls = {name: [partial(way, batch) for batch in batches] for name, way in ways.items()}
    costs = interleave(calls, config.num_rounds, place.device)
    return {
        "baseline": "peft_generate",
        "label_lengths": label_lengths,
        "label_difference": difference,
        "batches": [
            {"num_rows": len(b.inputs), "positions": _positions(config, b)} for b in batches
        ],
        "arms": {
            name: {**as_columns(of_arm), "peak_memory_gib": None} for name, of_arm in costs.items()
        },
    }


def check_same(
    generated: list[list[int]],
    decoded: list[list[int]],
    expected_scores: Tensor,
    scores: Tensor,
) -> float:
    """The largest difference between label scores [B, K].

    Raises:
        NotEqualError: the tokens differ, or the scores by more than `LABEL_TOLERANCE`.
    """
    if decoded != generated:
        rows = [
            b
            for b, pair in enumerate(zip(decoded, generated, strict=True))
            if len({*map(tuple, pair)}) > 1
        ]
        raise NotEqualError(f"greedy decoding and generate() differ in rows {rows}")
    difference = (scores - expected_scores).abs().max().item()
    if not difference < LABEL_TOLERANCE:
        raise NotEqualError(f"label scores differ by {difference:.1e} nats")
    return difference


class _Peft:
    """PEFT around Hugging Face's model."""

    def __init__(self, config: BenchConfig, place: Place, labels: Sequence[Tensor]) -> None:
        model = random_t5(config.size, 0.0, place)
        prompt = random_prompt(config.prompt_length, config.size)
        self._model, _ = with_peft_prompt(model, prompt.to(place.dtype))
        self._model.eval()
        self._device, self._labels = place.device, labels
        self._max_tokens = config.max_target_tokens

    @torch.inference_mode()
    def generate(self, batch: Batch) -> list[list[int]]:
        """Token ids of each row, without EOS."""
        inputs = padded(batch, None, self._device)
        del inputs["labels"]
        ids = self._model.generate(
            **inputs, max_new_tokens=self._max_tokens, do_sample=False, num_beams=1
        )
        rows = ids[:, 1:].tolist()  # without the start token
        return [row[: row.index(EOS_ID)] if EOS_ID in row else row for row in rows]

    @torch.inference_mode()
    def score_labels(self, batch: Batch) -> Tensor:
        """[B, K]: a forward pass for each label, as the library offers no other way."""
        scores = []
        for label in self._labels:
            labelled = Batch(batch.inputs, [label] * len(batch.inputs))
            inputs = padded(labelled, None, self._device)
            logits = self._model(**inputs).logits.float().log_softmax(-1)
            scores.append(logits.gather(2, inputs["labels"].unsqueeze(2)).sum((1, 2)))
        return torch.stack(scores, dim=1)


class _Ptune:
    """What `ptune evaluate` does for a batch."""

    def __init__(self, config: BenchConfig, place: Place, labels: Sequence[Tensor]) -> None:
        self._model = FrozenT5(random_t5(config.size, 0.0, place))
        self._prompt = random_prompt(config.prompt_length, config.size).to(place.device)
        self._device, self._labels = place.device, labels
        self._max_tokens = config.max_target_tokens

    @torch.inference_mode()
    def decode(self, batch: Batch) -> list[list[int]]:
        """Token ids of each row, without EOS."""
        encoded = self._model.encode(self._rows(batch))
        return greedy_decode(self._model, encoded, self._max_tokens)

    @torch.inference_mode()
    def score_labels(self, batch: Batch) -> Tensor:
        """[B, K], encoding once."""
        return score_labels(self._model, self._model.encode(self._rows(batch)), self._labels)

    def _rows(self, batch: Batch) -> Rows:
        return Rows.under(self._prompt, [ids.to(self._device) for ids in batch.inputs])


def _positions(config: BenchConfig, batch: Batch) -> int:
    return config.prompt_length * len(batch.inputs) + sum(batch.input_lengths)
