"""Optimisers of pre-training: settings reach every weight, embeddings at a rate of their own."""

import pytest
import torch

from prompt_tuning.composition import configs_of
from prompt_tuning.config import typed
from prompt_tuning.optim import Adafactor
from prompt_tuning.pretraining.parts import EMBEDDING, make_optimizer
from prompt_tuning.pretraining.settings import PretrainConfig, PretrainingConfig


def settings(*overrides: str) -> PretrainingConfig:
    (config,), problems = configs_of("pretrain", ["corpus.world=facts", *overrides])
    assert not problems
    return typed(PretrainConfig, config).pretraining


def weights() -> dict[str, torch.Tensor]:
    return {name: torch.ones(2, 2, requires_grad=True) for name in (EMBEDDING, "lm_head.weight")}


def test_t5s_adafactor_is_relative_to_every_weights_scale() -> None:
    trained = weights()
    optimizer = make_optimizer(settings("pretraining.weight_decay=0.25"), trained)
    assert isinstance(optimizer, Adafactor)
    (group,) = optimizer.param_groups
    assert group["params"] == [*trained.values()]
    assert (group["multiply_by_parameter_scale"], group["lr_factor"]) == (True, 1.0)
    assert group["weight_decay"] == 0.25


def test_adamw_has_embeddings_in_a_group_of_their_own() -> None:
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
