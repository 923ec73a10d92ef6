"""What every test gets: no network, and the real data where a machine has them."""

import os
import socket
from pathlib import Path
from typing import Any

import pytest
import torch

from prompt_tuning.models.loading import Checkpoint, load_checkpoint
from prompt_tuning.models.random_checkpoint import write_tiny_random_checkpoint

torch.set_num_threads(1)  # tiny tensors: two threads wait for each other on a busy machine

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _no_network(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that opens a socket fails, unless it is marked `network`; AF_UNIX stays."""
    if request.node.get_closest_marker("network"):
        return

    class LocalSocket(socket.socket):
        def __init__(self, family: int = -1, *args: Any, **kwargs: Any) -> None:
            if family != socket.AF_UNIX and kwargs.get("fileno") is None:
                raise OSError("tests have no network")
            super().__init__(family, *args, **kwargs)

    monkeypatch.setattr(socket, "socket", LocalSocket)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data: $PTUNE_SHARED_DATA, or shared/data beside the checkout."""
    folder = Path(os.environ.get("PTUNE_SHARED_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"the real data are not on this machine ({folder}; PTUNE_SHARED_DATA)")
    return folder


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny T5 v1.1 with random weights, in the hub's layout."""
    folder = tmp_path_factory.mktemp("tiny") / "model"
    write_tiny_random_checkpoint(folder, ["a joy to watch", "it makes no sense", "positive"])
    return folder


@pytest.fixture(scope="session")
def tiny_checkpoint(tiny_folder: Path) -> Checkpoint:
    """That model, loaded, checked and fused."""
    cpu = torch.device("cpu")
    return load_checkpoint(str(tiny_folder), revision=None, dtype=torch.float32, device=cpu)
