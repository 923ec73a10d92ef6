"""The optimiser of pre-training and its learning rate, step by step."""

from collections.abc import Mapping

import torch
from torch import Tensor

from prompt_tuning.optim import Adafactor
from prompt_tuning.pretraining.schema import PretrainingConfig

EMBEDDING = "shared.weight"


def make_optimizer(
    settings: PretrainingConfig, weights: Mapping[str, Tensor]
) -> torch.optim.Optimizer:
    """Adafactor relative to each parameter's scale, as T5 was pre-trained, or AdamW.

    A group's `lr_factor` times the learning rate of a step is the group's. AdamW's steps are of one
    size for all tensors, and embeddings are drawn with deviation 1, matrices with d_model^-0.5.
    """
    if settings.optimizer == "adafactor":
        return Adafactor(
            [{"params": list(weights.values()), "lr_factor": 1.0}],
            settings.learning_rate,
            weight_decay=settings.weight_decay,
            multiply_by_parameter_scale=True,
        )
    others = [weight for name, weight in weights.items() if name != EMBEDDING]
    groups = [
        {"params": others, "lr_factor": 1.0},
        {"params": [weights[EMBEDDING]], "lr_factor": settings.embedding_learning_rate},
    ]
    beta1, beta2 = settings.betas
    return torch.optim.AdamW(
        groups,
        settings.learning_rate,
        betas=(beta1, beta2),
        weight_decay=settings.weight_decay,
        fused=True,
    )


def learning_rate(settings: PretrainingConfig, step: int) -> float:
    """The rate of a step, counted from 0: a linear warm-up, then the schedule.

    T5's is 1 / sqrt(max(step, warmup_steps)), which starts with a constant rate.
    Source: Raffel et al. (2020), section 3.1.2, with 10,000 warm-up steps.
    """
    warmup = max(settings.warmup_steps, 1)
    if settings.schedule == "inverse_square_root":
        return settings.learning_rate * float(max(step, warmup) ** -0.5)
    left = 1.0
    if settings.schedule == "linear":
        left = (settings.num_steps - step) / max(settings.num_steps - settings.warmup_steps, 1)
    return settings.learning_rate * min(1.0, (step + 1) / warmup, left)
