"""Domain transfer: what a run learnt on one task, it answers another with, and nothing is chosen.

Source: Lester et al. (2021), section 5.
"""

import json

import pytest
from quick_runs import config_of, lines_of, record_of, said_again, train_config_of
from safetensors.torch import load_file

from prompt_tuning.commands import train
from prompt_tuning.data.sources import DataSpec, load_split
from prompt_tuning.errors import UserError
from prompt_tuning.examples import load_transfer_splits
from prompt_tuning.task_registry import TASKS
from prompt_tuning.tasks import as_answer_of
from prompt_tuning.training.outcome import summary

TO_B = "evaluation.transfer_tasks=[mini_boolq,mini_boolq_b]"


def test_the_best_prompt_answers_the_other_task_and_its_own_is_left_out(
    tiny_folder, tiny_checkpoint, tmp_path
):
    """Decoded here once more from the saved prompt: the record and the file say the same."""
    record = record_of(tmp_path, config_of(tiny_folder, "task=mini_boolq", TO_B))

    test = load_split(TASKS["mini_boolq_b"], "test", DataSpec("auto"))
    prompt = load_file(tmp_path / "prompt.safetensors")["prompt"]
    again = said_again(tiny_checkpoint, TASKS["mini_boolq_b"], test.examples, prompt)
    (name,) = record["result"]["transfer"]
    scored = record["result"]["transfer"][name]
    assert (name, scored["split"]) == ("mini_boolq_b", "test")
    assert scored["score"] == again.scores.score
    assert scored["num_examples"] == len(test.examples)
    assert scored["floor"]["majority"] == 50.0
    assert record["data"]["transfer"] == {name: json.loads(json.dumps(test.provenance))}
    file = tmp_path / "predictions" / name / "transfer.jsonl"
    assert [line["prediction"] for line in lines_of(file)] == again.predictions
    log = (tmp_path / "log.txt").read_text()
    assert f"{name}, never trained on, on test: accuracy {again.scores.score:.2f}" in log
    assert summary(record["result"])[f"transfer/{name}/accuracy"] == again.scores.score


def test_transfer_changes_nothing_of_the_run_itself(tiny_folder, tmp_path):
    """The other task must not choose the step, nor move what dropout draws."""
    given = ["task=mini_boolq", "training.dropout=0.1", "evaluation.report_split=null"]
    with_it = record_of(tmp_path / "with", config_of(tiny_folder, *given, TO_B))["result"]
    without = record_of(tmp_path / "without", config_of(tiny_folder, *given))["result"]
    assert {key: value for key, value in with_it.items() if key != "transfer"} == without
    prompts = [tmp_path / name / "prompt.safetensors" for name in ("with", "without")]
    first, second = (load_file(path)["prompt"] for path in prompts)
    assert (first == second).all()


def test_a_tuned_model_transfers_too(tiny_folder, tmp_path):
    tuned = ["task=mini_boolq", "method=model_tuning", "evaluation.num_report_examples=20"]
    transfer = record_of(tmp_path, config_of(tiny_folder, *tuned, TO_B))["result"]["transfer"]
    assert transfer["mini_boolq_b"]["num_examples"] == 288


@pytest.mark.parametrize(
    ("source", "target", "said", "meant"),
    [
        ("qqp", "mrpc", "duplicate", "equivalent"),
        ("qqp", "mrpc", "not_duplicate", "not_equivalent"),
        ("mrpc", "qqp", "equivalent", "duplicate"),
        ("mrpc", "qqp", "not_equivalent", "not_duplicate"),
        ("mrpc", "qqp", "<unk>", "<unk>"),
        ("squad", "mrqa_drop", "a duplicate", "a duplicate"),
        ("rte", "rte", "not_entailment", "not_entailment"),
    ],
)
def test_answers_are_read_in_the_other_tasks_words(source, target, said, meant):
    assert as_answer_of(TASKS[target], said, TASKS[source]) == meant


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        (["task=rte", "evaluation.transfer_tasks=[cb]"], "cb is answered with entailment, contr"),
        (["task=squad", "evaluation.transfer_tasks=[boolq]"], "squad teaches free text"),
        (["task=squad", "evaluation.transfer_tasks=[mrqa_rce]"], "there is no such task"),
        (["method=prompt_design", "prompt.num_shots=2", TO_B], "is not for method=prompt_design"),
    ],
)
def test_tasks_that_cannot_be_answered_are_refused_before_anything_is_loaded(overrides, problem):
    own = [] if "method=prompt_design" in overrides else ["init=sampled_vocab"]
    with pytest.raises(UserError, match=problem):
        train_config_of(*own, *overrides, check=train.check)


def test_a_target_file_that_is_missing_is_told_at_once(tmp_path):
    (tmp_path / "GLUE" / "MRPC").mkdir(parents=True)
    for name in ("train", "dev"):
        (tmp_path / "GLUE" / "MRPC" / f"{name}.tsv").touch()
    given = ["recipe=paper", "task=mrpc", f"data.dir={tmp_path}"]
    with pytest.raises(UserError, match="QQP"):
        train_config_of(*given, "evaluation.transfer_tasks=[mrpc,qqp]", check=train.check)
    train_config_of(*given, "evaluation.transfer_tasks=[mrpc]", check=train.check)


def test_official_files_of_table_2_load_as_targets(tiny_folder, shared_data):
    """The run's own file has a name of its own here, the target's keeps the official one."""
    given = ["task=qqp", f"data.dir={shared_data}", "data.validation_file=GLUE/QQP/dev_subset.tsv"]
    given += ["evaluation.report_split=null", "evaluation.transfer_tasks=[mrpc]"]
    targets = load_transfer_splits(config_of(tiny_folder, *given))
    assert len(targets["mrpc"].examples) == 408
    assert targets["mrpc"].provenance["split"] == "validation"
