"""Where the weights of a T5's layers are: all here, or spread over the processes of a run (FSDP2).

Every process has to run the same layers in the same order where they are spread: a layer's weights
are whole from its turn to its end, forward and backward, so that a process holds its shares of all
layers and one or two whole ones.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from prompt_tuning.models.fused_weights import (
    EncoderLayer,
    Weights,
    fused_decoder_layer,
    fused_encoder_layer,
)

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup


class Stack:
    """The layers of an encoder or a decoder, all weights here."""

    is_spread = False

    def __init__(self, layers: Iterable[EncoderLayer]) -> None:
        self.layers = [*layers]

    def __call__(
        self, compute: Callable[..., Tensor], x: Tensor, of_layers: Iterable[tuple[Any, ...]]
    ) -> Tensor:
        """x through all layers: each is `compute(weights, x, *arguments)`, those of its own."""
        for layer, arguments in zip(self.layers, of_layers, strict=False):
            x = layer(compute, x, *arguments)
        return x


class SpreadStack(nn.Module):
    """A `Stack` of which every process of a group holds a share of each layer."""

    is_spread = True

    def __init__(
        self,
        layers: Iterable[nn.Module],
        group: "ProcessGroup",
        device: torch.device,
        trained_as: torch.dtype | None = None,
    ) -> None:
        """Spreads the layers over a device, one by one; their weights may lie on another.

        The processes need not do so at the same time: nothing is sent before the first pass.
        A forward pass sees trained weights as `trained_as`; None: they are frozen.
        """
        from torch.distributed.device_mesh import DeviceMesh
        from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

        super().__init__()
        precision = MixedPrecisionPolicy(trained_as, torch.float32, cast_forward_inputs=False)
        spread = partial(
            fully_shard,
            mesh=DeviceMesh.from_group(group, device.type),
            reshard_after_forward=True,
            mp_policy=precision if trained_as else MixedPrecisionPolicy(),
        )
        self.layers = nn.ModuleList()
        for layer in layers:
            spread(layer)
            self.layers.append(layer)
        spread(self)
        for module in (self, *self.layers):  # gradients of the loss are sums over all rows
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)

    forward = Stack.__call__


class FrozenLayer(nn.Module):
    """Fused weights of a layer; gradients go through them and not to them."""

    def __init__(self, weights: EncoderLayer) -> None:
        super().__init__()
        self._kind = type(weights)
        for name, tensor in vars(weights).items():
            self.register_parameter(name, nn.Parameter(tensor, requires_grad=False))

    def forward(self, compute: Callable[..., Any], *args: Any) -> Any:
        """`compute(weights, *args)` with the whole weights."""
        return compute(self._kind(**dict(self.named_parameters())), *args)


class TrainedLayer(nn.Module):
    """Weights of a layer that are trained, fused at every pass.

    The backward pass runs the layer again rather than keep what was fused: of all layers that would
    be the whole model.
    """

    def __init__(self, own: Weights, others: Weights, fuse: Callable[[Weights], Any]) -> None:
        """`fuse` takes `own` weights of the layer and `others`, which are whole everywhere."""
        super().__init__()
        self._others, self._fuse = others, fuse
        for name, weight in own.items():
            self.register_parameter(name.replace(".", "/"), nn.Parameter(weight.detach()))

    def named(self) -> dict[str, nn.Parameter]:
        """The weights of this layer, as they are now, by their names in a checkpoint."""
        return {name.replace("/", "."): each for name, each in self.named_parameters()}

    def forward(self, compute: Callable[..., Any], *args: Any) -> Any:
        """`compute(fused weights, *args)`."""

        def run(*args: Any) -> Any:
            own = self.named()
            dtype = next(iter(own.values())).dtype
            others = {name: weight.to(dtype) for name, weight in self._others.items()}
            return compute(self._fuse(others | own), *args)

        if not torch.is_grad_enabled():
            return run(*args)
        return checkpoint(run, *args, use_reentrant=False, preserve_rng_state=False)


def spread_trained(
    weights: Weights,
    num_layers: tuple[int, int],
    heads: int,
    group: "ProcessGroup",
    device: torch.device,
    dtype: torch.dtype,
) -> tuple[dict[str, Tensor], tuple[SpreadStack, SpreadStack]]:
    """Spreads the layers of weights that are trained; what is outside of layers stays whole.

    Args:
        weights: float32, by their names in a checkpoint, anywhere.
        num_layers: of encoder and decoder.
        heads: of attention.
        group: of the processes.
        device: where they are trained.
        dtype: of forward passes.

    Returns the weights by name, those of layers as DTensors, and the stacks that are made of them.
    """

    def part(block: str) -> dict[str, Tensor]:
        names = (name for name in weights if name.startswith(block))
        return {name: weights[name] for name in names if "relative_attention_bias" not in name}

    inside = {*part("encoder.block."), *part("decoder.block.")}
    trained: dict[str, Tensor] = {**weights}
    for name in weights.keys() - inside:
        trained[name] = weights[name].detach().to(device).requires_grad_()
    shared = {name: trained[name] for name in ("encoder.final_layer_norm.weight",)}

    def spread(stack: str, number: int, fuse: Callable[..., EncoderLayer]) -> SpreadStack:
        layers = [
            TrainedLayer(part(f"{stack}.block.{block}."), shared, partial(fuse, block=block))
            for block in range(number)
        ]
        made = SpreadStack(layers, group, device, dtype)
        for layer in layers:
            trained.update(layer.named())
        return made

    of_encoder, of_decoder = num_layers
    stacks = (
        spread("encoder", of_encoder, fused_encoder_layer),
        spread("decoder", of_decoder, partial(fused_decoder_layer, heads=heads)),
    )
    return trained, stacks


def whole(tensor: Tensor) -> Tensor:
    """A tensor that may be spread, whole; all processes have to ask for it."""
    gather = getattr(tensor, "full_tensor", None)
    return tensor if gather is None else gather()


def as_spread(value: Tensor, like: Tensor, *, replicated: bool = False) -> Tensor:
    """This process's part of a value, whole in every process, spread as `like` is, if that is.

    With `replicated` it is all of the value, in the same kind of tensor.
    """
    from torch.distributed.tensor import DTensor, Replicate, distribute_tensor

    if not isinstance(like, DTensor):
        return value
    places = [Replicate()] * like.device_mesh.ndim if replicated else like.placements
    value = value.to(like.to_local().device)
    return distribute_tensor(value, like.device_mesh, places, src_data_rank=None)
