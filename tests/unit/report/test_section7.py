"""Section 7 on the ladder: inspections are found by their runs; sentences follow the numbers."""

import pytest
from made_records import config as any_config
from made_records import filled, library_of, result, row, write_record, write_run

from prompt_tuning.report.artefact import write
from prompt_tuning.report.claims import judged
from prompt_tuning.report.statistics import Answer

NAME = "section7_ladder"


def config(seed=0, *, init="class_label", length=20, task="mini_rte"):
    changed = {"init__strategy": init, "prompt__length": length, "task__name": task}
    return any_config(seed, output_dir="elsewhere", **changed)


def inspected(folder, cfg, trained, name="", **changed):
    """A record about one run: what its prompt measures, and what stands beside it."""
    init = changed.get("init", {"tightness": 0.3, "rows_sharing": 0.5})
    random = {"tightness": 0.1, "rows_sharing": 0.2, "domain_share": 0.1}
    member = {"config": cfg, "seed": cfg["seed"], "score": 75.0}
    write_record(
        folder / (name or f"inspect-{cfg['task']['name']}-{len([*folder.glob('*')])}"),
        "inspect",
        {"model": cfg["model"], "top_k": changed.get("top_k", 5), "control_tokens": False},
        {
            "measures": {"prompt": trained, "init": init, "random": random},
            "norms": {"ratio": 2.0},
            "drift": None if init is None else {"mean_cosine": 0.8},
            "domain": {"vocabulary_share": 0.15},
            "shared_stems": 0.02,
        },
        members=[member] if changed.get("is_member", True) else [],
        model={"fingerprint": "f0"},
    )


TIGHTNESS = ("tightness: cosine between the neighbours of a row", "class_label, 20", "ladder_400k")


def test_a_record_about_runs_is_found_by_exactly_those_runs(tmp_path):
    """Whatever the folder is called, and wherever the runs lay.

    With other settings it is not the report's: who looks at ten neighbours can still report.
    """
    inspected(tmp_path, config(1), {"tightness": 0.5}, name="a", top_k=10)
    inspected(tmp_path, config(1), {"tightness": 0.4}, name="anything")
    inspected(tmp_path, config(2), {"tightness": 0.4}, is_member=False)  # of a foreign file
    library = library_of(tmp_path)
    found = library.find("inspect", [config(1) | {"output_dir": "moved"}], top_k=5)
    assert found is not None and found.name == "anything"
    assert filled(NAME, tmp_path, config(1)).records == [found]
    for other in ([config(0)], [config(2)], [config(1), config(0)], [config(1, length=100)], []):
        assert library.find("inspect", other) is None
    assert library.find("ensemble", [config(1)]) is None


def test_a_number_is_the_mean_over_tasks_of_seeds_that_have_them_all(tmp_path):
    planned = [config(seed, task=task) for seed in range(3) for task in ("mini_rte", "mini_sst2")]
    for value, cfg in zip((0.4, 0.6, 0.6, 0.8, 0.9), planned, strict=False):  # seed 2 lacks a task
        inspected(tmp_path, cfg, {"tightness": value})
    made = filled(NAME, tmp_path, *planned)
    trained, before, random, count = row(made, *TIGHTNESS)
    assert (trained, before, random) == ("0.600 ± 0.141†", "0.300 ± 0.000†", "0.100 ± 0.000†")
    assert count == "2"
    score = row(made, "score of the prompts, percent", "class_label, 20", "ladder_400k")
    assert score == ["75.000 ± 0.000†", "-", "-", "2"]
    assert (len(made.grid.planned), len(made.records)) == (6, 5)
    assert "class_label, 20 on ladder_400k: mini_sst2, seed 2" in made.markdown


def test_what_a_record_does_not_have_is_a_dash(tmp_path):
    """A prompt file from before inits were kept has nothing to say about drift."""
    planned = [config(seed) for seed in range(3)]
    for cfg in planned:
        inspected(tmp_path, cfg, {"tightness": 0.4}, init=None)
    made = filled(NAME, tmp_path, *planned)
    assert row(made, *TIGHTNESS) == ["0.400 ± 0.000", "-", "0.100 ± 0.000", "3"]
    assert not any("cosine to the row before" in line[0] for line in made.table.rows)


def trained(folder, cfg, score=75.0):
    """The run that made the prompt, with its score; the floor of made records is 52.5."""
    name = f"run-{len([*folder.glob('run-*')])}"
    write_run(folder, cfg, result(score, score), name=name)


def claim(made, start):
    (found,) = [one for one in judged(made.claims) if one.claim.question.startswith(start)]
    return found


def test_claims_compare_each_prompt_with_itself_before_training(tmp_path):
    """Tighter than random vectors and looser than before: the clusters are the init's."""
    planned = [config(seed, length=length) for seed in range(3) for length in (20, 100)]
    for i, cfg in enumerate(planned):
        trained(tmp_path, cfg)
        shared = {"rows_sharing": 0.9 + 0.01 * (i // 2), "distinct": 0.4}
        inspected(tmp_path, cfg, {"tightness": 0.2 + 0.01 * (i // 2), **shared})
    made = filled(NAME, tmp_path, *planned)
    tight = claim(made, "Does training make the neighbours")
    assert tight.answer == Answer.CONTRADICTED
    assert tight.claim.tests[0].effect.value == pytest.approx(-9.0)
    assert tight.claim.detail.endswith("Minus random vectors, the mean over prompts: +11.0.")
    assert claim(made, "Do rows come to share").answer == Answer.SUPPORTED
    assert claim(made, "Without class labels").answer == Answer.NOT_TESTABLE


def test_prompts_that_have_not_learnt_their_task_say_nothing(tmp_path):
    planned = [config(seed) for seed in range(3)]
    for cfg in planned:
        trained(tmp_path, cfg, 55.0)
        inspected(tmp_path, cfg, {"tightness": 0.9})
    made = filled(NAME, tmp_path, *planned)
    assert {found.answer for found in judged(made.claims)} == {Answer.NOT_TESTABLE}


def test_without_inspections_nothing_is_claimed(tmp_path):
    made = filled(NAME, tmp_path, config(0), config(1))
    assert {found.answer for found in judged(made.claims)} == {Answer.NOT_TESTABLE}
    assert made.table.rows == []
    write([made], tmp_path / "out")
    assert "not measured" in (tmp_path / "out" / "figures" / f"{NAME}.svg").read_text()
