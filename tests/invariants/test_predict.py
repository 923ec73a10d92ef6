"""`ptune predict`: a mixed stream is answered as its rows are alone; a broken row is an error."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from prompt_tuning import cli
from prompt_tuning.commands.predict import whole_lines
from prompt_tuning.data.tokenization import decode_ids
from prompt_tuning.models.decoding import greedy_decode
from prompt_tuning.models.frozen_t5 import EOS_ID, Rows
from prompt_tuning.models.loading import Checkpoint
from prompt_tuning.prompt_files import save_prompt

TEXTS = ["a joy to watch", "it makes no sense", "positive", "a", "no joy " * 20]
LENGTHS = {"rte": 3, "boolq": 7, "free": 1}


@pytest.fixture
def library(tmp_path: Path, tiny_checkpoint: Checkpoint) -> Path:
    """Three prompts of different lengths; two say which task they are of."""
    folder = tmp_path / "library"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, length in LENGTHS.items():
        weight = 5 * rng.standard_normal((length, tiny_checkpoint.model.hidden_size))
        metadata = {"task": name, "fingerprint": tiny_checkpoint.fingerprint}
        variant = {"variant": "lm_adapted", "lm_adapt_steps": 1, "target_sentinel": False}
        save_prompt(folder / f"{name}.safetensors", weight.astype(np.float32), metadata | variant)
    return folder


def ptune(
    monkeypatch: pytest.MonkeyPatch, tiny_folder: Path, library: Path, *arguments: str
) -> int:
    """In this process, in the folder above the library."""
    monkeypatch.chdir(library.parent)
    given = [f"library={library}", f"model.path={tiny_folder}", "output=out.jsonl", *arguments]
    monkeypatch.setattr("sys.argv", ["ptune", "predict", *given])
    return cli.main()


def write(folder: Path, rows: list[Any]) -> str:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    (folder / "in.jsonl").write_text("".join(f"{line}\n" for line in lines))
    return "input=in.jsonl"


def answers(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]


def alone(checkpoint: Checkpoint, library: Path, row: Mapping[str, str]) -> str:
    """The answer to one row, decoded by itself."""
    from prompt_tuning.prompt_files import load_prompt

    prompt = torch.from_numpy(load_prompt(library / f"{row['prompt']}.safetensors").weight)
    ids = torch.tensor([*checkpoint.encode_text(row["inputs"]), EOS_ID])
    encoded = checkpoint.model.encode(Rows.under(prompt, [ids]))
    (decoded,) = greedy_decode(checkpoint.model, encoded, 8)
    return decode_ids(checkpoint.tokenizer, decoded)


@pytest.mark.parametrize("budget", [16, 4096])
def test_a_mixed_stream_is_answered_as_its_rows_are_alone(
    monkeypatch: pytest.MonkeyPatch,
    tiny_folder: Path,
    tiny_checkpoint: Checkpoint,
    library: Path,
    budget: int,
) -> None:
    rows = [{"prompt": name, "inputs": text} for text in TEXTS for name in LENGTHS]
    machine = f"machine.max_tokens_per_micro_batch={budget}"
    settings = ["max_target_tokens=8", "rows_in_memory=4", machine]
    assert ptune(monkeypatch, tiny_folder, library, write(library.parent, rows), *settings) == 0
    found = answers(library.parent)
    assert [row["prompt"] for row in found] == [row["prompt"] for row in rows]
    expected = [alone(tiny_checkpoint, library, row) for row in rows]
    assert [row["prediction"] for row in found] == expected
    assert len(set(expected)) > 3  # the prompts do make it say different things


def test_a_broken_row_gets_an_error_and_the_rest_goes_on(
    monkeypatch: pytest.MonkeyPatch, tiny_folder: Path, library: Path
) -> None:
    rows = [
        {"task": "rte", "row": {"premise": "a", "hypothesis": "b"}},
        "{not json",
        [1],
        {"task": "rte"},
        {"prompt": "cb", "inputs": "a"},
        {"inputs": "a"},
        {"task": "rte", "row": {"premise": "a"}},
        {"task": "wic", "inputs": "a"},
        "\udcff",
        {"task": "boolq", "inputs": "a"},
    ]
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    text = "".join(f"{line}\n" for line in lines)
    (library.parent / "in.jsonl").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert ptune(monkeypatch, tiny_folder, library, "input=in.jsonl") == 0
    found = answers(library.parent)
    assert [sorted(line) for line in found] == [
        ["prediction", "prompt"],
        *[["error"]] * 8,
        ["prediction", "prompt"],
    ]
    assert "no prompt cb; there are" in found[4]["error"]
    assert "hypothesis" in found[6]["error"]


def test_a_stopped_output_is_gone_on_with(
    monkeypatch: pytest.MonkeyPatch, tiny_folder: Path, library: Path
) -> None:
    rows = write(library.parent, [{"prompt": "free", "inputs": text} for text in TEXTS])
    assert ptune(monkeypatch, tiny_folder, library, rows) == 0
    output = library.parent / "out.jsonl"
    whole = output.read_bytes()
    output.write_bytes(whole[: len(whole) * 2 // 3])
    assert ptune(monkeypatch, tiny_folder, library, rows) == 0
    assert output.read_bytes() == whole


def test_a_torn_last_line_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    assert whole_lines(path) == 0
    path.write_bytes(b'{"a": 1}\n{"b": ')
    assert whole_lines(path) == 1
    assert path.read_bytes() == b'{"a": 1}\n'


def test_prompts_of_several_models_are_refused(
    monkeypatch: pytest.MonkeyPatch,
    tiny_folder: Path,
    library: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    save_prompt(library / "other.safetensors", np.ones((2, 8), np.float32), {"source": "elsewhere"})
    rows = write(library.parent, [{"prompt": "free", "inputs": "a"}])
    assert ptune(monkeypatch, tiny_folder, library, rows) == 2
    assert "other: elsewhere, width 8" in capsys.readouterr().err


def test_a_folder_of_runs_is_a_library_too(
    tiny_folder: Path, library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the runs' names, so that what a sweep has trained can be asked as it lies."""
    assert (
        ptune(monkeypatch, tiny_folder, library, write(tmp_path, [{"task": "rte", "inputs": "a"}]))
        == 0
    )
    before = answers(tmp_path)
    for path in sorted(library.iterdir()):
        (library / f"run-{path.stem}").mkdir()
        path.rename(library / f"run-{path.stem}" / "prompt.safetensors")
    (tmp_path / "out.jsonl").unlink()
    assert ptune(monkeypatch, tiny_folder, library, "input=in.jsonl") == 0
    assert answers(tmp_path) == [before[0] | {"prompt": "run-rte"}]


def test_the_index_of_a_library_names_every_prompt_and_what_is_wrong_with_a_file(
    library: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (library / "torn.safetensors").write_text("x")
    monkeypatch.setattr("sys.argv", ["ptune", "list", "what=prompts", f"output_dir={library}"])
    assert cli.main() == 0
    header, *lines, last = capsys.readouterr().out.splitlines()
    assert header.split() == ["name", "task", "model", "variant", "init", "size", "score", "step"]
    shown = {line.split()[0]: line.split()[1:] for line in lines}
    assert shown["boolq"] == ["boolq", "-", "lm_adapted", "-", "7x64", "-", "-"]
    assert {*shown} == {"rte", "boolq", "free", "torn"}
    assert "torn.safetensors cannot be read" in " ".join(shown["torn"])
    assert last.startswith(f"4 prompts in {library}")


def test_an_index_of_no_folder_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["ptune", "list", "what=prompts", "output_dir=/no/such"])
    assert cli.main() == 2
    assert "output_dir=/no/such is not a folder" in capsys.readouterr().err
