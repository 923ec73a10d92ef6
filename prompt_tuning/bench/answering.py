"""Evaluation and serving: answers beside PEFT's `generate()`, and many prompts on one model.

Answers of arms that are compared must be the same; otherwise nothing is recorded.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from prompt_tuning.bench import hugging_face
from prompt_tuning.bench.arms import NotEqualError
from prompt_tuning.bench.costs import interleave
from prompt_tuning.bench.settings import BenchConfig
from prompt_tuning.bench.workload import (
    SIZES,
    VOCAB_SIZE,
    WARM_UP_ROWS,
    Place,
    draw_batches,
    load_profiles,
    random_ids,
    random_prompt,
    random_t5,
)
from prompt_tuning.evaluation import Questions
from prompt_tuning.models.decoding import greedy_decode, score_labels
from prompt_tuning.models.frozen_t5 import EncodedRows, FrozenT5, Rows
from prompt_tuning.shapes import num_parameters

LABEL_TOLERANCE = 1e-3  # of a label's summed log-probability, in nats

Inputs = Sequence[Tensor]  # token ids of each row
Ids = list[list[int]]  # said to each row, without EOS


def measure_evaluation(config: BenchConfig, say: Callable[[str], None]) -> dict[str, Any]:
    """Costs of four ways of evaluating the same batches, with a label of each target length.

    Raises:
        NotEqualError: other tokens than `generate()` says, or other label scores.
    """
    place, max_target_tokens = Place.on(config.machine), config.max_target_tokens
    label_lengths = [length for length, _ in load_profiles()[config.profile].targets]
    labels = [ids.to(place.device) for ids in random_ids(label_lengths, seed=2)]
    peft, model, prompt = hugging_face.both_models(config, place)

    def encoded(inputs: Inputs) -> EncodedRows:
        return model.encode(Rows.under(prompt, inputs))

    say(f"4 ways, {config.num_batches} batches, {config.num_rounds} rounds")
    result, said = _measured(
        {
            "peft_generate": lambda inputs: hugging_face.generate(peft, inputs, max_target_tokens),
            "peft_labels": lambda inputs: hugging_face.score_labels(peft, inputs, labels),
            "ptune_greedy": lambda inputs: greedy_decode(model, encoded(inputs), max_target_tokens),
            "ptune_labels": lambda inputs: score_labels(model, encoded(inputs), labels),
        },
        config,
        place,
    )
    difference = max(map(check_same, *said.values()))
    say(f"same tokens as generate(); label scores differ by {difference:.0e} nats at most")
    return {**result, "label_lengths": label_lengths, "label_difference": difference}


def check_same(generated: Ids, expected_scores: Tensor, decoded: Ids, scores: Tensor) -> float:
    """The largest difference between label scores [B, K].

    Raises:
        NotEqualError: the tokens differ, or the scores by more than `LABEL_TOLERANCE`.
    """
    if decoded != generated:
        rows = [b for b, ids in enumerate(decoded) if ids != generated[b]]
        raise NotEqualError(f"greedy decoding and generate() differ in rows {rows}")
    difference = (scores - expected_scores).abs().max().item()
    if not difference < LABEL_TOLERANCE:
        raise NotEqualError(f"label scores differ by {difference:.1e} nats")
    return difference


def measure_serving(config: BenchConfig, say: Callable[[str], None]) -> dict[str, Any]:
    """Costs of two questions of the paper, each batched over prompts and one prompt at a time.

    A stream: every row has its own task (section 2), row b that of prompt b mod K. An ensemble:
    every row is answered under all prompts (section 6), or by K tuned models, which read no prompt.

    Raises:
        NotEqualError: batched over prompts, the tokens are others than one prompt at a time.
    """
    place, num_prompts = Place.on(config.machine), config.num_prompts or 0
    prompts = [
        random_prompt(config.prompt_length, config.size, seed=k).to(place.device)
        for k in range(num_prompts)
    ]
    models = [FrozenT5(random_t5(config.size, 0.0, place)) for _ in prompts]
    no_prompt = prompts[0][:0]
    max_tokens = config.machine.max_tokens_per_micro_batch

    def decode(rows: Rows, model: FrozenT5 = models[0]) -> Ids:
        return Questions(rows, config.max_target_tokens, max_tokens).answers(model)

    def decode_under(inputs: Inputs, prompt: Tensor, model: FrozenT5 = models[0]) -> Ids:
        return decode(Rows.under(prompt, inputs), model)

    def decode_mixed(inputs_of_prompt: Sequence[Inputs]) -> list[Ids]:
        """All rows in one batch; the answers by prompt."""
        inputs = [ids for of_prompt in inputs_of_prompt for ids in of_prompt]
        prompt_of_row = [k for k, of_prompt in enumerate(inputs_of_prompt) for _ in of_prompt]
        answers = iter(decode(Rows(prompts, inputs, prompt_of_row)))
        return [[next(answers) for _ in of_prompt] for of_prompt in inputs_of_prompt]

    def by_prompt(inputs: Inputs) -> list[Inputs]:
        """The rows of a stream, by prompt."""
        return [inputs[k::num_prompts] for k in range(num_prompts)]

    result, answers = _measured(
        {
            "stream_by_prompt": lambda inputs: [*map(decode_under, by_prompt(inputs), prompts)],
            "stream_mixed": lambda inputs: decode_mixed(by_prompt(inputs)),
            "ensemble_models": lambda inputs: [decode_under(inputs, no_prompt, m) for m in models],
            "ensemble_by_prompt": lambda inputs: [decode_under(inputs, p) for p in prompts],
            "ensemble_mixed": lambda inputs: decode_mixed([inputs] * num_prompts),
        },
        config,
        place,
    )
    for question in ("stream", "ensemble"):
        if answers[f"{question}_mixed"] != answers[f"{question}_by_prompt"]:
            raise NotEqualError(f"{question}: other tokens in a mixed batch than prompt by prompt")
    say("same tokens in mixed batches as prompt by prompt")
    return {
        **result,
        "num_prompts": len(prompts),
        "num_model_parameters": num_parameters(SIZES[config.size], VOCAB_SIZE),
        "num_prompt_parameters": sum(prompt.numel() for prompt in prompts),
    }


@torch.no_grad()
def _measured(
    ways: Mapping[str, Callable[[Inputs], Any]], config: BenchConfig, place: Place
) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """Costs of ways of answering, the first being the baseline; and what each said to a batch."""
    batches = [batch.to(place.device).inputs for batch in draw_batches(config)]
    said: dict[str, list[Any]] = {arm: [None] * len(batches) for arm in ways}

    def answer(arm: str, index: int) -> None:
        said[arm][index] = ways[arm](batches[index])

    for way in ways.values():
        way(batches[0][:WARM_UP_ROWS])
    calls = {arm: [partial(answer, arm, i) for i in range(len(batches))] for arm in ways}
    result = {
        "baseline": next(iter(ways)),
        "batches": [{"num_rows": len(inputs)} for inputs in batches],
        "arms": interleave(calls, config.num_rounds, place.device),
    }
    return result, said
