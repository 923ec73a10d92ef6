"""What every test gets: no network, and the real data where a machine has them."""

import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from prompt_tuning.models.loading import Checkpoint, load_checkpoint
from prompt_tuning.models.random_checkpoint import Shape, write_random_checkpoint

torch.set_num_threads(1)  # tiny tensors: two threads wait for each other on a busy machine

REPOSITORY = Path(__file__).parents[1]
TINY = Shape(d_model=64, num_layers=4, num_heads=4, d_kv=16, d_ff=128)
WriteTiny = Callable[[Path, Sequence[str]], None]


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
def tiny_shape() -> Shape:
    """Of the tiny T5 v1.1."""
    return TINY


@pytest.fixture(scope="session")
def write_tiny() -> WriteTiny:
    """Writes a tiny T5 v1.1 with random weights and a vocabulary of its own into a new folder."""

    def write(folder: Path, texts: Sequence[str]) -> None:
        folder.mkdir(parents=True)
        vocabulary = folder / "spiece.model"
        _train_vocabulary(texts, vocabulary)
        write_random_checkpoint(folder, TINY, vocabulary)

    return write


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory, write_tiny: WriteTiny) -> Path:
    """Such a model, in the hub's layout."""
    folder = tmp_path_factory.mktemp("tiny") / "model"
    write_tiny(folder, ["a joy to watch", "it makes no sense", "positive"])
    return folder


@pytest.fixture(scope="session")
def tiny_checkpoint(tiny_folder: Path) -> Checkpoint:
    """That model, loaded, checked and fused."""
    cpu = torch.device("cpu")
    return load_checkpoint(str(tiny_folder), revision=None, dtype=torch.float32, device=cpu)


def _train_vocabulary(texts: Sequence[str], path: Path) -> None:
    """A SentencePiece unigram model with T5's special ids and all printable ASCII."""
    import sentencepiece

    with path.open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts),
            model_writer=file,
            vocab_size=512,
            hard_vocab_limit=False,
            required_chars="".join(map(chr, range(33, 127))),
            pad_id=0,
            eos_id=1,
            unk_id=2,
            bos_id=-1,
            num_threads=1,
            minloglevel=2,
        )
