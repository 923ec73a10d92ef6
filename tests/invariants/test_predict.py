"""`ptune predict`: a mixed stream is answered as its rows are alone; a broken row is an error."""

import fcntl
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import quick_runs
import torch

from prompt_tuning import cli
from prompt_tuning.data.tokenization import decode_ids
from prompt_tuning.models.decoding import greedy_decode, score_labels
from prompt_tuning.models.frozen_t5 import EOS_ID, Rows
from prompt_tuning.models.loading import Checkpoint
from prompt_tuning.prompt_files import load_prompt, save_prompt

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
    """In this process, in the folder above the library; a later value of a key replaces ours."""
    monkeypatch.chdir(library.parent)
    ours = [f"library={library}", f"model.path={tiny_folder}", "output=out.jsonl"]
    by_key = {each.partition("=")[0]: each for each in (*ours, *arguments)}
    monkeypatch.setattr("sys.argv", ["ptune", "predict", *by_key.values()])
    return cli.main()


def write(folder: Path, rows: list[Any]) -> str:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    (folder / "in.jsonl").write_text("".join(f"{line}\n" for line in lines))
    return "input=in.jsonl"


def answers(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]


def alone(checkpoint: Checkpoint, library: Path, row: Mapping[str, str]) -> str:
    """The answer to one row, decoded by itself."""
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
    assert ptune(monkeypatch, tiny_folder, library, "input=in.jsonl") == 2, (
        "eight of ten rows have no answer"
    )
    found = answers(library.parent)
    assert ["error" in line for line in found] == [False, *[True] * 8, False]
    assert ["prediction" in line for line in found] == [True, *[False] * 8, True]
    assert "no prompt cb; there are" in found[4]["error"]
    assert "a JSON array where an object belongs" in found[2]["error"]
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


@pytest.mark.parametrize("there", [b'{"a": 1}\n', b"my notes\n", b"my notes", b'{"prompt": "x"}'])
def test_an_output_that_holds_anything_else_is_refused_and_kept(
    monkeypatch: pytest.MonkeyPatch, tiny_folder: Path, library: Path, there: bytes
) -> None:
    """Whatever the file is, not a byte of it is lost, in a torn last line either."""
    rows = write(library.parent, [{"prompt": "free", "inputs": text} for text in TEXTS])
    output = library.parent / "out.jsonl"
    output.write_bytes(there)
    assert ptune(monkeypatch, tiny_folder, library, rows) == 2
    assert output.read_bytes() == there


@pytest.mark.parametrize("spelling", ["./in.jsonl", "library/../in.jsonl", "link", "hard"])
def test_the_input_by_another_name_is_no_output(
    monkeypatch: pytest.MonkeyPatch,
    tiny_folder: Path,
    library: Path,
    capsys: pytest.CaptureFixture[str],
    spelling: str,
) -> None:
    rows = write(library.parent, [{"prompt": "free", "inputs": text} for text in TEXTS])
    path = library.parent / "in.jsonl"
    (library.parent / "link").symlink_to(path)
    (library.parent / "hard").hardlink_to(path)
    before = path.read_bytes()
    assert ptune(monkeypatch, tiny_folder, library, rows, f"output={spelling}") == 2
    assert "input and output are the same file" in capsys.readouterr().err
    assert path.read_bytes() == before


def test_two_processes_do_not_write_one_output(
    monkeypatch: pytest.MonkeyPatch, tiny_folder: Path, library: Path
) -> None:
    rows = write(library.parent, [{"prompt": "free", "inputs": "a"}])
    with (library.parent / "out.jsonl").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert ptune(monkeypatch, tiny_folder, library, rows) == 75
    assert (library.parent / "out.jsonl").read_bytes() == b""


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ('{"a":' + "[" * 100_000, "nested too deep"),
        ('{"a":' + "[" * 900 + "]" * 900 + ', "inputs": "a"}', 'needs "prompt" or "task"'),
        ('{"prompt": ["free"], "inputs": "x"}', '"prompt" is list'),
        ('{"task": {"k": 1}, "inputs": "x"}', '"task" is dict'),
        ('{"prompt": "free", "inputs": "cut \\ud83d"}', "surrogate"),
        ('{"prompt": "\\ud800", "inputs": "x"}', "surrogate"),
        ('{"prompt": "free", "inputs": "x", "id": NaN}', "not JSON compliant"),
        ('{"prompt": "free", "inputs": "x", "id": 1e999}', "not JSON compliant"),
        ('{"prompt": "free", "inputs": "' + "a " * 5000 + '"}', "max_input_tokens=4096"),
    ],
)
def test_a_row_may_hold_anything(
    monkeypatch: pytest.MonkeyPatch, tiny_folder: Path, library: Path, bad: str, reason: str
) -> None:
    good = {"prompt": "free", "inputs": "hello", "id": 7}
    rows = write(library.parent, [good, bad, good])
    assert ptune(monkeypatch, tiny_folder, library, rows) == 2, "a row has no answer"
    first, second, third = answers(library.parent)
    assert first == third == good | {"prediction": first["prediction"]}
    assert reason in second["error"]


def test_a_label_answers_with_the_softmax_of_its_score(
    monkeypatch: pytest.MonkeyPatch,
    tiny_folder: Path,
    tiny_checkpoint: Checkpoint,
    library: Path,
) -> None:
    """Log-probabilities of whole labels, EOS included, as a label alone is scored."""
    ranked = ["rank=labels", "probabilities=true", f"prompts={{mine: {library}/rte.safetensors}}"]
    rows = write(library.parent, [{"inputs": text, "id": text} for text in TEXTS])
    assert ptune(monkeypatch, tiny_folder, library, rows, "library=null", *ranked) == 0
    prompt = torch.from_numpy(load_prompt(library / "rte.safetensors").weight)
    words = ["entailment", "not_entailment"]
    labels = [torch.tensor([*tiny_checkpoint.encode_text(word), EOS_ID]) for word in words]
    for text, answer in zip(TEXTS, answers(library.parent), strict=True):
        ids = torch.tensor([*tiny_checkpoint.encode_text(text), EOS_ID])
        encoded = tiny_checkpoint.model.encode(Rows.under(prompt, [ids]))
        with torch.no_grad():
            scores = [score_labels(tiny_checkpoint.model, encoded, [label]) for label in labels]
        shares = torch.cat(scores, 1)[0].double().softmax(0).tolist()
        assert answer["id"] == text and answer["prompt"] == "mine"
        assert answer["probabilities"] == pytest.approx(dict(zip(words, shares, strict=True)))
        assert answer["prediction"] == words[int(shares[1] > shares[0])]


@pytest.mark.parametrize("rank", ["null", "labels_per_token"])
def test_shares_are_those_of_whole_labels_alone(
    monkeypatch: pytest.MonkeyPatch,
    tiny_folder: Path,
    library: Path,
    capsys: pytest.CaptureFixture[str],
    rank: str,
) -> None:
    """A mean over tokens is no log-probability of anything."""
    asked = [write(library.parent, [{"inputs": "a"}]), "probabilities=true", f"rank={rank}"]
    assert ptune(monkeypatch, tiny_folder, library, *asked) == 2
    assert "add rank=labels" in capsys.readouterr().err


def test_prompts_of_several_models_are_refused(
    monkeypatch: pytest.MonkeyPatch,
    tiny_folder: Path,
    library: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    variant = {"variant": "lm_adapted", "lm_adapt_steps": 1, "target_sentinel": False}
    elsewhere = variant | {"source": "elsewhere", "revision": None}
    save_prompt(library / "other.safetensors", np.ones((2, 8), np.float32), elsewhere)
    only_free = [{"prompt": "free", "inputs": "a"}]
    assert ptune(monkeypatch, tiny_folder, library, write(library.parent, only_free)) == 0
    both = [*only_free, {"prompt": "other", "inputs": "a"}]
    assert ptune(monkeypatch, tiny_folder, library, write(library.parent, both)) == 2
    assert "other (row 2): elsewhere, width 8" in capsys.readouterr().err


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


def test_inputs_beyond_the_lengths_of_pre_training_are_counted_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
    tiny_folder: Path,
    tiny_checkpoint: Checkpoint,
    library: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Answered whole, as by evaluate, though the model has never seen such; not one too long."""
    pieces = len(tiny_checkpoint.encode_text("a")), len(tiny_checkpoint.encode_text("a a"))
    whole = "a" + " a" * ((511 - pieces[0]) // (pieces[1] - pieces[0]))  # with EOS at most 512
    long, longest = f"{whole} a", "a " * 5000
    rows = [{"prompt": "free", "inputs": text} for text in (long, "a", long, whole)]
    assert ptune(monkeypatch, tiny_folder, library, write(library.parent, rows[1::2])) == 0
    assert "pre-training" not in capsys.readouterr().err
    (library.parent / "out.jsonl").unlink()
    rows.append({"prompt": "free", "inputs": longest})
    assert ptune(monkeypatch, tiny_folder, library, write(library.parent, rows)) == 2
    counted = "2 inputs have more than the 512 tokens of pre-training; none is cut"
    assert capsys.readouterr().err.count(counted) == 1


TORN = "prompt file {library}/torn.safetensors cannot be read"
FREE = [{"prompt": "free", "inputs": text, "id": number} for number, text in enumerate(TEXTS)]


def test_a_torn_prompt_hides_no_other_of_its_library(
    monkeypatch: pytest.MonkeyPatch,
    tiny_folder: Path,
    library: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In a file the first row that asks for it is refused before anything is loaded."""
    (library / "torn.safetensors").write_bytes((library / "rte.safetensors").read_bytes()[:500])
    assert ptune(monkeypatch, tiny_folder, library, write(library.parent, FREE)) == 0
    assert [line["id"] for line in answers(library.parent)] == [row["id"] for row in FREE]
    rows = write(library.parent, [*FREE, {"prompt": "torn", "inputs": "a"}])
    assert ptune(monkeypatch, tiny_folder, library, rows) == 2
    assert TORN.format(library=library) in capsys.readouterr().err
    assert len(answers(library.parent)) == len(FREE)


@pytest.mark.parametrize("key", ["prompt", "task"])
def test_from_standard_input_a_row_under_a_torn_prompt_has_the_reason_in_its_line(
    monkeypatch: pytest.MonkeyPatch, tiny_folder: Path, library: Path, key: str
) -> None:
    """It is read only once, so that nobody knows beforehand which prompts it asks for."""
    (library / "torn.safetensors").write_text("x")
    lines = [json.dumps(row) for row in (FREE[0], {key: "torn", "inputs": "a"}, FREE[1])]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("\n".join(lines).encode())))
    assert ptune(monkeypatch, tiny_folder, library, "input=-") == 2, "a row has no answer"
    first, second, third = answers(library.parent)
    assert [first["id"], third["id"]] == [0, 1] and "prediction" in first and "prediction" in third
    assert second["error"].startswith(TORN.format(library=library))


def test_a_library_of_torn_prompts_alone_is_refused(
    monkeypatch: pytest.MonkeyPatch,
    tiny_folder: Path,
    library: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for path in library.iterdir():
        path.write_text("x")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"")))
    assert ptune(monkeypatch, tiny_folder, library, "input=-") == 2
    assert capsys.readouterr().err.count("cannot be read") == len(LENGTHS)
    assert not (library.parent / "out.jsonl").exists()


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


@pytest.mark.parametrize(
    ("settings", "said"),
    [([], "does not say which model"), (["model=small"], "model=small needs a variant")],
)
def test_a_prompt_that_names_no_model_needs_one(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    settings: list[str],
    said: str,
) -> None:
    np.save(tmp_path / "bare.npy", np.ones((2, 512), np.float32))
    write(tmp_path, [{"inputs": "a"}])
    command = ["predict", "prompt=bare.npy", "input=in.jsonl", "output=out.jsonl"]
    assert quick_runs.ptune(monkeypatch, tmp_path, *command, *settings) == 2
    assert said in capsys.readouterr().err
