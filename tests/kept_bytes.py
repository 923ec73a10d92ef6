"""What autograd keeps for a backward pass, measured."""

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks


def kept_storages(forward: Callable[[], Any]) -> dict[int, int]:
    """Bytes of every storage that the graph of a forward pass keeps, by address: each once."""
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        graph = forward()  # alive to the end: no address is used twice
    del graph
    return kept
