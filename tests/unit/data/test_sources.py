"""Which file a split is read from, what is counted, and what stops a run before it starts."""

import subprocess
from pathlib import Path

import pytest
from golden.test_text_formats import GOLDEN
from quick_runs import write_lines

from prompt_tuning.data.sources import DataSpec, check_available, load_split
from prompt_tuning.errors import UserError
from prompt_tuning.task_registry import TASKS
from prompt_tuning.tasks.flan import as_instruction

RTE, WSC, QQP = TASKS["rte"], TASKS["wsc"], TASKS["qqp"]


def rte(label="entailment", **more):
    return {"premise": "a", "hypothesis": "b", "label": label} | more


def local(folder, **files):
    return DataSpec("local", folder, **files)


def test_official_names_are_found_below_the_folder(tmp_path):
    path = write_lines(tmp_path / "RTE/val.jsonl", rte(idx=7), rte("not_entailment", idx=8))
    split = load_split(RTE, "validation", local(tmp_path))
    assert [(e.idx, e.label) for e in split.examples] == [(7, 0), (8, 1)]
    digest = subprocess.run(["sha256sum", path], capture_output=True, text=True, check=True).stdout
    assert split.provenance == {
        "source": "local",
        "file": str(path),
        "sha256": digest.split()[0],
        "split": "validation",
        "num_rows": 2,
        "num_examples": 2,
        "dropped": {},
    }


def test_glue_lies_in_its_own_folder_or_beside_the_others(tmp_path):
    text = "sentence\tlabel\nfine \t1\n"
    for name in ("SST-2/dev.tsv", "GLUE/SST-2/dev.tsv"):
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
        provenance = load_split(TASKS["sst2"], "validation", local(tmp_path)).provenance
        assert provenance["file"] == str(path)


def test_another_file_can_be_named_per_split(tmp_path):
    write_lines(tmp_path / "mine/few.jsonl", rte())
    spec = local(tmp_path, train_file="mine/few.jsonl")
    assert len(load_split(RTE, "train", spec).examples) == 1
    with pytest.raises(UserError, match=r"RTE/val\.jsonl: no such file"):
        load_split(RTE, "validation", spec)


def test_a_named_file_may_stand_for_a_split_the_data_set_lacks(tmp_path):
    question = {"id": "1", "question": "q", "answers": [{"text": "c", "answer_start": 0}]}
    paragraph = {"context": "c", "qas": [question]}
    write_lines(tmp_path / "race.json", {"data": [{"title": "t", "paragraphs": [paragraph]}]})
    spec = local(tmp_path, validation_file="race.json")
    assert load_split(TASKS["mrqa_race"], "validation", spec).examples[0].answers == ("c",)


def test_rows_without_an_identity_are_numbered_and_a_limit_keeps_the_first(tmp_path):
    write_lines(tmp_path / "RTE/val.jsonl", rte(), rte(), rte(idx=9), rte())
    split = load_split(RTE, "validation", local(tmp_path), limit=3)
    assert [e.idx for e in split.examples] == [0, 1, 9]
    assert (split.provenance["num_rows"], split.provenance["num_examples"]) == (4, 3)


def test_what_training_does_not_use_is_counted_with_the_reason(tmp_path):
    rows = [GOLDEN["wsc"].hub | {"label": label} for label in (1, 0, 0)]
    write_lines(tmp_path / "WSC/train.jsonl", *rows)
    split = load_split(WSC, "train", local(tmp_path))
    assert len(split.examples) == 1
    assert split.provenance["num_rows"] == 3
    assert split.provenance["dropped"] == {"WSC: not the referent (training uses label 1 only)": 2}


@pytest.mark.parametrize("qqp", [QQP, as_instruction(QQP)])
def test_qqp_lines_that_a_line_break_cut_are_dropped_and_counted(tmp_path, qqp):
    """TFDS drops them too; its 363,849 training rows are the paper's Table 7. An empty cell is no
    label: such a row is not trained on, but can be answered."""
    (tmp_path / "QQP").mkdir()
    (tmp_path / "QQP/train.tsv").write_text(
        "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n"
        "1\t2\t3\tWhy?\tHow?\t1\n"
        "2\t3\t4\tWhat is\n"
        "this?\tWho?\t0\n"
        "3\t4\t5\tWhen?\tWhere?\t\n"
    )
    split = load_split(qqp, "train", local(tmp_path))
    assert [e.label for e in split.examples] == [1]
    assert split.provenance["dropped"] == {QQP.dropped_because: 3}
    split = load_split(qqp, "test", local(tmp_path, test_file="QQP/train.tsv"))
    assert [e.label for e in split.examples] == [1, None]
    assert split.provenance["dropped"] == {QQP.dropped_because: 2}


def test_qqp_test_rows_have_no_label_column(tmp_path):
    (tmp_path / "QQP").mkdir()
    (tmp_path / "QQP/test.tsv").write_text("id\tquestion1\tquestion2\n0\tWhy?\tHow?\n")
    (example,) = load_split(QQP, "test", local(tmp_path)).examples
    assert not example.is_labelled


def test_a_wrong_row_stops_with_file_line_and_reason(tmp_path):
    path = write_lines(tmp_path / "RTE/train.jsonl", rte(), {"hypothesis": "b", "label": 0})
    with pytest.raises(UserError) as error:
        load_split(RTE, "train", local(tmp_path), limit=1)
    assert str(error.value) == f"{path}:2: missing field 'premise'"


def test_a_wrong_row_of_a_nested_record_is_counted_out(tmp_path):
    questions = [{"id": "1", "question": "q", "answers": []}] * 2
    bad = {"id": "2", "question": "q", "answers": [{"text": 3}]}
    write_lines(tmp_path / "MRQA/RACE.jsonl", {"header": {}}, {"context": "c", "qas": questions})
    write_lines(tmp_path / "bad.jsonl", {"context": "c", "qas": [*questions, bad]})
    assert len(load_split(TASKS["mrqa_race"], "validation", local(tmp_path)).examples) == 2
    with pytest.raises(UserError, match=r"bad\.jsonl:1: question .*'2'.*'text' is int"):
        load_split(TASKS["mrqa_race"], "validation", local(tmp_path, validation_file="bad.jsonl"))


def test_training_rows_without_labels_are_refused(tmp_path):
    unlabelled = {"premise": "a", "hypothesis": "b"}
    write_lines(tmp_path / "RTE/train.jsonl", rte(), unlabelled)
    write_lines(tmp_path / "RTE/test.jsonl", unlabelled)
    with pytest.raises(UserError, match="1 of 2 training examples have no label"):
        load_split(RTE, "train", local(tmp_path))
    assert not load_split(RTE, "test", local(tmp_path)).examples[0].is_labelled


def test_an_empty_file_is_refused(tmp_path):
    write_lines(tmp_path / "RTE/train.jsonl")
    with pytest.raises(UserError, match=r"no train example of rte in .*train\.jsonl"):
        load_split(RTE, "train", local(tmp_path))


@pytest.mark.parametrize(
    ("task", "split", "spec", "message"),
    [
        ("rte", "train", DataSpec("disk"), "data.source=disk is not a source"),
        ("rte", "train", DataSpec("embedded"), "data.source=embedded does not have task rte"),
        ("quoref", "train", DataSpec("hub"), "fix:     data.source=local data.dir=<folder"),
        ("mini_rte", "test", DataSpec("hub"), "data.source=hub does not have task mini_rte"),
        ("rte", "dev", DataSpec("hub"), "'dev' is not a split"),
        ("rte", "train", DataSpec("local"), "no data.dir to find task rte in"),
        ("mrqa_race", "train", DataSpec("hub"), "task mrqa_race has no train split"),
        (
            "dpr",
            "validation",
            DataSpec("hub"),
            "no validation split\n.*\n  fix:     split= one",
        ),
        ("mini_rte", "dev", DataSpec("auto"), "'dev' is not a split"),
        ("mini_rte", "train", DataSpec("auto", test_file="a"), "data.test_file=a is not read"),
        ("rte", "train", DataSpec("auto", train_file="a"), "fix: .* data.dir=<folder"),
        (
            "rte",
            "test",
            DataSpec("hub", Path(), train_file="a"),
            "from data.source=hub",
        ),
    ],
)
def test_what_is_not_there_is_said(task, split, spec, message):
    with pytest.raises(UserError, match=message):
        load_split(TASKS[task], split, spec)
    with pytest.raises(UserError, match=message):
        check_available(TASKS[task], [split], spec)


def test_a_missing_folder_or_file_is_named_with_what_is_there(tmp_path):
    with pytest.raises(UserError, match="/nowhere: no such folder"):
        check_available(RTE, [], local(Path("/nowhere")))
    write_lines(tmp_path / "RTE/train.jsonl", rte())
    with pytest.raises(UserError) as error:
        check_available(RTE, ["train", "validation"], local(tmp_path))
    assert str(error.value).splitlines() == [
        f"{tmp_path}/RTE/val.jsonl: no such file, so no validation split of rte",
        f"  allowed: RTE/val.jsonl in data.dir={tmp_path}",
        "  fix:     put it there, or name another with data.validation_file="
        f" ({tmp_path}/RTE has train.jsonl)",
    ]
    check_available(RTE, [], local(tmp_path))


def test_auto_prefers_the_package_then_the_folder_then_the_hub(tmp_path):
    write_lines(tmp_path / "RTE/val.jsonl", rte())
    for name, source in (("mini_rte", "embedded"), ("rte", "local")):
        split = load_split(TASKS[name], "validation", DataSpec("auto", tmp_path))
        assert split.provenance["source"] == source
    check_available(RTE, ["train"], DataSpec("auto"))  # the hub has it; nothing is fetched
