"""What a single value of a configuration may be, key by key."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from prompt_tuning.errors import UserError, did_you_mean

SPLITS = ("train", "validation", "test")
CHOOSING_SPLITS = ("train", "held_out", "validation", "test")
METHODS = ("prompt_tuning", "model_tuning", "multitask_model_tuning", "prompt_design")
FROZEN = ("prompt_tuning", "prompt_design")  # methods that change no weight of the model

CHOICES: dict[str, tuple[str, ...]] = {
    "corpus.world": ("facts", "full"),
    "data.source": ("auto", "hub", "local", "embedded"),
    "evaluation.rank": ("labels",),
    "evaluation.report_split": SPLITS,
    "evaluation.split": CHOOSING_SPLITS,
    "format": ("taskless", "t5"),
    "init.strategy": ("random_uniform", "sampled_vocab", "class_label", "from_file", "from_text"),
    "machine.compile": ("default", "reduce-overhead"),
    "machine.device": ("auto", "cpu", "cuda"),
    "machine.dtype": ("auto", "float32", "bfloat16"),
    "method": METHODS,
    "model.source": ("hub", "embedded", "packaged", "prompt"),
    "objective.name": ("span_corruption", "prefix_lm", "sentence_lm"),
    "profile": ("wic", "rte", "boolq", "multirc", "span_corruption"),
    "prompt.template": ("flan",),
    "size": ("nano", "tiny", "small"),
    "part": (
        "training",
        "evaluation",
        "serving",
        "end_to_end",
        "growth",
        "model_tuning",
        "pretraining",
    ),
    "pretraining.optimizer": ("adafactor", "adamw"),
    "pretraining.schedule": ("inverse_square_root", "constant", "linear"),
    "pretraining.storage_dtype": ("float32", "bfloat16"),
    "split": SPLITS,
    "task.report_split": SPLITS,
    "tie": ("first", "best"),
    "tracking.name": ("wandb", "none"),
}

AT_LEAST_1 = (
    "data.num_held_out",
    "evaluation.every_steps",
    "evaluation.max_target_tokens",
    "evaluation.num_examples",
    "evaluation.num_report_examples",
    "evaluation.num_segments",
    "init.vocab_sample_size",
    "machine.max_tokens_per_micro_batch",
    "machine.num_threads",
    "objective.max_target_tokens",
    "objective.mean_span_length",
    "optimizer.min_dim_size_to_factor",
    "pretraining.batch_size",
    "pretraining.num_steps",
    "prompt.length",
    "shape.d_ff",
    "shape.d_kv",
    "shape.d_model",
    "shape.num_heads",
    "shape.num_layers",
    "training.batch_size",
    "training.max_input_tokens",
    "training.max_target_tokens",
    "training.num_steps",
    "training.num_train_examples",
    "batch_size",
    "max_target_tokens",
    "rows_in_memory",
    "num_batches",
    "num_prompts",
    "num_rows",
    "num_random_draws",
    "num_rounds",
    "show_rows",
    "prompt_length",
    "corpus.max_tokens",
    "corpus.world_documents",
    "corpus.world_max_sentences",
    "vocabulary.num_documents",
    "vocabulary.num_pieces",
)
AT_LEAST_0 = (
    "optimizer.initial_step",
    "optimizer.step_offset",
    "optimizer.weight_decay",
    "prompt.num_shots",
    "pretraining.warmup_steps",
    "pretraining.weight_decay",
    "seed",
    "training.z_loss",
    "model.lm_adapt_steps",
    "variant.lm_adapt_steps",
)
ABOVE_0 = (
    "init.uniform_range",
    "optimizer.clipping_threshold",
    "optimizer.decay_rate",
    "optimizer.epsilon1",
    "optimizer.learning_rate",
    "pretraining.embedding_learning_rate",
    "pretraining.learning_rate",
    "pretraining.max_gradient_norm",
    "timeout_s",
)

RANGES: dict[str, tuple[Callable[[float], bool], str]] = {
    **dict.fromkeys(AT_LEAST_1, (lambda value: value >= 1, "1 or more")),
    **dict.fromkeys(AT_LEAST_0, (lambda value: 0 <= value < math.inf, "0 or more")),
    **dict.fromkeys(ABOVE_0, (lambda value: 0 < value < math.inf, "more than 0")),
    "num_prompts": (lambda value: value >= 2, "2 or more"),
    "training.dropout": (lambda value: 0 <= value < 1, "0 or more, less than 1"),
    "dropout": (lambda value: 0 <= value < 1, "0 or more, less than 1"),
    "top_k": (lambda value: value >= 2, "2 or more: tightness is of pairs"),
    "target_score": (lambda value: 0 <= value <= 100, "0 to 100"),
    "corpus.held_out_fraction": (lambda value: 0 < value < 1, "more than 0, less than 1"),
    "objective.noise_density": (lambda value: 0 < value < 1, "more than 0, less than 1"),
    # T5's rule for the length of a segment does not hold below 10.
    "objective.inputs_length": (lambda value: value >= 10, "10 or more"),
}

FLOAT16 = "float16 overflows inside T5 (huggingface/transformers#14189)"


def range_problems(values: Mapping[str, Any]) -> list[UserError]:
    """Values outside what their key allows; keys that are absent or null are skipped."""
    problems = []
    for key, allowed in CHOICES.items():
        value = _value(values, key)
        if value is None or value in allowed:
            continue
        reason = f": {FLOAT16}" if value in ("float16", "fp16", "half") else ""
        problems.append(
            UserError(
                f"{key}={value} is not possible{reason}",
                allowed=", ".join(allowed),
                fix=did_you_mean(str(value), allowed) or f"correct {key}, or leave it out",
            )
        )
    for key, (holds, allowed_range) in RANGES.items():
        value = _value(values, key)
        if value is not None and not holds(value):
            problems.append(
                UserError(
                    f"{key}={value} is out of range",
                    allowed=allowed_range,
                    fix=f"correct {key}, or leave it out for its default",
                )
            )
    return problems


def _value(values: Any, key: str) -> Any:
    for name in key.split("."):
        values = values.get(name) if isinstance(values, Mapping) else None
    return values
