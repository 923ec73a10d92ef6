"""The benchmark measures equal work or nothing, and its tables follow from its records."""

import json
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
import torch
from quick_runs import once, status_of

from prompt_tuning.bench import arms as arms_module
from prompt_tuning.bench import measure as bench_run
from prompt_tuning.bench.answering import check_same, measure_serving
from prompt_tuning.bench.arms import NotEqualError, check_equality, compare, make_arm
from prompt_tuning.bench.cost_tables import floor_shares, speed_up, table_of
from prompt_tuning.bench.operations import PROMPT_TUNING, Passes, useful_operations
from prompt_tuning.bench.settings import (
    ARMS,
    BenchConfig,
    bench_name,
    bench_problems,
    train_overrides,
)
from prompt_tuning.bench.steps import breakdown, kind_of
from prompt_tuning.bench.workload import (
    MAX_INPUT_TOKENS,
    PROFILES_PATH,
    Place,
    draw_batches,
    load_profiles,
)
from prompt_tuning.commands import bench as bench_command
from prompt_tuning.commands.bench import check
from prompt_tuning.composition import composed
from prompt_tuning.config import typed
from prompt_tuning.environment import environment
from prompt_tuning.errors import UserError
from prompt_tuning.evaluation import Questions
from prompt_tuning.shapes import Shape

CPU = torch.device("cpu")
FAST = ("size=nano", "batch_size=3", "num_batches=2", "num_rounds=1", "prompt_length=10")


RACE = ("model=flan_small_int8", "task=sst2", "data.dir=files")  # of part=end_to_end


def config_of(*overrides):
    return typed(BenchConfig, composed("bench", [*FAST, *overrides]))


def test_the_profiles_are_lengths_of_the_official_training_files():
    """Counts of the real files: whole training sets but BoolQ's, ReCoRD's, SQuAD's and QQP's."""
    counted = json.loads(PROFILES_PATH.read_text())
    sizes = {name: profile["num_examples"] for name, profile in counted.items()}
    assert sizes == {
        **{"wic": 5428, "rte": 2490, "boolq": 2056, "multirc": 27243, "cb": 250, "copa": 400},
        **{"record": 90, "wsc": 259, "squad": 7673, "mrpc": 3668, "qqp": 20000, "sst2": 67349},
    }
    for profile in counted.values():
        for key in ("input_lengths", "target_lengths"):
            assert sum(count for _, count in profile[key]) == profile["num_examples"]


@pytest.mark.parametrize("name", load_profiles())
def test_batches_are_seeded_ragged_and_at_most_512_long(name):
    config = config_of(f"profile={name}", "batch_size=9", "seed=1")
    drawn = [draw_batches(config) for _ in range(2)]
    assert [b.lengths for b in drawn[0]] == [b.lengths for b in drawn[1]]
    for row in (row for batch in drawn[0] for row in (*batch.inputs, *batch.targets)):
        assert len(row) <= MAX_INPUT_TOKENS
        assert row[-1] == 1
        assert (row[:-1] > 2).all()
    assert max(drawn[0][0].lengths[0]) <= load_profiles()[name].tight_input_tokens


@pytest.mark.parametrize("part", ARMS)
def test_all_arms_give_the_same_loss_and_gradient(part):
    """What makes their times comparable: float64 to 1e-10, float32 to 1e-4."""
    config = config_of(f"part={part}")
    agreements = check_equality(config, draw_batches(config)[0], CPU)
    assert [agreement["tolerance"] for agreement in agreements.values()] == [1e-10, 1e-4]


def test_a_broken_engine_makes_the_bench_refuse(monkeypatch, tmp_path):
    """No ratio of a program that computes something else: nothing is measured or recorded."""
    exact = arms_module.accumulate_gradient

    def wrong(method, *rest):
        loss = exact(method, *rest)
        method.prompt.grad[0] *= 1.001
        return loss

    monkeypatch.setattr(arms_module, "accumulate_gradient", wrong)
    monkeypatch.setattr(bench_run, "measure_steps", lambda *_: pytest.fail("measured"))
    two = "arms=[peft_longest,ptune]"
    with pytest.raises(NotEqualError, match="ptune and peft_longest differ"):
        status_of(monkeypatch, tmp_path, "bench", *FAST, two)
    assert not list(tmp_path.rglob("record.json"))


def test_a_loss_that_is_not_a_number_does_not_pass_the_gate():
    config = config_of("dropout=0")
    place, batch = Place(CPU, torch.float32), draw_batches(config)[0]
    arms = {name: make_arm(name, config, place) for name in ("peft_longest", "ptune")}
    with torch.no_grad():
        next(iter(arms["ptune"].trained.values()))[0] = float("nan")
    with pytest.raises(NotEqualError):
        compare(arms, "peft_longest", batch, 1e-4)


@pytest.mark.parametrize(
    ("decoded", "scores"), [([[5, 7]], torch.zeros(1, 2)), ([[5, 6]], torch.full((1, 2), 0.1))]
)
def test_other_tokens_or_label_scores_make_it_refuse(decoded, scores):
    assert check_same([[5, 6]], torch.zeros(1, 2), [[5, 6]], torch.zeros(1, 2)) == 0
    with pytest.raises(NotEqualError):
        check_same([[5, 6]], torch.zeros(1, 2), decoded, scores)


def test_operations_are_those_of_a_hand_count():
    """One layer, one row of 5 positions and 2 targets, every size 1 but the vocabulary of 10.

    Forward: encoder 5 * 2 * (4 + 3) + 2 * 2 * 25, decoder 2 * 2 * (4 + 3) + 2 * 2 * 4, lm_head
    2 * 10 * 2, cross-attention 4 * 2 * 2 and 2 * 2 * 10 pairs, absorbed.
    """
    shape = Shape(d_model=1, num_layers=1, num_heads=1, d_kv=1, d_ff=1)
    hand = 70 + 100 + 28 + 16 + 40 + 16 + 40
    assert useful_operations(shape, 10, [5], [2], Passes(2, 2)) == hand
    assert useful_operations(shape, 10, [5], [2], PROMPT_TUNING) == 2 * 154 + 7 * (50 + 8 + 20)


def test_ratios_and_the_floor_follow_from_the_record():
    arm = {"seconds": [[4.0, 6.0, 5.0], [8.0]]}
    result = {
        "arms": {"slow": arm, "fast": {"seconds": [[1.0], [4.0]]}},
        "batches": [{"operations": 30}, {"operations": 20}],
        "matrix_product_rate": 20.0,
    }
    assert speed_up(result, "slow", "fast").tolist() == [5.0, 2.0]
    assert floor_shares(result)["fast"] == 0.5


def test_a_step_is_broken_down_by_what_its_operators_are_for():
    x, w = torch.randn(400, 400), torch.randn(400, 400)

    def step():
        for _ in range(5):
            torch.nn.functional.gelu(torch.bmm(x[None], w[None]) @ w)

    shares = breakdown(step)
    assert sum(shares.values()) == pytest.approx(1, abs=1e-3)
    assert min(shares["products with weights"], shares["products by head"], shares["GELU"]) > 0.02
    assert shares["attention"] == 0
    assert kind_of("aten::_scaled_dot_product_flash_attention_for_cpu_backward") == "attention"


@pytest.mark.parametrize(
    ("overrides", "reasons"),
    [
        (["arms=[peft_512,ptun]"], ["did you mean ptune?", "peft_longest and ptune"]),
        (["part=pretraining"], ["dropout=0.1"]),  # a rate would slow down Hugging Face alone
        (["part=serving"], ["part=serving num_prompts=<number>"]),
        (["num_prompts=2"], ["part=serving num_prompts=<number>, or neither"]),
        ([*RACE], ["model=flan_small_int8 is for part=end_to_end", "task=sst2", "data.dir=files"]),
    ],
)
def test_a_measurement_that_would_say_nothing_is_refused(overrides, reasons):
    problems = [str(problem) for problem in bench_problems(config_of(*overrides))]
    assert len(problems) == len(reasons)
    for problem, reason in zip(problems, reasons, strict=True):
        assert reason in problem


def test_other_answers_in_a_batch_are_not_recorded(monkeypatch):
    """Rows that get a neighbour's prompt, or lose their order, would be as fast, and wrong."""

    right_answers = Questions.answers

    def shifted(questions, model):
        answers = right_answers(questions, model)
        return answers[1:] + answers[:1] if len(questions.rows.prompts) > 1 else answers

    config = config_of("part=serving", "num_batches=1", "num_prompts=2")
    monkeypatch.setattr(Questions, "answers", shifted)
    with pytest.raises(NotEqualError, match="stream: other tokens"):
        measure_serving(config, print)


def test_a_model_and_a_task_are_those_of_the_run_that_is_timed():
    """They replace what the overrides of the run say, and belong to no other part."""
    config = config_of("part=end_to_end", *RACE)
    assert train_overrides(config) == [*RACE, "evaluation.every_steps=10"]
    assert not bench_problems(config)
    assert train_overrides(config_of()) == ["task=mini_sst2", "evaluation.every_steps=10"]


@pytest.mark.parametrize("setting", ["method=model_tuning", "evaluation.rank=labels"])
def test_a_race_that_the_trainer_cannot_run_alike_is_refused(setting):
    config = composed("bench", ["part=end_to_end", f'train=["{setting}"]'])
    with pytest.raises(UserError, match=f"not so with {setting}"):
        check(config)


def test_a_missing_opponent_is_named_with_the_fix(monkeypatch):
    monkeypatch.setattr("prompt_tuning.bench.settings.find_spec", lambda name: None)
    (problem,) = bench_problems(config_of())
    assert "pip install 'ptune[bench]'" in str(problem)


def test_another_machine_setting_is_another_measurement():
    """Unlike in training, the machine's settings change the result."""
    config = config_of()
    threads = replace(config.machine, num_threads=2)
    assert bench_name(replace(config, machine=threads)) != bench_name(config)
    assert bench_name(replace(config, output_dir="elsewhere")) == bench_name(config)


def quick(arguments):
    """These arguments and those of `FAST` that they do not set."""
    return once([*FAST, "num_batches=1", "max_target_tokens=2", *arguments])


def test_a_bench_runs_from_the_command_line_to_its_tables(tmp_path, monkeypatch, capsys):
    """Nano, every way of measuring; only a loose bound, as the machine may be busy."""
    training = ["batch_size=8", "arms=[peft_longest,ptune]"]
    run = 'train=["task=mini_sst2","evaluation.every_steps=2","evaluation.num_examples=20"]'
    # These sources may be changed, and are not while this runs.
    code = {"commit": "abcdef0", "dirty": False}
    monkeypatch.setattr("prompt_tuning.environment.code_version", lambda: code)
    for arguments in (
        training,
        ["part=evaluation"],
        ["part=serving", "num_prompts=2"],
        ["part=end_to_end", run, "target_score=0"],
    ):
        assert status_of(monkeypatch, tmp_path, "bench", *quick(arguments)) == 0
    records = {
        path.parent.name: json.loads(path.read_text()) for path in tmp_path.rglob("record.json")
    }
    by_part = {record["config"]["part"]: record["result"] for record in records.values()}
    assert {*by_part} == {"training", "evaluation", "serving", "end_to_end"}
    assert speed_up(by_part["training"], "peft_longest", "ptune").median() > 1.0
    for arm in by_part["training"]["arms"].values():
        assert arm["peak_memory_gib"] > 0
        (user_s,), (sys_s,), (seconds,) = (arm[k][0] for k in ("user_s", "sys_s", "seconds"))
        assert seconds == pytest.approx(user_s + sys_s, abs=2e-6)
    assert all(arm["step"] == 2 for arm in by_part["end_to_end"]["arms"].values())
    assert by_part["end_to_end"]["made_from"]["data"]["train"]["sha256"]
    assert by_part["end_to_end"]["made_from"]["model"]["fingerprint"]
    said = capsys.readouterr().out
    assert all(line in said for record in records.values() for line in table_of(record))
    check_done_before(tmp_path, monkeypatch, capsys, quick(training))
    race = quick(["part=end_to_end", run, "target_score=0"])
    for changed in ("", "its data have changed since"):
        monkeypatch.setattr(bench_command, "changed_since", lambda *_, changed=changed: changed)
        assert status_of(monkeypatch, tmp_path, "bench", *race) == 0
        said = capsys.readouterr().out
        assert changed in said and ("measured again" in said) == bool(changed)

    kept = tmp_path / "bench.jsonl"
    lines = [json.dumps({"name": name, **record}) for name, record in records.items()]
    kept.write_text("\n".join(lines))
    bench_results(monkeypatch).write(kept, tmp_path / "bench.md")
    written = (tmp_path / "bench.md").read_text()
    for row in ("8 | 0.1 | rte | peft_longest", "3 | rte | 2 | stream_mixed"):
        assert f"| nano | {row}" in written


def check_done_before(folder, monkeypatch, capsys, arguments):
    """Measured again by other code, under other packages, on another machine; not otherwise."""
    monkeypatch.setattr(bench_run, "bench", lambda *_, train: print("measured again"))
    here = environment()
    others = {
        "by another commit": {"commit": "0123abc"},
        "by code that was not committed": {"dirty": True},
        "with other versions of its packages": {"versions": {**here["versions"], "torch": "1"}},
        "on another machine": {"machine": {**here["machine"], "processor": "another"}},
        "on another device": {},
    }
    for reason, other in {"": {}, **others}.items():
        with monkeypatch.context() as patch:
            patch.setattr(bench_command, "environment", lambda other=other: {**here, **other})
            device = "a GPU" if "device" in reason else "cpu"
            patch.setattr(bench_command, "device_name", lambda _, device=device: device)
            assert status_of(patch, folder, "bench", *arguments) == 0
        said = capsys.readouterr().out
        assert reason in said and ("measured again" in said) == bool(reason), said
        assert "done before" in said


def bench_results(monkeypatch):
    """The script that writes results/bench.md."""
    monkeypatch.syspath_prepend(Path(__file__).parents[3] / "scripts")
    return import_module("bench_results")


def test_the_committed_tables_and_plots_are_those_of_the_committed_records(monkeypatch, tmp_path):
    results = bench_results(monkeypatch)
    committed = results.REPOSITORY / "results"
    results.write(committed / "bench.jsonl", tmp_path / "bench.md")
    for name in ("bench.md", "bench_speed.svg", "bench_growth.svg"):
        assert (tmp_path / name).read_bytes() == (committed / name).read_bytes(), name
