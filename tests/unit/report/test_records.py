"""Records are found by what was run, and committed once, whole, and without the machine's paths."""

import json
import shutil
from base64 import b64decode
from zlib import decompress

import pytest
from made_records import config, filled, library_of, result, seeds, write_run, write_seeds

from prompt_tuning.errors import UserError
from prompt_tuning.report.records import (
    Record,
    commit,
    commit_answers,
    pack,
    portable,
    read_committed,
    read_runs,
    unpack,
)


def test_two_records_of_one_run_are_refused(tmp_path):
    """Counted twice, a seed would make the deviation too small."""
    write_run(tmp_path, config(), result(60.0, 60.0))
    write_run(tmp_path, config(output_dir="other"), result(61.0, 61.0), name="again")
    with pytest.raises(UserError, match="two records of one run"):
        filled("fig3a_ladder", tmp_path, *seeds())


def test_a_run_of_the_users_own_counts_in_place_of_the_committed_record(tmp_path):
    """As in a fresh clone, whose results/runs has every run of the ladder already."""
    write_seeds(tmp_path, [60.0, 70.0, 80.0])
    runs = read_runs(tmp_path)
    commit({"fig3a_ladder": runs}, tmp_path / "committed")
    for run in runs:
        shutil.rmtree(run.folder or "")
    write_run(tmp_path, config(2), result(95.0, 95.0))
    found = [library_of(tmp_path).find("train", [planned]) for planned in seeds()]
    scores = [record.content["result"]["report"]["score"] for record in found if record]
    assert scores == [60.0, 70.0, 95.0]


def test_lines_give_back_every_value_of_the_records(tmp_path):
    """Of runs that share some values, all, or none, of ensembles, and of a nested seed."""
    write_seeds(tmp_path, [60.0, 70.0])
    other = {"model__name": "ladder_1m", "experiment": "fig3a_ladder"}  # elsewhere there is none
    write_seeds(tmp_path, [61.0, 71.0], prompt__length=5, **other)
    write_seeds(tmp_path, [62.0], task__name="mini_wic", task__seed=7)
    records = read_runs(tmp_path)
    member = {"seed": 1, "config": records[1].content["config"]}
    about = {"kind": "inspect", "members": [member, {"path": "a.npy"}]}
    settings = {"top_k": 5, "prompt": None, "model": {"name": "ladder_1m"}}
    records += [
        Record(
            "inspect-a", {**about, "result": {"x": [0.1 + 0.2]}, "config": settings | {"seed": 3}}
        ),
        Record("inspect-b", {**about, "result": {}, "config": settings}),
    ]
    lines = pack(records)
    assert {record.name: record.content for record in unpack(lines)} == {
        record.name: record.content for record in records
    }
    assert lines == sorted(lines)


def test_a_seed_more_is_one_line_more(tmp_path):
    """All that the seeds of a run share stands once in a file."""
    write_seeds(tmp_path, [60.0, 70.0, 80.0])
    records = read_runs(tmp_path)
    assert len(pack(records)) == len(pack(records[:2])) + 1


def test_records_are_added_and_none_is_ever_changed(tmp_path):
    committed = tmp_path / "committed"
    run = write_run(tmp_path, config(), result(59.0, 60.0))
    line = {"step": 200, "eval/score": 59.0, "time/duration_s": 1.25}
    (run / "metrics.jsonl").write_text(json.dumps(line) + "\n")
    first = {"fig3a_ladder": read_runs(tmp_path)}
    assert (commit(first, committed), commit(first, committed)) == (1, 0)
    assert [record.history for record in read_committed(committed)] == [[(200, 59.0, 1.25)]]
    before = (committed / "fig3a_ladder.jsonl").read_text().splitlines()
    write_seeds(tmp_path, [60.0, 70.0], prompt__length=5)
    both = read_runs(tmp_path)
    # A run of two figures is committed with the first.
    assert commit({"fig3a_ladder": both, "fig3b_ladder": both}, committed) == 2
    assert [path.name for path in committed.iterdir()] == ["fig3a_ladder.jsonl"]
    after = (committed / "fig3a_ladder.jsonl").read_text().splitlines()
    assert {*before} < {*after}
    assert len(read_committed(committed)) == 3
    changed = Record(both[0].name, {**both[0].content, "duration_s": 1.0}, both[0].folder)
    with pytest.raises(UserError, match="never changed"):
        commit({"fig3a_ladder": [changed]}, committed)
    assert (committed / "fig3a_ladder.jsonl").read_text().splitlines() == after


def test_a_committed_record_has_no_path_of_its_machine():
    """Folders of outputs and data get plain names, in commands and in records about runs too."""
    places = {"output_dir": "/home/a/out", "data__dir": "/big/data"}
    member = config(1, output_dir="/home/b/out")
    record = {
        "config": config(**places, data__cache_dir="/home/a/out/cache"),
        "members": [{"config": member, "path": "/home/b/out/r/prompt.safetensors"}],
        "model": {"source": "/opt/ptune/prompt_tuning/embedded_models/ladder_400k/6000"},
        "data": {"train": {"file": "/big/data/RTE/train.jsonl"}, "test": {"file": "/tmp/t.jsonl"}},
        "command": [
            *("/opt/bin/ptune", "train", "output_dir=/home/a/out", "data.dir=/big/data"),
            'train=["data.dir=/big/data"]',
        ],
    }
    made = portable(record)
    assert '"/' not in json.dumps(made) and "=/" not in json.dumps(made)
    assert made["command"] == [
        *("ptune", "train", "output_dir=runs", "data.dir=data"),
        'train=["data.dir=data"]',
    ]
    assert made["members"][0]["path"] == "runs/r/prompt.safetensors"
    assert made["data"]["train"]["file"] == "data/RTE/train.jsonl"
    assert made["data"]["test"]["file"] == "t.jsonl"
    assert made["model"]["source"] == "embedded:ladder_400k/6000"
    assert made["config"]["data"]["cache_dir"] == "runs/cache"
    assert portable(made) == made


def test_what_a_run_answered_is_kept_once_and_read_again(tmp_path):
    write_run(tmp_path / "runs", config(), result(60.0, 50.0), name="mini_rte-0a1b2c3d")
    (record,) = read_runs(tmp_path / "runs")
    commit_answers({"fig1": [record]}, tmp_path / "kept")
    assert not (tmp_path / "kept").exists(), "it kept no answers"
    folder = tmp_path / "runs" / record.name / "predictions"
    folder.mkdir()
    said = ["entailment", "", "é"]
    lines = (json.dumps({"idx": i, "targets": "x", "prediction": p}) for i, p in enumerate(said))
    (folder / "report.jsonl").write_text("\n".join(lines))
    for _ in range(2):
        commit_answers({"fig1": [record]}, tmp_path / "kept")
        line = json.loads((tmp_path / "kept" / "answers" / "fig1.jsonl").read_text())
        assert (line["name"], line["split"]) == (record.name, "test")
        assert json.loads(decompress(b64decode(line["answers"]))) == said
