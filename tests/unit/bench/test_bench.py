"""The benchmark measures equal work or nothing, and its tables follow from its records."""

import json
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from prompt_tuning import cli
from prompt_tuning.bench import arms as arms_module
from prompt_tuning.bench import run as bench_run
from prompt_tuning.bench import serving_speed
from prompt_tuning.bench.arms import make_arm
from prompt_tuning.bench.breakdown import breakdown, kind_of
from prompt_tuning.bench.evaluation_speed import check_same
from prompt_tuning.bench.gate import NotEqualError, check_equality, compare
from prompt_tuning.bench.operations import EVALUATION, PROMPT_TUNING, useful_operations
from prompt_tuning.bench.profiles import PROFILES_PATH, load_profiles
from prompt_tuning.bench.settings import ARMS, BenchConfig, bench_name, bench_problems
from prompt_tuning.bench.summary import floor_fraction, speed_up
from prompt_tuning.bench.tables import table_of
from prompt_tuning.bench.workload import Place, draw_batches
from prompt_tuning.composition import configs_of
from prompt_tuning.config import typed
from prompt_tuning.models.random_checkpoint import Shape

CPU = torch.device("cpu")
SCRIPTS = Path(__file__).parents[3] / "scripts"
FAST = ("size=nano", "batch_size=3", "num_batches=2", "num_rounds=1", "prompt_length=10")


def config_of(*overrides: str) -> BenchConfig:
    (config,), problems = configs_of("bench", [*FAST, *overrides])
    assert not problems
    return typed(BenchConfig, config)


def test_the_profiles_are_lengths_of_the_official_training_files() -> None:
    """Counts of the real files (data sets' papers); no text is in the package."""
    counted = json.loads(PROFILES_PATH.read_text())
    sizes = {name: profile["num_examples"] for name, profile in counted.items()}
    assert sizes == {"wic": 5428, "rte": 2490, "boolq": 2056, "multirc": 27243}
    for profile in counted.values():
        for key in ("input_lengths", "target_lengths"):
            assert sum(count for _, count in profile[key]) == profile["num_examples"]


@pytest.mark.parametrize("name", load_profiles())
def test_batches_are_seeded_ragged_and_at_most_512_long(name: str) -> None:
    profile = load_profiles()[name]
    drawn = [profile.draw(num_batches=2, batch_size=9, vocab_size=99, seed=1) for _ in range(2)]
    assert [b.input_lengths for b in drawn[0]] == [b.input_lengths for b in drawn[1]]
    for row in (row for batch in drawn[0] for row in (*batch.inputs, *batch.targets)):
        assert len(row) <= 512
        assert row[-1] == 1
        assert (row[:-1] > 2).all()
    assert max(drawn[0][0].input_lengths) <= profile.tight_input_tokens


@pytest.mark.parametrize("part", ARMS)
def test_all_arms_give_the_same_loss_and_gradient(part: str) -> None:
    """What makes their times comparable: float64 to 1e-10, float32 to 1e-4."""
    config = config_of(f"part={part}")
    agreements = check_equality(config, draw_batches(config)[0], CPU)
    assert [agreement.tolerance for agreement in agreements.values()] == [1e-10, 1e-4]


def test_a_broken_engine_makes_the_bench_refuse(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No ratio of a program that computes something else: nothing is measured or recorded."""
    exact = arms_module.accumulate_gradient

    def wrong(method: Any, *rest: Any) -> float:
        loss = exact(method, *rest)
        method.prompt.grad[0] *= 1.001
        return loss

    monkeypatch.setattr(arms_module, "accumulate_gradient", wrong)
    monkeypatch.setattr(bench_run, "measure_steps", lambda *_: pytest.fail("measured"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["ptune", "bench", *FAST, "memory=false"])
    with pytest.raises(NotEqualError, match="ptune and peft_longest differ"):
        cli.main()
    assert not list(tmp_path.rglob("record.json"))


def test_a_loss_that_is_not_a_number_does_not_pass_the_gate() -> None:
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
def test_other_tokens_or_label_scores_make_it_refuse(decoded: Any, scores: Tensor) -> None:
    assert check_same([[5, 6]], [[5, 6]], torch.zeros(1, 2), torch.zeros(1, 2)) == 0
    with pytest.raises(NotEqualError):
        check_same([[5, 6]], decoded, torch.zeros(1, 2), scores)


def test_operations_are_those_of_a_hand_count() -> None:
    """One layer, one row of 5 positions and 2 targets, every size 1 but the vocabulary of 10.

    Forward: encoder 5 * 2 * (4 + 3) + 2 * 2 * 25, decoder 2 * 2 * (4 + 3) + 2 * 2 * 4, lm_head
    2 * 10 * 2, cross-attention 4 * 2 * 2 and 2 * 2 * 10 pairs, absorbed.
    """
    shape = Shape(d_model=1, num_layers=1, num_heads=1, d_kv=1, d_ff=1)
    hand = 70 + 100 + 28 + 16 + 40 + 16 + 40
    assert useful_operations(shape, 10, [5], [2], EVALUATION) == hand
    assert useful_operations(shape, 10, [5], [2], PROMPT_TUNING) == 2 * 154 + 7 * (50 + 8 + 20)


def test_ratios_and_the_floor_follow_from_the_record() -> None:
    arm = {"seconds": [[4.0, 6.0, 5.0], [8.0]]}
    result = {
        "arms": {"slow": arm, "fast": {"seconds": [[1.0], [4.0]]}},
        "batches": [{"operations": 30}, {"operations": 20}],
        "matrix_product_rate": 20.0,
    }
    assert str(speed_up(result, "slow", "fast")) == "3.50x (2.00 to 5.00)"
    assert floor_fraction(result, "fast") == 0.5


def test_a_step_is_broken_down_by_what_its_operators_are_for() -> None:
    x, w = torch.randn(400, 400), torch.randn(400, 400)

    def step() -> None:
        for _ in range(5):
            torch.nn.functional.gelu(torch.bmm(x[None], w[None]) @ w)

    shares = breakdown(step)
    assert sum(shares.values()) == pytest.approx(1, abs=1e-3)
    assert min(shares["products with weights"], shares["products by head"], shares["GELU"]) > 0.02
    assert shares["attention"] == 0
    assert kind_of("aten::_scaled_dot_product_flash_attention_for_cpu_backward") == "attention"


def test_an_arm_that_is_not_there_and_a_headline_that_is_missing_are_refused() -> None:
    config = replace(config_of(), arms=["peft_512", "ptun"])
    problems = [str(problem) for problem in bench_problems(config)]
    assert "did you mean ptune?" in problems[0]
    assert "peft_longest and ptune" in problems[1]


def test_pretraining_is_measured_without_dropout_on_both_sides() -> None:
    """`ptune pretrain` has none: a rate would slow down Hugging Face alone."""
    (problem,) = bench_problems(config_of("part=pretraining"))
    assert "dropout=0.1" in str(problem)


def test_a_mixed_batch_with_other_answers_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that get a neighbour's prompt would be as fast, and wrong."""

    def shifted(model: Any, batch: Any) -> Any:
        return model.stream_by_prompt(batch)[::-1]

    monkeypatch.setattr(serving_speed._OneModel, "stream_mixed", shifted)
    with pytest.raises(NotEqualError, match="stream: other tokens in a mixed batch"):
        serving_speed.measure_serving(config_of("part=serving", "num_prompts=2"), print)


def test_a_number_of_prompts_belongs_to_serving_alone() -> None:
    for wrong in (["part=serving"], ["num_prompts=2"]):
        (problem,) = bench_problems(config_of(*wrong))
        assert "part=serving num_prompts=<number>" in str(problem)


def test_a_missing_opponent_is_named_with_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prompt_tuning.bench.settings.find_spec", lambda name: None)
    (problem,) = bench_problems(config_of())
    assert "pip install 'ptune[bench]'" in str(problem)


def test_another_machine_setting_is_another_measurement() -> None:
    """Unlike in training, the machine's settings change the result."""
    config = config_of()
    threads = replace(config.machine, num_threads=2)
    assert bench_name(replace(config, machine=threads)) != bench_name(config)
    assert bench_name(replace(config, output_dir="elsewhere")) == bench_name(config)


def test_a_bench_runs_from_the_command_line_to_its_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nano, every way of measuring; only a loose bound, as the machine may be busy."""
    monkeypatch.chdir(tmp_path)

    def ptune(*arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", ["ptune", "bench", *FAST, *arguments])
        assert cli.main() == 0

    ptune()
    ptune("part=evaluation")
    ptune("part=serving", "num_prompts=2")
    ptune(
        "part=end_to_end", 'train=["task=mini_sst2","evaluation.every_steps=2"]', "target_score=0"
    )
    records = {
        path.parent.name.split("-")[1]: json.loads(path.read_text())
        for path in tmp_path.rglob("record.json")
    }
    assert {*records} == {"training", "evaluation", "serving", "end_to_end"}
    training = records["training"]["result"]
    assert speed_up(training, "peft_512", "ptune").median > 1.0
    assert all(arm["peak_memory_gib"] > 0 for arm in training["arms"].values())
    assert all(arm["step"] == 2 for arm in records["end_to_end"]["result"]["arms"].values())
    said = capsys.readouterr().out
    assert all(line in said for record in records.values() for line in table_of(record))
    monkeypatch.setattr(bench_run, "bench", lambda *_: pytest.fail("measured again"))
    ptune()
    assert "done before" in capsys.readouterr().out

    monkeypatch.syspath_prepend(SCRIPTS)
    results = import_module("bench_results")
    folder = tmp_path / "records"
    folder.mkdir()
    for name, record in records.items():
        (folder / f"{name}.json").write_text(json.dumps(record))
    written = []
    for out in ("first", "second"):
        (tmp_path / out).mkdir()
        results.write(folder, tmp_path / out / "bench.md")
        files = sorted((tmp_path / out).iterdir())
        written.append({path.name: path.read_bytes() for path in files})
    assert written[0] == written[1]
    assert {*written[0]} == {"bench.md", "bench_speed.svg"}
    assert b"| nano | 3 | 0.1 | rte | peft_longest |" in written[0]["bench.md"]
    assert b"| nano | 3 | rte | 2 | stream_mixed |" in written[0]["bench.md"]


def test_the_committed_tables_are_those_of_the_committed_records(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(SCRIPTS)
    results = import_module("bench_results")
    committed = results.REPOSITORY / "results" / "bench"
    assert committed.is_dir() == committed.with_suffix(".md").exists()
    if committed.is_dir():
        results.write(committed, tmp_path / "bench.md")
        expected = committed.with_suffix(".md").read_text(encoding="utf-8")
        assert (tmp_path / "bench.md").read_text(encoding="utf-8") == expected
