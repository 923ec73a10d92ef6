"""Where the weights of a T5's layers are: all here, or spread over the processes of a run (FSDP2).

Every process has to run the same layers in the same order where they are spread: a layer's weights
are whole from its turn to its end, forward and backward, so that a process holds its shares of all
layers and one or two whole ones.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from prompt_tuning.models.fused_weights import CrossAttention, FeedForward, SelfAttention, Weights

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup


@dataclass(frozen=True)
class EncoderLayer:
    """The fused weights of a layer of the encoder."""

    attention: SelfAttention
    feed_forward: FeedForward

    @classmethod
    def fuse(cls, weights: Weights, block: int) -> Self:
        """Of a block, by its number."""
        name = f"encoder.block.{block}.layer"
        return cls(SelfAttention.fuse(weights, f"{name}.0"), FeedForward.fuse(weights, f"{name}.1"))


@dataclass(frozen=True)
class DecoderLayer:
    """The fused weights of a layer of the decoder."""

    attention: SelfAttention
    cross: CrossAttention
    feed_forward: FeedForward

    @classmethod
    def fuse(cls, weights: Weights, block: int, heads: int) -> Self:
        """Of a block, by its number; `heads` is that of attention heads."""
        name = f"decoder.block.{block}.layer"
        return cls(
            SelfAttention.fuse(weights, f"{name}.0"),
            CrossAttention.fuse(weights, f"{name}.1", heads),
            FeedForward.fuse(weights, f"{name}.2"),
        )


W = TypeVar("W", EncoderLayer, DecoderLayer)


class Stack(Generic[W]):
    """The layers of an encoder or a decoder, all weights here."""

    is_spread = False

    def __init__(self, layers: Iterable[W]) -> None:
        self.layers: list[_Here[W]] = [_Here(weights) for weights in layers]

    def __call__(self, through: Callable[..., Any], x: Tensor) -> Any:
        """`through(layers, x)`; a layer called with (compute, *args) is compute(weights, *args)."""
        return through(self.layers, x)


@dataclass(frozen=True)
class _Here(Generic[W]):
    weights: W

    def __call__(self, compute: Callable[..., Any], *args: Any) -> Any:
        return compute(self.weights, *args)


class SpreadStack(nn.Module):
    """As `Stack`, but that every process of a group holds a share of each layer."""

    is_spread = True

    def __init__(
        self,
        layers: Iterable[nn.Module],
        group: "ProcessGroup",
        device: torch.device,
        trained_as: torch.dtype | None = None,
    ) -> None:
        """Spreads the layers, one by one as they come.

        The processes need not do so at the same time: nothing is sent before the first pass.

        Args:
            layers: their parameters may be on another device.
            group: of the processes.
            device: where they are spread.
            trained_as: what a forward pass sees of trained weights; None: they are frozen.
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

    def forward(self, through: Callable[..., Any], x: Tensor) -> Any:
        return through(self.layers, x)


class FrozenLayer(nn.Module, Generic[W]):
    """Fused weights of a layer; gradients go through them and not to them."""

    def __init__(self, weights: W) -> None:
        super().__init__()
        self._kind: type[W] = type(weights)
        self._parts = {part.name: type(getattr(weights, part.name)) for part in fields(weights)}
        for part, kind in self._parts.items():
            for each in fields(kind):
                tensor = getattr(getattr(weights, part), each.name)
                parameter = nn.Parameter(tensor, requires_grad=False)
                self.register_parameter(f"{part}_{each.name}", parameter)

    def forward(self, compute: Callable[..., Any], *args: Any) -> Any:
        """`compute(weights, *args)` with the whole weights."""
        parts = {
            part: kind(**{each.name: getattr(self, f"{part}_{each.name}") for each in fields(kind)})
            for part, kind in self._parts.items()
        }
        return compute(self._kind(**parts), *args)


class TrainedLayer(nn.Module):
    """Weights of a layer that are trained, fused at every pass.

    The backward pass runs the layer again rather than keep what was fused: of all layers that would
    be the whole model.
    """

    def __init__(self, own: Weights, others: Weights, fuse: Callable[[Weights], Any]) -> None:
        """Takes weights by their names in a checkpoint.

        Args:
            own: of the layer.
            others: what `fuse` needs beside them, whole in every process.
            fuse: of all of them.
        """
        super().__init__()
        self._others, self._fuse = others, fuse
        for name, weight in own.items():
            self.register_parameter(name.replace(".", "/"), nn.Parameter(weight.detach()))

    def named(self) -> dict[str, nn.Parameter]:
        """Its own weights, as they are now, by their names in a checkpoint."""
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

    Returns:
        The weights by name, those of layers as DTensors, and the two stacks that are made of them.
    """

    def belongs(name: str, stack: str) -> bool:
        return name.startswith(f"{stack}.block.") and "relative_attention_bias" not in name

    outside = {
        name: weight.detach().to(device).requires_grad_()
        for name, weight in weights.items()
        if not belongs(name, "encoder") and not belongs(name, "decoder")
    }
    trained: dict[str, Tensor] = {**weights, **outside}
    shared = {name: outside[name] for name in ("encoder.final_layer_norm.weight",)}
    stacks = []
    fuses: Mapping[str, Callable[..., Any]] = {
        "encoder": EncoderLayer.fuse,
        "decoder": partial(DecoderLayer.fuse, heads=heads),
    }
    for (stack, fuse), number in zip(fuses.items(), num_layers, strict=True):
        layers = [
            TrainedLayer(
                {
                    name: weight
                    for name, weight in weights.items()
                    if belongs(name, stack) and name.startswith(f"{stack}.block.{block}.")
                },
                shared,
                partial(fuse, block=block),
            )
            for block in range(number)
        ]
        stacks.append(SpreadStack(layers, group, device, dtype))
        for layer in layers:
            trained |= layer.named()
    return trained, (stacks[0], stacks[1])


def num_elsewhere(tensors: Iterable[Tensor]) -> int:
    """Numbers of tensors that only other processes hold."""
    shares = ((each, getattr(each, "to_local", None)) for each in tensors)
    return sum(each.numel() - share().numel() for each, share in shares if share is not None)


def whole(tensor: Tensor) -> Tensor:
    """A tensor that may be spread, whole; all processes have to ask for it."""
    gather = getattr(tensor, "full_tensor", None)
    return tensor if gather is None else gather()


def as_spread(value: Tensor, like: Tensor, *, replicated: bool = False) -> Tensor:
    """This process's part of a whole value, spread as another tensor is, if that is.

    Args:
        value: the same in every process.
        like: a tensor of the same processes.
        replicated: all of it, in the same kind of tensor.
    """
    from torch.distributed.tensor import DTensor, Replicate, distribute_tensor

    if not isinstance(like, DTensor):
        return value
    places = [Replicate()] * like.device_mesh.ndim if replicated else like.placements
    value = value.to(like.to_local().device)
    return distribute_tensor(value, like.device_mesh, places, src_data_rank=None)
