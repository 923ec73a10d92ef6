"""Where the weights of a T5's layers are: all here, or spread over the processes of a run."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from prompt_tuning.models.fused_weights import CrossAttention, FeedForward, SelfAttention

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup


@dataclass(frozen=True)
class EncoderLayer:
    """The fused weights of a layer of the encoder."""

    attention: SelfAttention
    feed_forward: FeedForward


@dataclass(frozen=True)
class DecoderLayer:
    """The fused weights of a layer of the decoder."""

    attention: SelfAttention
    cross: CrossAttention
    feed_forward: FeedForward


W = TypeVar("W", EncoderLayer, DecoderLayer)


class Stack(Generic[W]):
    """The layers of an encoder or a decoder, all weights here."""

    def __init__(self, layers: Iterable[W]) -> None:
        """Takes the weights of every layer."""
        self.layers: list[_Here[W]] = [_Here(weights) for weights in layers]

    def __call__(self, through: Callable[..., Any], x: Tensor) -> Any:
        """`through(layers, x)`; a layer called with (compute, *args) is compute(weights, *args)."""
        return through(self.layers, x)

    def num_elsewhere(self) -> int:
        """Numbers of the layers that this process does not hold: none."""
        return 0


@dataclass(frozen=True)
class _Here(Generic[W]):
    weights: W

    def __call__(self, compute: Callable[..., Any], *args: Any) -> Any:
        return compute(self.weights, *args)


class SpreadStack(nn.Module, Generic[W]):
    """A `Stack` of which every process holds a share: FSDP2.

    A layer's weights are whole from its turn to its end, forward and backward: a process holds the
    shares of all layers and one or two whole ones. Every process has to run the same layers in the
    same order. They are frozen: gradients go through them and not to them.
    """

    def __init__(self, layers: Iterable[W], group: "ProcessGroup", device: torch.device) -> None:
        """Spreads the layers over the processes of `group`, one by one as they come.

        The processes need not do so at the same time: nothing is sent before the first pass.
        """
        from torch.distributed.device_mesh import DeviceMesh
        from torch.distributed.fsdp import fully_shard

        super().__init__()
        mesh = DeviceMesh.from_group(group, device.type)
        self.layers = nn.ModuleList()
        for weights in layers:
            layer = _Spread(weights)
            fully_shard(layer, mesh=mesh, reshard_after_forward=True)
            self.layers.append(layer)
        fully_shard(self, mesh=mesh, reshard_after_forward=True)

    def forward(self, through: Callable[..., Any], x: Tensor) -> Any:
        """As `Stack`."""
        return through(self.layers, x)

    def num_elsewhere(self) -> int:
        """Numbers of the layers that this process does not hold."""
        from torch.distributed.tensor import DTensor

        shares = [each for each in self.parameters() if isinstance(each, DTensor)]
        return sum(each.numel() - each.to_local().numel() for each in shares)


class _Spread(nn.Module, Generic[W]):
    """A layer of a `SpreadStack`."""

    def __init__(self, weights: W) -> None:
        super().__init__()
        self._kind: type[W] = type(weights)
        self._parts = {part.name: type(getattr(weights, part.name)) for part in fields(weights)}
        for part, kind in self._parts.items():
            for name in fields(kind):
                tensor = getattr(getattr(weights, part), name.name)
                self.register_parameter(f"{part}_{name.name}", nn.Parameter(tensor, False))

    def forward(self, compute: Callable[..., Any], *args: Any) -> Any:
        """`compute(weights, *args)` with the whole weights."""
        parts = {
            part: kind(**{each.name: getattr(self, f"{part}_{each.name}") for each in fields(kind)})
            for part, kind in self._parts.items()
        }
        return compute(self._kind(**parts), *args)
