"""The part on a real T5 Small says what its records say, and judges nothing against the paper."""

from made_records import config, filled, row, write_run

CONSTANT = {"answer": "positive", "metrics": {"accuracy": 51.0}, "score": 51.0}


def flan(seed=0, task="sst2", **changed):
    return config(seed, task__name=task, model__name="flan_small_int8", **changed)


def came_out(score, untrained=68.0):
    """A run whose held-out score is 1 above what is reported, as is the step of validation."""

    def scores(value):
        metrics = {"accuracy": value}
        return {"score": value, "metrics": metrics, "num_examples": 872, "num_unparseable": 0}

    result = {"split": "held_out", **scores(score + 1), "best_step": 100, "floor": None}
    result |= {"report": {"split": "validation", **scores(score)}, "constant": CONSTANT}
    if untrained is not None:
        result["untrained"] = {"held_out": scores(1.0), "validation": scores(untrained)}
        result["report_chooses"] = {"best_step": 300, **scores(score + 0.5)}
    return result


def test_a_cell_stands_beside_what_needs_no_training_and_beside_the_papers_way(tmp_path):
    """Of 872 examples guessing "positive" reaches 53.8: 51 + 1.645 * sqrt(51 * 49 / 872)."""
    for seed, score in enumerate((86.0, 53.7, 53.8)):
        write_run(tmp_path, flan(seed), came_out(score))
    planned = [flan(seed, task) for task in ("sst2", "rte") for seed in range(3)]
    made = filled("fig3a_flan", tmp_path, *planned)
    assert made.table.header[2:] == (
        *("examples", "best constant answer", "step 0", "score", "by seed", "the paper's way"),
        "fail to learn",
    )
    numbers = ["872", "51.0", "68.0 ± 0.0 (3)", "64.5 ± 18.6 (3)", "86.0, 53.7, 53.8"]
    assert row(made, "sst2", "20") == [*numbers, "65.0 ± 18.6 (3)", "1 of 3 (6 to 79 %)"]
    assert row(made, "rte", "20") == ["-"] * 7
    assert made.table.verdicts == []
    assert "Missing: 3 of 6 runs (20 on flan_small_int8: rte, seed 0 1 2)." in made.table.notes


def test_runs_of_other_weights_are_not_averaged(tmp_path):
    write_run(tmp_path, flan(0), came_out(86.0))
    write_run(tmp_path, flan(1), came_out(87.0), fingerprint="f1")
    assert row(filled("gate_flan", tmp_path, flan(0), flan(1)), "sst2") == [
        "prompt_tuning",
        *["-"] * 7,
    ]
