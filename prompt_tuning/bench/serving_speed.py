"""Serving: many prompts on one frozen model in one batch, against one after another.

Two questions of the paper: a stream in which every row has its own task (section 2), and an
ensemble, where every row is answered under all prompts (section 6).
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from prompt_tuning.bench.clock import as_columns, interleave
from prompt_tuning.bench.gate import NotEqualError
from prompt_tuning.bench.profiles import Batch
from prompt_tuning.bench.settings import BenchConfig
from prompt_tuning.bench.workload import Place, draw_batches, random_prompt, random_t5
from prompt_tuning.evaluation import decode_tokens
from prompt_tuning.model_choice import machine_of
from prompt_tuning.models.frozen_t5 import FrozenT5, Rows

Answers = list[list[list[int]]]  # by prompt, then by row: token ids


def measure_serving(config: BenchConfig, say: Callable[[str], None]) -> dict[str, Any]:
    """Costs of both questions, each batched over prompts and one prompt at a time.

    Args:
        config: `num_prompts` K; `batch_size` rows are waiting at once, row b for prompt b mod K.
        say: told what is being measured.

    Raises:
        NotEqualError: batched over prompts, the tokens are others than one prompt at a time.
    """
    place = Place(*machine_of(config.machine))
    batches = draw_batches(config)
    one = _OneModel(config, place)
    ways: dict[str, Callable[[Batch], Answers]] = {
        "stream_by_prompt": one.stream_by_prompt,
        "stream_mixed": one.stream_mixed,
        "ensemble_models": _ManyModels(config, place).ensemble,
        "ensemble_by_prompt": one.ensemble_by_prompt,
        "ensemble_mixed": one.ensemble_mixed,
    }
    said = {name: way(batches[0]) for name, way in ways.items()}  # warms all of them up, too
    for question in ("stream", "ensemble"):
        if said[f"{question}_mixed"] != said[f"{question}_by_prompt"]:
            raise NotEqualError(f"{question}: other tokens in a mixed batch than prompt by prompt")
    say("same tokens in mixed batches as prompt by prompt")
    calls = {name: [partial(way, batch) for batch in batches] for name, way in ways.items()}
    costs = interleave(calls, config.num_rounds, place.device)
    return {
        "baseline": "stream_by_prompt",
        "num_prompts": len(one.prompts),
        "num_model_parameters": one.num_parameters,
        "num_prompt_parameters": sum(prompt.numel() for prompt in one.prompts),
        "batches": [{"num_rows": len(batch.inputs)} for batch in batches],
        "arms": {
            name: {**as_columns(of_arm), "peak_memory_gib": None} for name, of_arm in costs.items()
        },
    }


class _OneModel:
    """A frozen model under K prompts."""

    def __init__(self, config: BenchConfig, place: Place) -> None:
        hf_model = random_t5(config.size, 0.0, place)
        self.num_parameters = sum(parameter.numel() for parameter in hf_model.parameters())
        self.prompts = [
            random_prompt(config.prompt_length, config.size, seed=seed).to(place.device)
            for seed in range(_num_prompts(config))
        ]
        self._model, self._config, self._device = FrozenT5(hf_model), config, place.device

    def stream_mixed(self, batch: Batch) -> Answers:
        """Every row under its own prompt, all in one batch."""
        num_prompts, inputs = len(self.prompts), self._inputs(batch)
        of_row = [b % num_prompts for b in range(len(inputs))]
        said = self._decode(Rows(self.prompts, inputs, of_row))
        return [said[k::num_prompts] for k in range(num_prompts)]

    def stream_by_prompt(self, batch: Batch) -> Answers:
        """The rows of a prompt, then those of the next."""
        inputs = self._inputs(batch)
        return [
            self._decode(Rows.under(prompt, inputs[k :: len(self.prompts)]))
            for k, prompt in enumerate(self.prompts)
        ]

    def ensemble_mixed(self, batch: Batch) -> Answers:
        """Every row under every prompt, all in one batch."""
        inputs, every = self._inputs(batch), range(len(self.prompts))
        of_row = [k for k in every for _ in inputs]
        said = self._decode(Rows(self.prompts, inputs * len(every), of_row))
        return [said[k * len(inputs) : (k + 1) * len(inputs)] for k in every]

    def ensemble_by_prompt(self, batch: Batch) -> Answers:
        """All rows under a prompt, then under the next."""
        inputs = self._inputs(batch)
        return [self._decode(Rows.under(prompt, inputs)) for prompt in self.prompts]

    def _inputs(self, batch: Batch) -> list[Tensor]:
        return [ids.to(self._device) for ids in batch.inputs]

    def _decode(self, rows: Rows) -> list[list[int]]:
        return _decode(self._model, rows, self._config)


class _ManyModels:
    """K tuned models, which need no prompt, one after another."""

    def __init__(self, config: BenchConfig, place: Place) -> None:
        every = range(_num_prompts(config))
        self._models = [FrozenT5(random_t5(config.size, 0.0, place)) for _ in every]
        self._config, self._device = config, place.device

    def ensemble(self, batch: Batch) -> Answers:
        """All rows with a model, then with the next."""
        inputs = [ids.to(self._device) for ids in batch.inputs]
        nothing = torch.zeros(0, self._models[0].hidden_size, device=self._device)
        rows = Rows.under(nothing, inputs)
        return [_decode(model, rows, self._config) for model in self._models]


def _num_prompts(config: BenchConfig) -> int:
    assert config.num_prompts is not None, config
    return config.num_prompts


def _decode(model: FrozenT5, rows: Rows, config: BenchConfig) -> list[list[int]]:
    return decode_tokens(
        model,
        rows,
        max_target_tokens=config.max_target_tokens,
        max_tokens=config.machine.max_tokens_per_micro_batch,
    )
