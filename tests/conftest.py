"""What every test gets: no network, and the real data where a machine has them."""

import gc
import json
import os
import socket
from pathlib import Path

import pytest
import torch
from quick_runs import Said, load_exactly, status_of
from safetensors.torch import save_file
from transformers import AutoTokenizer

from prompt_tuning.models.random_checkpoint import random_weights, write_random_checkpoint
from prompt_tuning.shapes import Shape

torch.set_num_threads(1)  # tiny tensors: two threads wait for each other on a busy machine

REPOSITORY = Path(__file__).parents[1]
TINY = Shape(d_model=64, num_layers=4, num_heads=4, d_kv=16, d_ff=128)
TEXTS = ["a joy to watch", "it makes no sense", "positive"]


def pytest_collection_modifyitems(config, items):
    """Skips what takes long unless it is asked for."""
    if "faults" in config.getoption("-m"):
        return
    for item in items:
        if item.get_closest_marker("faults"):
            item.add_marker(pytest.mark.skip(reason="takes long: -m faults"))


def pytest_collection_finish():
    """What imports and collection have left stays: garbage collections need not walk it (-13 %)."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _no_network(request, monkeypatch):
    """A test that opens a socket fails, unless it is marked `network`; AF_UNIX stays."""
    if request.node.get_closest_marker("network"):
        return

    class LocalSocket(socket.socket):
        def __init__(self, family=-1, *args, **kwargs):
            if family != socket.AF_UNIX and kwargs.get("fileno") is None:
                raise OSError("tests have no network")
            super().__init__(family, *args, **kwargs)

    monkeypatch.setattr(socket, "socket", LocalSocket)


@pytest.fixture
def ptune(tmp_path, monkeypatch, capsys):
    """`ptune(*arguments, status=0)`, in this process and the test's own folder: what it says.

    Only a fault of the program's, status 1, has a traceback.
    """
    monkeypatch.chdir(tmp_path)

    def run(*arguments, status=0):
        ended, said = status_of(monkeypatch, tmp_path, *arguments), Said(*capsys.readouterr())
        assert ended == status, said
        assert status == 1 or "Traceback" not in said.err
        return said

    return run


@pytest.fixture(scope="session")
def shared_data():
    """The folder of real data: $PTUNE_SHARED_DATA, or shared/data beside the checkout."""
    folder = Path(os.environ.get("PTUNE_SHARED_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"the real data are not on this machine ({folder}; PTUNE_SHARED_DATA)")
    return folder


@pytest.fixture(scope="session")
def write_tiny():
    """Writes a tiny T5 v1.1 with random weights and a vocabulary of its own into a new folder."""

    def write(folder, texts):
        folder.mkdir(parents=True)
        vocabulary = folder / "spiece.model"
        _train_vocabulary(texts, vocabulary)
        write_random_checkpoint(folder, TINY, vocabulary)

    return write


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory, write_tiny):
    """Such a model, in the hub's layout."""
    folder = tmp_path_factory.mktemp("tiny") / "model"
    write_tiny(folder, TEXTS)
    return folder


@pytest.fixture(scope="session")
def tiny_family(tiny_folder, tmp_path_factory):
    """The folders of a tiny T5 v1.1, mT5 and umT5 by their model_type, as the hub has them."""
    folders = {"t5": tiny_folder}
    for model_type, write in (("mt5", _write_mt5), ("umt5", _write_umt5)):
        folders[model_type] = tmp_path_factory.mktemp(model_type)
        write(folders[model_type])
    return folders


@pytest.fixture(scope="session")
def tiny_checkpoint(tiny_folder):
    """That model, loaded, checked and fused."""
    return load_exactly(str(tiny_folder))


def _write_mt5(folder):
    """As a T5 v1.1, but the sentinels are pieces of its vocabulary and no special tokens."""
    from sentencepiece import sentencepiece_model_pb2 as protocol

    path = folder / "spiece.model"
    _train_vocabulary(TEXTS, path)
    vocabulary = protocol.ModelProto.FromString(path.read_bytes())
    for k in reversed(range(100)):
        vocabulary.pieces.add(piece=f"\u2581<extra_id_{k}>", score=0.0)
    path.write_bytes(vocabulary.SerializeToString())
    write_random_checkpoint(folder, TINY, path)
    _edit_json(folder / "tokenizer_config.json", extra_ids=0, additional_special_tokens=None)
    _edit_json(folder / "config.json", model_type="mt5")


def _write_umt5(folder):
    """With a position bias in each layer; <s> is 2 and <unk> 3, as its tokenizer.json says."""
    path = folder / "spiece.model"
    _train_vocabulary(TEXTS, path, bos_id=2, unk_id=3)
    write_random_checkpoint(folder, TINY, path)
    rules = json.loads(AutoTokenizer.from_pretrained(folder).backend_tokenizer.to_str())
    rules["model"]["unk_id"] = 3
    (folder / "tokenizer.json").write_text(json.dumps(rules), encoding="utf-8")
    config = _edit_json(folder / "config.json", model_type="umt5")
    weights = random_weights(TINY, config["vocab_size"], seed=0, model_type="umt5")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def _edit_json(path, **values):
    """Sets values of a JSON object in a file; returns all of it."""
    content = json.loads(path.read_text(encoding="utf-8")) | values
    path.write_text(json.dumps(content), encoding="utf-8")
    return content


def _train_vocabulary(texts, path, *, bos_id=-1, unk_id=2):
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
            unk_id=unk_id,
            bos_id=bos_id,
            num_threads=1,
            minloglevel=2,
        )
