"""Tables 1 and 2: what was learnt on one task, asked of another."""

import pytest
from made_records import FLOOR, answers, config, filled, result, row, write_run

from prompt_tuning.report.claims import FEW, judged
from prompt_tuning.report.statistics import Answer

METHODS = ("prompt_tuning", "model_tuning")


def transferred(at_home, target, zero_shot):
    return result(at_home - 1, at_home, transfer={target: {**answers(zero_shot), "floor": FLOOR}})


def both_directions(method, seed):
    names = ("mini_boolq", "mini_boolq_b")
    return [config(seed, task__name=name, method=method) for name in names]


def made_of(folder, scores, num_seeds=3):
    """Runs of both methods and directions: at home and zero-shot, a point more every seed."""
    planned = [
        cfg for m in METHODS for seed in range(num_seeds) for cfg in both_directions(m, seed)
    ]
    for cfg in planned:
        at_home, zero_shot = (score + cfg["seed"] for score in scores[cfg["method"]])
        target = {"mini_boolq": "mini_boolq_b"}.get(cfg["task"]["name"], "mini_boolq")
        write_run(folder, cfg, transferred(at_home, target, zero_shot))
    return filled("table2_ladder", folder, *planned)


LEARNT = {"prompt_tuning": (90.0, 70.0), "model_tuning": (95.0, 60.0)}
AT_THE_FLOOR = {**LEARNT, "prompt_tuning": (50.0, 70.0)}


def test_zero_shot_stands_beside_in_domain_the_floor_and_training_on_the_target(tmp_path):
    """The claim compares the methods zero-shot, and beside it in domain."""
    made = made_of(tmp_path, LEARNT)
    found = row(made, "prompt_tuning", "ladder_400k", "mini_boolq", "mini_boolq_b")
    failed = "0 of 3 (0 to 56 %)"
    assert found == ["91.0 ± 1.0 (3)", failed, "71.0 ± 1.0 (3)", "52.5", "91.0 ± 1.0 (3)"]
    (judgement,) = judged(made.claims)
    claim = judgement.claim
    assert judgement.answer == Answer.SUPPORTED
    assert claim.tests[0].effect.value == 10.0
    assert "zero-shot, model by model: 400k +10.0." in claim.detail
    assert claim.detail.endswith("In domain, model by model: 400k -5.0.")
    assert claim.paper == "+1.4 (mean of 4 rows, T5 XXL)"


@pytest.mark.parametrize(
    ("scores", "num_seeds", "failed", "why"),
    [
        (AT_THE_FLOOR, 3, "3 of 3", "there is no task that both methods have learnt"),
        (LEARNT, 2, "0 of 2", FEW),
    ],
)
def test_what_was_not_learnt_at_home_or_has_few_seeds_makes_no_claim(
    tmp_path, scores, num_seeds, failed, why
):
    made = made_of(tmp_path, scores, num_seeds)
    shown = row(made, "prompt_tuning", "ladder_400k", "mini_boolq", "mini_boolq_b")[1]
    (found,) = judged(made.claims)
    assert shown.startswith(failed)
    assert (found.answer, found.claim.why_not) == (Answer.NOT_TESTABLE, why)


def test_runs_of_other_weights_are_not_averaged(tmp_path):
    planned = [config(seed, task__name="mini_boolq") for seed in range(3)]
    for cfg in planned:
        came_out = transferred(90.0, "mini_boolq_b", 70.0)
        write_run(tmp_path, cfg, came_out, fingerprint=f"f{cfg['seed'] // 2}")
    assert filled("table2_ladder", tmp_path, *planned).table.rows == []


def test_our_run_of_the_papers_model_gets_a_verdict(tmp_path):
    """On the dev set, which the paper reports; metric by metric."""
    model = {"model__name": "xxl", "task__name": "qqp"}
    planned = [config(seed, **model) for seed in range(3)]
    for cfg in planned:
        zero_shot = {**answers(0.0), "metrics": {"accuracy": 77.0, "f1": 60.0}, "floor": None}
        came_out = result(90.0, transfer={"mrpc": zero_shot})
        write_run(tmp_path, cfg, came_out)
    made = filled("table2", tmp_path, *planned)
    start = ("qqp", "mrpc", "prompt_tuning")
    assert row(made, *start, "accuracy")[1:] == ["77.00", "0.00", "3", "+0.70", "match"]
    assert row(made, *start, "f1")[1:] == ["60.00", "0.00", "3", "-24.30", "off"]
