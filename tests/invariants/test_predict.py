"""`ptune predict`: a mixed stream is answered as its rows are alone; a broken row is an error."""

import errno
import fcntl
import io
import json
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from quick_runs import TOLD, lines_of, once

from prompt_tuning.data.tabular_files import read_table
from prompt_tuning.data.tokenization import decode_ids
from prompt_tuning.models.decoding import greedy_decode, score_labels
from prompt_tuning.models.frozen_t5 import EOS_ID, Rows
from prompt_tuning.models.loading import Checkpoint
from prompt_tuning.prompt_files import load_prompt, save_prompt

TEXTS = ["a joy to watch", "it makes no sense", "positive", "a", "no joy " * 20]
LENGTHS = {"rte": 3, "boolq": 7, "free": 1}
TORN = "prompt file {library}/torn.safetensors cannot be read"
FREE = [{"prompt": "free", "inputs": text, "id": number} for number, text in enumerate(TEXTS)]


@pytest.fixture
def library(ptune, tiny_checkpoint):
    """Three prompts of different lengths; two say which task they are of."""
    folder = Path("library")
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, length in LENGTHS.items():
        weight = 5 * rng.standard_normal((length, tiny_checkpoint.model.hidden_size))
        metadata = {"task": name, **tiny_checkpoint.fingerprints}
        variant = {"variant": "lm_adapted", "lm_adapt_steps": 1, "target_sentinel": False}
        save_prompt(folder / f"{name}.safetensors", weight.astype(np.float32), metadata | variant)
    return folder


@pytest.fixture
def predict(ptune, tiny_folder, library):
    """`ptune predict` on the library; a later value of a key replaces ours."""

    def run(*arguments, status=0):
        ours = [f"library={library}", f"model.path={tiny_folder}", "output=out.jsonl"]
        return ptune("predict", *once([*ours, *arguments]), status=status)

    return run


def write(*rows):
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    text = "".join(f"{line}\n" for line in lines)
    Path("in.jsonl").write_bytes(text.encode("utf-8", "surrogateescape"))
    return "input=in.jsonl"


def answers():
    return lines_of(Path("out.jsonl"))


def alone(checkpoint, library, row):
    """The answer to one row, decoded by itself."""
    prompt = torch.from_numpy(load_prompt(library / f"{row['prompt']}.safetensors").weight)
    ids = torch.tensor([*checkpoint.encode_text(row["inputs"]), EOS_ID])
    encoded = checkpoint.model.encode(Rows.under(prompt, [ids]))
    (decoded,) = greedy_decode(checkpoint.model, encoded, 8)
    return decode_ids(checkpoint.tokenizer, decoded)


@pytest.mark.parametrize("budget", [16, 4096])
def test_a_mixed_stream_is_answered_as_its_rows_are_alone(
    predict, tiny_checkpoint, library, budget
):
    rows = [{"prompt": name, "inputs": text} for text in TEXTS for name in LENGTHS]
    machine = f"machine.max_tokens_per_micro_batch={budget}"
    settings = ["max_target_tokens=8", "rows_in_memory=4", machine]
    predict(write(*rows), *settings)
    found = answers()
    assert [row["prompt"] for row in found] == [row["prompt"] for row in rows]
    expected = [alone(tiny_checkpoint, library, row) for row in rows]
    assert [row["prediction"] for row in found] == expected
    assert len(set(expected)) > 3  # the prompts do make it say different things


# A row that has no answer -> why; more of them, under one prompt, are in tests/faults/test_rows.py.
BROKEN = [
    ("{not json", "Expecting property name"),
    ({"task": "rte"}, "missing field"),
    ({"prompt": "cb", "inputs": "a"}, "no prompt cb; there are"),
    ({"inputs": "a"}, 'needs "prompt" or "task"'),
    ({"task": "rte", "row": {"premise": "a"}}, "hypothesis"),
    ({"task": "wic", "inputs": "a"}, "0 prompts for task wic"),
    ('{"a":' + "[" * 900 + "]" * 900 + ', "inputs": "a"}', 'needs "prompt" or "task"'),
    ({"prompt": ["free"], "inputs": "x"}, '"prompt" is list'),
    ({"task": {"k": 1}, "inputs": "x"}, '"task" is dict'),
    ('{"prompt": "\\ud800", "inputs": "x"}', "surrogate"),
]


def test_a_broken_row_gets_an_error_and_the_rest_goes_on(predict):
    """Those in front of it, behind it, of a task with a row, and the same again."""
    good = {"prompt": "free", "inputs": "hello", "id": 7}
    of_tasks = (
        {"task": "rte", "row": {"premise": "a", "hypothesis": "b"}},
        {"task": "boolq", "inputs": "a"},
    )
    predict(write(of_tasks[0], good, *(bad for bad, _ in BROKEN), good, of_tasks[1]), status=2)
    rte, first, *broken, last, boolq = answers()
    assert all("prediction" in each and "error" not in each for each in (rte, first, boolq))
    assert first == last == good | {"prediction": first["prediction"]}
    for answer, (bad, reason) in zip(broken, BROKEN, strict=True):
        assert reason in answer["error"] and "prediction" not in answer, bad


def test_a_table_of_answers_is_one_that_can_be_read_again(predict):
    """Its columns are those of the first row, not of a broken line before it; cells may hold all
    that a line may end in."""
    rows = [{"prompt": "free", "inputs": text, "id": "a,b"} for text in ("x\ry", 'x\n"y', "z")]
    predict(write("not json", rows[0], "nor this", *rows[1:]), "output=out.csv", status=2)
    first, *others = [row for _, row in read_table(Path("out.csv"))]
    assert [row["inputs"] for row in others] == ["x\ry", "", 'x\n"y', "z"]
    assert {*first} == {"prompt", "inputs", "id", "prediction", "error"}
    assert b"\r\n" not in Path("out.csv").read_bytes()
    assert [bool(row["error"]) for row in (first, *others)] == [True, False, True, False, False]

    predict(write("not json"), "output=none.csv", status=2)
    assert [{*row} for _, row in read_table(Path("none.csv"))] == [
        {"prompt", "prediction", "error"}
    ]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("out.tsv", "allowed: .jsonl, .csv"),
        ("out.parquet", "allowed: .jsonl, .csv"),
        ("out.csv.gz", "allowed: .jsonl, .csv"),
        ("-", "output=/dev/stdout"),
    ],
)
def test_answers_are_not_written_under_the_name_of_something_else(predict, name, said):
    """What reads the file by its name, ptune too, would not find JSON lines in it."""
    assert said in predict(write(*FREE), f"output={name}", status=2).err
    assert not Path(name).exists()


@pytest.mark.parametrize("there", [b'{"a": 1}\n', b"my notes\n", b"my notes", b'{"prompt": "x"}'])
def test_an_output_that_holds_anything_else_is_refused_and_kept(predict, there):
    """Whatever the file is, not a byte of it is lost, in a torn last line either."""
    output = Path("out.jsonl")
    output.write_bytes(there)
    predict(write(*FREE), status=2)
    assert output.read_bytes() == there


@pytest.mark.parametrize("spelling", ["./in.jsonl", "library/../in.jsonl", "link", "hard"])
def test_the_input_by_another_name_is_no_output(predict, spelling):
    rows = write(*FREE)
    path = Path("in.jsonl")
    Path("link").symlink_to(path)
    Path("hard").hardlink_to(path)
    before = path.read_bytes()
    assert "input and output are the same file" in predict(rows, f"output={spelling}", status=2).err
    assert path.read_bytes() == before


def test_a_place_that_cannot_be_written_is_named_and_a_reader_may_go_away(predict, monkeypatch):
    rows = write(*FREE)
    assert "error: output=/dev/full cannot" in predict(rows, "output=/dev/full", status=2).err
    random = ["variant=random_weights", "cache_dir=in.jsonl"]
    assert "error: File exists: in.jsonl" in predict(rows, *random, status=2).err
    gone = Mock(side_effect=BrokenPipeError(errno.EPIPE, "Broken pipe"))
    monkeypatch.setattr("prompt_tuning.commands.predict.written", gone)
    monkeypatch.setattr("prompt_tuning.cli.silence_stdout", lambda: None)  # pytest's own
    predict(rows)


def test_two_processes_do_not_write_one_output(predict):
    rows = write({"prompt": "free", "inputs": "a"})
    with Path("out.jsonl").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        predict(rows, status=75)
    assert Path("out.jsonl").read_bytes() == b""


@pytest.mark.parametrize("has_sentinel", [False, True])
def test_a_label_answers_with_the_softmax_of_its_score(
    predict, tiny_checkpoint, library, has_sentinel
):
    """Log-probabilities of whole labels as a label alone is scored, with EOS and any sentinel."""
    ranked = ["rank=labels", "probabilities=true", f"prompts={{mine: {library}/rte.safetensors}}"]
    rows = [{"inputs": text, "id": text} for text in TEXTS]
    path, first = library / "rte.safetensors", [tiny_checkpoint.sentinel_id] * has_sentinel
    prompt = load_prompt(path)
    save_prompt(path, prompt.weight, prompt.metadata | {"target_sentinel": has_sentinel})
    predict(write(*rows), "library=null", *ranked)
    prompt = torch.from_numpy(prompt.weight)
    words = ["entailment", "not_entailment"]
    labels = [torch.tensor([*first, *tiny_checkpoint.encode_text(word), EOS_ID]) for word in words]
    for text, answer in zip(TEXTS, answers(), strict=True):
        ids = torch.tensor([*tiny_checkpoint.encode_text(text), EOS_ID])
        encoded = tiny_checkpoint.model.encode(Rows.under(prompt, [ids]))
        with torch.no_grad():
            scores = [score_labels(tiny_checkpoint.model, encoded, [label]) for label in labels]
        shares = torch.cat(scores, 1)[0].double().softmax(0).tolist()
        assert answer["id"] == text and answer["prompt"] == "mine"
        expected = pytest.approx(dict(zip(words, shares, strict=True)), rel=1e-4, abs=0)
        assert answer["probabilities"] == expected  # one of them is tiny
        assert answer["prediction"] == words[int(shares[1] > shares[0])]


def test_a_sentinel_is_taken_off_the_answers_of_its_own_prompts(predict, library, monkeypatch):
    """Of any other prompt it makes the answer wrong, and stays in sight."""
    prompt = load_prompt(library / "rte.safetensors")
    told = prompt.metadata | {"target_sentinel": True}
    save_prompt(library / "sentinel.safetensors", prompt.weight, told)
    monkeypatch.setattr("prompt_tuning.use.decode_ids", lambda *_: "<extra_id_0> yes")
    predict(write(*({"prompt": name, "inputs": "a"} for name in ("rte", "sentinel"))))
    assert [answer["prediction"] for answer in answers()] == ["<extra_id_0> yes", "yes"]


@pytest.mark.parametrize("rank", ["null", "labels_per_token"])
def test_shares_are_those_of_whole_labels_alone(predict, rank):
    """A mean over tokens is no log-probability of anything."""
    asked = ["probabilities=true", f"rank={rank}"]
    assert "add rank=labels" in predict(write({"inputs": "a"}), *asked, status=2).err


@pytest.mark.parametrize(
    ("template", "row", "read"),
    [
        ("a {b}", {"b": "x", "inputs": "y", "row": 1}, "a x"),
        ("a {inputs} {row}", {"inputs": "x", "row": 7}, "a x 7"),
        ("a {row}", {"row": {"row": "x"}}, "a x"),
        ("a {prompt} {task}", {"task": "rte", "inputs": "y", "row": {"task": "z"}}, "a mine rte"),
        ("a {b}", {"inputs": "y", "row": 1}, "y"),
        ("a {b}", {"row": {"b": "x"}}, "a x"),
        ("a {b}", {"inputs": "y", "row": {"b": "x"}}, None),
    ],
)
@pytest.mark.parametrize("given", ["prompt=mine.safetensors", "prompts={mine: mine.safetensors}"])
def test_a_row_with_every_column_of_its_own_task_is_read_as_in_training(
    predict, library, monkeypatch, given, template, row, read
):
    """Whatever they are called; of any other row `inputs` and an object `row` say what is read."""
    prompt = load_prompt(library / "rte.safetensors")
    own = {"name": "own", "inputs": template, "label": "y", "labels": {"0": "a", "1": "b"}}
    save_prompt(Path("mine.safetensors"), prompt.weight, {**prompt.metadata, "own_task": own})
    texts = []
    encode = Checkpoint.encode_text
    monkeypatch.setattr(Checkpoint, "encode_text", lambda s, t: texts.append(t) or encode(s, t))
    predict(write({"prompt": "mine", **row}), "library=null", given, status=0 if read else 2)
    assert texts == ([read] if read else [])


def test_a_column_row_of_numbers_hides_no_other(predict):
    columns = {"premise": "x", "hypothesis": "y", "row": 1}
    predict(write({"prompt": "rte", **columns}))
    assert "prediction" in answers()[0]


def test_prompts_of_several_models_are_refused(predict, library):
    elsewhere = TOLD | {"source": "elsewhere"}
    save_prompt(library / "other.safetensors", np.ones((2, 8), np.float32), elsewhere)
    predict(write(FREE[0]))
    said = predict(write(FREE[0], {"prompt": "other", "inputs": "a"}), status=2).err
    assert "other (row 2): elsewhere, width 8" in said


def test_a_folder_of_runs_is_a_library_too(predict, library):
    """By the runs' names, so that what a sweep has trained can be asked as it lies."""
    predict(write({"task": "rte", "inputs": "a"}))
    before = answers()
    for path in sorted(library.iterdir()):
        (library / f"run-{path.stem}").mkdir()
        path.rename(library / f"run-{path.stem}" / "prompt.safetensors")
    Path("out.jsonl").unlink()
    predict("input=in.jsonl")
    assert answers() == [before[0] | {"prompt": "run-rte"}]


def test_inputs_beyond_the_lengths_of_pre_training_are_counted_at_the_end(predict, tiny_checkpoint):
    """Answered whole, as by evaluate, though the model has never seen such; not one too long."""
    pieces = len(tiny_checkpoint.encode_text("a")), len(tiny_checkpoint.encode_text("a a"))
    whole = "a" + " a" * ((511 - pieces[0]) // (pieces[1] - pieces[0]))  # with EOS at most 512
    long, longest = f"{whole} a", "a " * 5000
    rows = [{"prompt": "free", "inputs": text} for text in (long, "a", long, whole)]
    assert "pre-training" not in predict(write(*rows[1::2])).err
    Path("out.jsonl").unlink()
    rows.append({"prompt": "free", "inputs": longest})
    said = predict(write(*rows), status=2).err
    counted = "2 inputs have more than the 512 tokens of pre-training; none is cut"
    assert said.count(counted) == 1


def test_a_torn_prompt_hides_no_other_of_its_library(predict, library):
    """In a file the first row that asks for it is refused before anything is loaded."""
    (library / "torn.safetensors").write_bytes((library / "rte.safetensors").read_bytes()[:500])
    predict(write(*FREE))
    assert [line["id"] for line in answers()] == [row["id"] for row in FREE]
    rows = write(*FREE, {"prompt": "torn", "inputs": "a"})
    assert TORN.format(library=library) in predict(rows, status=2).err
    assert len(answers()) == len(FREE)


@pytest.mark.parametrize("key", ["prompt", "task"])
def test_from_standard_input_a_row_under_a_torn_prompt_has_the_reason_in_its_line(
    predict, monkeypatch, library, key
):
    """It is read only once, so that nobody knows beforehand which prompts it asks for."""
    (library / "torn.safetensors").write_text("x")
    lines = [json.dumps(row) for row in (FREE[0], {key: "torn", "inputs": "a"}, FREE[1])]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("\n".join(lines).encode())))
    predict("input=-", status=2)
    first, second, third = answers()
    assert [first["id"], third["id"]] == [0, 1] and "prediction" in first and "prediction" in third
    assert second["error"].startswith(TORN.format(library=library))


def test_a_library_of_torn_prompts_alone_is_refused(predict, monkeypatch, library):
    for path in library.iterdir():
        path.write_text("x")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"")))
    assert predict("input=-", status=2).err.count("cannot be read") == len(LENGTHS)
    assert not Path("out.jsonl").exists()


def test_the_index_of_a_library_names_every_prompt_and_what_is_wrong_with_a_file(ptune, library):
    (library / "torn.safetensors").write_text("x")
    header, *lines, last = ptune("list", "what=prompts", f"output_dir={library}").out.splitlines()
    assert header.split() == ["name", "task", "model", "variant", "init", "size", "score", "step"]
    shown = {line.split()[0]: line.split()[1:] for line in lines}
    assert shown["boolq"] == ["boolq", "-", "lm_adapted", "-", "7x64", "-", "-"]
    assert {*shown} == {"rte", "boolq", "free", "torn"}
    assert "torn.safetensors cannot be read" in " ".join(shown["torn"])
    assert last.startswith(f"4 prompts in {library}")


def test_an_index_of_no_folder_is_refused(ptune):
    said = ptune("list", "what=prompts", "output_dir=/no/such", status=2).err
    assert "output_dir=/no/such is not a folder" in said


def test_a_prompt_answers_the_task_of_the_other_paraphrases_in_that_ones_words(
    predict, ptune, library, tiny_folder
):
    """Source: google-research/prompt-tuning data/postprocessors.py. QQP's labels are asked of the
    model whichever command asks; MRPC's rows are scored by MRPC's."""
    prompt = load_prompt(library / "rte.safetensors")
    path = library / "qqp.safetensors"
    for each, weight in ((path, prompt.weight), (Path("other.safetensors"), prompt.weight[:1])):
        save_prompt(each, weight, {**prompt.metadata, "task": "qqp"})
    pairs = [(text, other) for text in TEXTS for other in TEXTS]
    table = Path("data", "GLUE", "MRPC", "dev.tsv")
    table.parent.mkdir(parents=True)
    header = "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n"
    table.write_text(header + "".join(f"1\t1\t2\t{a}\t{b}\n" for a, b in pairs))

    rows = [{"prompt": "qqp", "inputs": f"sentence1: {a} sentence2: {b}"} for a, b in pairs]
    raw = [{"prompt": "qqp", "task": "mrpc", "sentence1": a, "sentence2": b} for a, b in pairs]
    predict(write(*rows, *raw), "rank=labels_per_token")
    said = [answer["prediction"] for answer in answers()]
    meant = [text.replace("duplicate", "equivalent") for text in said[: len(pairs)]]
    assert len({*meant}) == 2 and said[len(pairs) :] == meant

    asked = ["task=mrpc", "data.dir=data", f"model.path={tiny_folder}"]
    asked.append("evaluation.rank=labels_per_token")
    ptune("evaluate", f"prompt={path}", *asked, "output_dir=out")
    ptune("ensemble", f"prompts=[{path},other.safetensors]", *asked, "output_dir=out")
    files = [
        next(Path("out").glob(f"{run}*/predictions/{name}.jsonl"))
        for run, name in (("evaluate", "*"), ("ensemble", "prompt-0"))
    ]
    for file in files:
        assert [line["prediction"] for line in lines_of(file)] == meant, file
