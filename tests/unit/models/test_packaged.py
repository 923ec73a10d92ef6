"""A model inside a Python package: imported once, known by its hash, never half there."""

from types import SimpleNamespace

import pytest
import torch
from quick_runs import load_exactly

from prompt_tuning.errors import UserError
from prompt_tuning.models import packaged
from prompt_tuning.models.checkpoint_files import located
from prompt_tuning.models.packaged import PACKAGED_MODELS, check_installed, imported_folder

SOURCE = "packaged:flan_small_int8"
MODEL = PACKAGED_MODELS["flan_small_int8"]


def keep_assets_in(folder, monkeypatch):
    """Nothing is read from, or written into, the user's own cache."""
    imported_folder.cache_clear()
    monkeypatch.setattr("huggingface_hub.cached_assets_path", lambda *_, **__: folder)


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """Of this session's imports."""
    pytest.importorskip("traceforge_title_model", reason="pip install 'ptune[flan]'")
    return tmp_path_factory.mktemp("assets")


@pytest.fixture
def folder(cache, monkeypatch):
    """The imported model."""
    keep_assets_in(cache, monkeypatch)
    return imported_folder(SOURCE)


def test_the_package_gives_flan_t5_small_as_floats(folder):
    """76,961,152 parameters, T5's own vocabulary, and a model that answers an instruction."""
    checkpoint = load_exactly(SOURCE)
    assert checkpoint.num_parameters == 76_961_152
    assert checkpoint.source == SOURCE
    assert checkpoint.sentinel_id == 32_099
    assert checkpoint.provenance is not None
    for key in ("version", "files", "values_sha256", "note"):
        assert checkpoint.provenance[key] == getattr(MODEL, key)
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "SQuAD and DROP" in card and "The paper's model" in card
    assert "no score of it compares with the paper's" in MODEL.note

    from prompt_tuning.evaluation import Questions
    from prompt_tuning.models.frozen_t5 import Rows

    text = "Is the following review positive or negative? this movie was wonderful"
    ids = torch.tensor([*checkpoint.encode_text(text), 1])
    rows = Rows.under(torch.zeros(0, 512), [ids])
    (answer,) = Questions(rows, max_target_tokens=4, max_tokens=512).answers(checkpoint.model)
    assert checkpoint.tokenizer.decode(answer) == "positive"


def test_its_tokenizer_is_t5s(folder, shared_data, tmp_path):
    from transformers import AutoTokenizer

    from prompt_tuning.models.random_checkpoint import write_tokenizer

    write_tokenizer(tmp_path, shared_data / "t5_vocab" / "t5_vocab")
    ours, t5s = AutoTokenizer.from_pretrained(folder), AutoTokenizer.from_pretrained(tmp_path)
    lines = (shared_data / "text" / "wikipedia_val.txt").read_text(encoding="utf-8").split("\n")
    lines = [line for line in lines[:400] if line]
    assert ours(lines).input_ids == t5s(lines).input_ids


def test_it_is_imported_once_and_a_damaged_folder_again(folder, monkeypatch, capsys):
    weights = folder / "model.safetensors"
    before = weights.stat().st_ino
    assert located(SOURCE) == str(folder)
    assert weights.stat().st_ino == before
    content = bytearray(weights.read_bytes())
    content[-1000] ^= 1
    weights.write_bytes(content)
    imported_folder.cache_clear()
    assert imported_folder(SOURCE) == folder
    assert "is damaged: it is made again" in capsys.readouterr().err
    assert weights.stat().st_ino != before


def test_without_the_package_one_line_says_what_to_install(monkeypatch):
    def missing(name):
        raise packaged.PackageNotFoundError(name)

    monkeypatch.setattr(packaged, "distribution", missing)
    with pytest.raises(UserError) as caught:
        check_installed("flan_small_int8")
    assert str(caught.value) == (
        "model=flan_small_int8 is inside the package traceforge-title-model==0.2.0\n"
        "  fix:     pip install 'ptune[flan]'"
    )


def test_a_package_of_another_version_or_with_other_files_is_refused(tmp_path, monkeypatch):
    keep_assets_in(tmp_path / "assets", monkeypatch)
    package = SimpleNamespace(version="0.3.0", locate_file=tmp_path.joinpath)
    monkeypatch.setattr(packaged, "distribution", lambda name: package)
    with pytest.raises(UserError, match=r"0\.3\.0 is installed"):
        imported_folder(SOURCE)
    package.version = "0.2.0"
    path = tmp_path / next(iter(MODEL.files))
    path.parent.mkdir(parents=True)
    path.write_bytes(b"other")
    with pytest.raises(UserError, match="is not the file of traceforge-title-model"):
        imported_folder(SOURCE)
    assert not list((tmp_path / "assets").rglob("model.safetensors"))


def test_a_name_that_no_package_has_is_refused():
    with pytest.raises(UserError, match="no model packaged:other"):
        located("packaged:other")
