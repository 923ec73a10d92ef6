"""What a model is said to need of a GPU, against numbers that were worked out by hand."""

import pytest

from prompt_tuning.bench import needs
from prompt_tuning.bench.needs import Needs, describe, describe_hours, shape_of
from prompt_tuning.bench.operations import MODEL_TUNING
from prompt_tuning.bench.workload import Profile
from prompt_tuning.commands.doctor import check
from prompt_tuning.composition import composed, planned_runs
from prompt_tuning.errors import UserError
from prompt_tuning.shapes import SHAPES

SMALL = Needs(SHAPES["small"], prompt_length=100, value_bytes=2)


def config_of(*overrides):
    return check(composed("doctor", overrides))


def test_memory_of_small_is_what_the_formula_gives_by_hand():
    """H 512, I 384, F 1024, A 6, 8 layers; a row of 100 + 512 positions, a target of 6 tokens."""
    weights = 2 * 76_961_152 + 2 * 32128 * 512  # the head is in float32
    assert SMALL.footprint.weight_bytes == weights
    assert SMALL.trained_bytes == 3 * 4 * 100 * 512
    factored = Needs(SHAPES["small"], prompt_length=150, value_bytes=2)
    assert factored.trained_bytes == 4 * (2 * 150 * 512 + 150 + 512)
    assert SMALL.longest == (612, 6)
    encoder = 612 * (2 * 512 + 2 * 1024 + 6) + 612 * 4 * 384 + 2 * 512 + 1024
    decoder = 6 * (3 * 512 + 3 * 384 + 2 * 1024) + 6 * 6 * (512 + 2 * 612 + 2 * 6)
    decoder += 3 * 512 + 1024 + 6 * (612 + 6)
    once = 6 * 612 * 612 + (612 + 612 + 2) * 512
    float32s = 8 * (2 * 612 + 6 * 612 + 3 * 6) + 6 * 32128
    assert 2 * (8 * (encoder + decoder) + once) + 4 * float32s == 53_453_120 == SMALL.row_bytes
    free = 24 * 10**9 - weights - 3 * 4 * 100 * 512
    assert SMALL.tokens_on(24) == free / 2 // (53_453_120 / 612) == 136_318


def test_hours_of_small_are_what_its_operations_give_by_hand(monkeypatch):
    """A row of 120 positions and 2 target tokens: 10,094,682,112 operations."""
    own = {n: 4 * (4 * 512 * 384 + 3 * 512 * 1024) * n + 14 * 384 * n * n for n in (120, 2)}
    absorbed = 4 * 4 * 512 * 384 * 2 + 14 * 512 * 6 * 2 * 120
    row = 8 * (own[120] + own[2] + absorbed) + 4 * 512 * 32128 * 2
    profile = Profile([(20, 3)], [(2, 5)])
    monkeypatch.setattr(needs, "load_profiles", lambda: dict.fromkeys(needs.IN_BENCH_MD, profile))
    assert SMALL.operations("rte", 32) == 32 * row == 32 * 10_094_682_112
    lines = dict(describe(config_of("model=small", "peak_tflops=3.12", "utilization=0.4")))
    assert lines["recipe=paper, rte"].startswith("2.16 GPU hours: 30,000 steps of 32 rows, 0.32 ")


def test_operations_are_a_mean_over_lengths_cut_at_512(monkeypatch):
    def operations(*inputs):
        profile = Profile(inputs, [(2, 1), (4, 1)])
        monkeypatch.setattr(needs, "load_profiles", lambda: {"rte": profile})
        return SMALL.operations("rte", 1)

    short, long = operations((20, 1)), operations((512, 1))
    assert operations((20, 3), (900, 1)) == pytest.approx(0.75 * short + 0.25 * long)


def test_xxl_needs_more_than_the_smallest_card():
    lines = dict(describe(config_of("model=xxl")))
    assert lines["model=xxl"] == "11,135,332,352 parameters, bfloat16"
    assert lines["card of 24 GB"] == "does not fit"
    assert lines["card of 80 GB"].startswith("fits, with micro-batches of ")
    lines = dict(describe(config_of("model=xxl", "dtype=float32")))
    assert lines["card of 40 GB"] == "does not fit"


def test_hours_of_an_experiment_are_those_of_its_runs():
    """3 seeds of SQuAD on XXL; figure 3(a)'s runs are shorter the shorter the prompt."""
    config = config_of("experiment=table1", "peak_tflops=1000", "utilization=0.5")
    runs = planned_runs("table1")
    assert [(run.task.name, run.model.name) for run in runs] == [("squad", "xxl")] * 3
    operations = Needs(SHAPES["xxl"], 100, 2).operations("squad", 32)
    hours = 3 * 30_000 * operations / 0.5e15 / 3600
    lines = dict(describe_hours(runs, config))
    assert lines["model=xxl"] == lines["all"] == f"{hours:,.0f} GPU hours: 3 runs"
    tuned = dict(describe_hours(planned_runs("table1_model_tuning"), config))
    # Four times the batch; weights have gradients, and there is no prompt.
    assert float(tuned["all"].split()[0]) > 4 * hours * 0.9
    shipped = dict(describe_hours(planned_runs("gate_flan"), config_of("experiment=gate_flan")))
    assert 0.001 < float(shipped["all"].split()[0]) < 0.002  # a small model and few steps


def test_a_mixture_costs_what_its_examples_do():
    """Three quarters of it are ReCoRD, one of whose steps costs about four of RTE."""
    config = config_of("experiment=fig1_multitask")
    runs = planned_runs("fig1_multitask", ["model=xxl", "seed=0"])
    hours = float(dict(describe_hours(runs, config))["all"].split()[0].replace(",", ""))
    step = Needs(SHAPES["xxl"], 0, 2).operations("record", 2048, MODEL_TUNING)
    hours_of_record = 30_000 * step / (config.peak_tflops * 1e12 * config.utilization) / 3600
    assert 0.75 < hours / hours_of_record < 1


@pytest.mark.parametrize(
    ("experiment", "problem"),
    [("fig1_prompt_design", "trains nothing"), ("section7_ladder", "mini_.* not been counted")],
)
def test_an_experiment_without_hours_is_refused(experiment, problem):
    runs, config = planned_runs(experiment, ["seed=0"]), config_of(f"experiment={experiment}")
    with pytest.raises(UserError, match=problem):
        [*describe_hours(runs, config)]


def test_a_model_of_another_shape_is_refused_with_those_that_have_one():
    assert shape_of("flan_xl") == SHAPES["xl"]
    with pytest.raises(UserError, match="ladder_1m has no shape") as refused:
        shape_of("ladder_1m")
    assert "xxl" in str(refused.value.allowed)


def test_a_peak_and_a_utilization_must_be_possible():
    for wrong in ("peak_tflops=0", "utilization=1.5"):
        with pytest.raises(UserError, match="out of range"):
            config_of("model=small", wrong)
