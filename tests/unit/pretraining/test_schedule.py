"""The optimiser of pre-training and its schedule: rates reach every weight, step by step."""

import pytest
import torch

from prompt_tuning.composition import composed
from prompt_tuning.config import typed
from prompt_tuning.optim import Adafactor
from prompt_tuning.pretraining.schedule import EMBEDDING, learning_rate, make_optimizer
from prompt_tuning.pretraining.schema import PretrainConfig


def settings(*overrides):
    config = composed("pretrain", ["corpus.world=facts", *overrides])
    return typed(PretrainConfig, config).pretraining


def weights():
    return {name: torch.ones(2, 2, requires_grad=True) for name in (EMBEDDING, "lm_head.weight")}


def test_t5s_adafactor_is_relative_to_every_weights_scale():
    trained = weights()
    optimizer = make_optimizer(settings("pretraining.weight_decay=0.25"), trained)
    assert isinstance(optimizer, Adafactor)
    (group,) = optimizer.param_groups
    assert group["params"] == [*trained.values()]
    assert (group["multiply_by_parameter_scale"], group["lr_factor"]) == (True, 1.0)
    assert group["weight_decay"] == 0.25


def test_adamw_has_embeddings_in_a_group_of_their_own():
    trained = weights()
    optimizer = make_optimizer(
        settings(
            "pretraining.optimizer=adamw",
            "pretraining.embedding_learning_rate=6",
            "pretraining.betas=[0.8,0.7]",
            "pretraining.weight_decay=0.25",
        ),
        trained,
    )
    assert isinstance(optimizer, torch.optim.AdamW)
    factors = {
        id(p): group["lr_factor"] for group in optimizer.param_groups for p in group["params"]
    }
    assert factors == {id(trained[EMBEDDING]): 6.0, id(trained["lm_head.weight"]): 1.0}
    for group in optimizer.param_groups:
        assert group["betas"] == (0.8, 0.7)
        assert group["weight_decay"] == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("schedule", "warmup", "rates"),
    [
        ("inverse_square_root", 10_000, {0: 0.01, 10_000: 0.01, 1_000_000: 0.001}),  # T5's
        ("constant", 4, {0: 0.25, 1: 0.5, 3: 1.0, 90: 1.0}),
        ("linear", 4, {0: 0.25, 3: 1.0, 4: 1.0, 52: 0.5, 99: 1 / 96}),
        ("linear", 0, {0: 1.0, 50: 0.5}),
    ],
)
def test_the_rate_warms_up_and_follows_its_schedule(schedule, warmup, rates):
    given = settings(
        f"pretraining.schedule={schedule}",
        f"pretraining.warmup_steps={warmup}",
        "pretraining.num_steps=100",
        "pretraining.learning_rate=1.0",
    )
    assert {step: learning_rate(given, step) for step in rates} == pytest.approx(rates)
