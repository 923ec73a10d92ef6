"""What a run trains: a prompt in front of a frozen model, or the whole model."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from prompt_tuning.models.frozen_t5 import FamilyConfig, FrozenT5, PackedT5
from prompt_tuning.models.layer_weights import SpreadStack


@dataclass(frozen=True)
class PromptTuning:
    """A prompt is trained in front of the input of a frozen model: P * H parameters.

    The prompt is float32 whatever the model's weights are: an update of 0.01 on a value of 10 is
    lost in bfloat16. Source: Lester et al. (2021), section 2.
    """

    frozen: FrozenT5
    prompt: Tensor  # requires a gradient

    @property
    def trained(self) -> Mapping[str, Tensor]:
        """The tensors that the optimiser moves, by name; each requires a gradient."""
        return {"prompt": self.prompt}

    @property
    def is_spread(self) -> bool:
        """Whether the model's weights are spread over the processes of the run."""
        return self.frozen.is_spread

    def make_model(self) -> FrozenT5:
        """The model with the present weights."""
        return self.frozen


@dataclass(frozen=True)
class ModelTuning:
    """All weights of a model are trained and nothing stands in front of its input.

    Weights and their updates are float32; a forward pass sees them rounded to `dtype`.
    Source: Lester et al. (2021), section 3.1, the baseline of figure 1.
    """

    weights: Mapping[str, Tensor]  # by their names in a checkpoint; each requires a gradient
    config: FamilyConfig
    dtype: torch.dtype  # of forward passes
    stacks: tuple[SpreadStack, SpreadStack] | None = None  # of layers that are spread

    @property
    def trained(self) -> Mapping[str, Tensor]:
        """All of the weights."""
        return self.weights

    @property
    def prompt(self) -> Tensor:
        """The empty prompt, [0, H]."""
        return self.weights["shared.weight"].new_zeros(0, self.config.d_model)

    @property
    def is_spread(self) -> bool:
        """Whether the layers are; what is outside of them is whole in every process."""
        return self.stacks is not None

    def make_model(self) -> PackedT5:
        """The weights fused anew: fusing is part of the graph that the backward pass frees."""
        rounded = {name: weight.to(self.dtype) for name, weight in self.weights.items()}
        return PackedT5(rounded, self.config, self.stacks)


Method: TypeAlias = PromptTuning | ModelTuning
