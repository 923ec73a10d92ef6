"""Claims are answered by the rule: one test an effect, corrected together, in the page's words."""

import re
from pathlib import Path
from typing import Any

import pytest
from made_records import config, filled, result, seeds, write_run, write_seeds

from prompt_tuning.report.artefact import Artefact
from prompt_tuning.report.claims import Claim, Evidence, Judged, Papers, judged
from prompt_tuning.report.page import page
from prompt_tuning.report.parameter_counts import FIG4, TABLE4
from prompt_tuning.report.statistics import Answer, Effect

TUNED = {"method": "model_tuning", "prompt__length": None, "init__strategy": None}
ALIKE = "Do prompts of 150 positions score like those of 20?"
SIZES = {"ladder_100k": 120_000, "ladder_400k": 460_000, "ladder_1m": 1_300_000}


def answers(made: Artefact) -> dict[str, Judged]:
    return {one.claim.question: one for one in judged(made.claims)}


def lengths(folder: Path, scores: dict[int, list[float]]) -> Artefact:
    """Figure 3(a) on one model, from the scores of its seeds by length."""
    plan = []
    for length, of_seeds in scores.items():
        write_seeds(folder, of_seeds, prompt__length=length)
        plan += seeds(prompt__length=length)
    return filled("fig3a_ladder", folder, *plan)


def test_a_difference_has_its_welch_interval_and_the_papers_own_effect(tmp_path: Path) -> None:
    """Means 81 and 51, variances 1: an error of sqrt(2 / 3), 4 degrees of freedom, t = 2.776."""
    made = lengths(tmp_path, {1: [50, 51, 52], 20: [80, 81, 82]})
    (found, *_) = judged(made.claims)
    assert found.answer == Answer.SUPPORTED
    (test,) = found.claim.tests
    assert str(test.effect) == "+30.0 [+27.7, +32.3]"
    assert found.claim.paper == "+15.7 (mean of 5 sizes)"
    marked = "model by model: 400k +30.0 (most runs fail to learn: with 1)."
    assert marked in found.claim.detail
    assert (found.claim.on, found.claim.tasks) == ("mini RTE", ["mini RTE"])


@pytest.mark.parametrize(
    ("long", "answer"),
    [
        ([80.1, 81, 81.9], Answer.SUPPORTED),  # and their spread allows to say so
        ([70, 81, 92], Answer.INCONCLUSIVE),
        ([50, 51, 52], Answer.CONTRADICTED),
    ],
)
def test_alike_takes_evidence_and_not_its_absence(
    tmp_path: Path, long: list[float], answer: Answer
) -> None:
    found = answers(lengths(tmp_path, {20: [80.9, 81, 81.1], 150: long}))
    assert found[ALIKE].answer == answer
    unasked = found["Are 20 positions better than one?"]
    assert (unasked.answer, unasked.claim.tests) == (Answer.NOT_TESTABLE, ())


@pytest.mark.parametrize(
    ("tasks", "margin"), [(["mini_rte"], 5.0), (["mini_rte", "mini_wic"], 2.0)]
)
def test_one_task_alone_has_the_wider_margin_of_the_rule(
    tmp_path: Path, tasks: list[str], margin: float
) -> None:
    plan: list[dict[str, Any]] = []
    for task in tasks:
        for length in (20, 150):
            changes = {"task__name": task, "prompt__length": length}
            write_seeds(tmp_path, [80.0, 81.0, 82.0], **changes)
            plan += seeds(**changes)
    found = answers(filled("fig3a_ladder", tmp_path, *plan))[ALIKE]
    assert [test.margin for test in found.claim.tests] == [margin]


def test_two_seeds_answer_nothing(tmp_path: Path) -> None:
    made = lengths(tmp_path, {1: [50, 51], 20: [80, 81], 150: [80, 81]})
    assert {one.answer for one in judged(made.claims)} == {Answer.NOT_TESTABLE}
    assert "Not testable here: fewer than 3 seeds" in str(made.claims[0])


def test_all_tests_of_a_page_are_corrected_together() -> None:
    """Alone p = .03 is significant; beside another one Holm asks for twice as much.

    What is counted has no test, and is not corrected with those that are tested.
    """
    small = Claim("?", "", [Evidence("", Effect(1.0, 0.4, 1000.0, 0.2, 1.8))])  # p = .0126
    medium = Claim("?", "", [Evidence("", Effect(1.0, 0.46, 1000.0, 0.1, 1.9))])  # p = .030
    yes, no, alone = judged([Claim("?", "", counted=True), Claim("?", "", counted=False), medium])
    found = [yes.answer, no.answer, alone.answer]
    assert found == [Answer.SUPPORTED, Answer.CONTRADICTED, Answer.SUPPORTED]
    one, two = judged([medium, medium])
    assert one.answer == two.answer == Answer.INCONCLUSIVE
    assert one.p_values == [pytest.approx(2 * medium.tests[0].p)] == [2 * alone.p_values[0]]
    assert [each.answer for each in judged([small, medium])] == [Answer.SUPPORTED] * 2


def test_every_test_of_a_claim_has_to_hold() -> None:
    up = Evidence("", Effect(9.0, 0.1, 100.0, 8.8, 9.2))
    unclear = Evidence("", Effect(0.1, 1.0, 100.0, -2.0, 2.2))
    down = Evidence("", Effect(-9.0, 0.1, 100.0, -9.2, -8.8))
    found = [judged([Claim("?", "", [up, other])])[0].answer for other in (up, unclear, down)]
    assert found == [Answer.SUPPORTED, Answer.INCONCLUSIVE, Answer.CONTRADICTED]


def gap(folder: Path, gaps: dict[str, float], prompt: float = 70.0) -> Artefact:
    """Figure 1 with model tuning ahead of prompts by so many points at each size."""
    plan: list[dict[str, Any]] = []
    for model, ahead in gaps.items():
        for changed, score in (({}, prompt), (TUNED, prompt + ahead)):
            changes = {"model__name": model, **changed}
            for seed in range(10):
                run = write_run(
                    folder, config(seed, **changes), result(0.0, score + 0.1 * (seed % 3))
                )
                text = (run / "record.json").read_text()
                (run / "record.json").write_text(text.replace("464192", str(SIZES[model])))
                plan.append(config(seed, **changes))
    return filled("fig1_ladder_fresh", folder, *plan)


def test_a_gap_closes_if_it_falls_over_all_sizes_and_is_nothing_at_the_largest(
    tmp_path: Path,
) -> None:
    names = [*SIZES]
    found, *_ = judged(gap(tmp_path / "a", dict(zip(names, (20.0, 10.0, 0.0), strict=True))).claims)
    assert found.claim.question.startswith("Does the gap between prompt tuning and tuning")
    assert found.answer == Answer.SUPPORTED
    slope, at_largest = found.claim.tests
    assert slope.effect.value == pytest.approx(-19.3, abs=0.1) and slope.sign == -1
    assert at_largest.effect.value == pytest.approx(0.0)
    made = gap(tmp_path / "b", dict(zip(names, (28.0, 18.0, 8.0), strict=True)))
    open_still, *_ = judged(made.claims)
    assert open_still.answer == Answer.CONTRADICTED


def test_sizes_at_the_floor_or_the_ceiling_carry_no_trend_and_the_page_leads_with_why(
    tmp_path: Path,
) -> None:
    """The floor of made records is 52.5: 54 is guessing. Without a trend there is still a gap."""
    gaps = dict(zip(SIZES, (1.0, 30.0, 46.6), strict=True))
    made = gap(tmp_path, gaps, prompt=53.0)
    found, *_ = judged(made.claims)
    assert found.answer == Answer.NOT_TESTABLE
    assert found.claim.why_not == (
        "a trend needs 3 sizes, and 0 of 3 are usable (at 100k most runs fail to learn: model "
        "tuning and prompt tuning; at 400k most runs fail to learn: prompt tuning; at 1m scores "
        "are above 99 %: model tuning, most runs fail to learn: prompt tuning)"
    )
    assert found.claim.detail.endswith("Gap, tuning minus prompts, at 1m: +46.6 [+46.5, +46.7].")
    first_screen = " ".join(page([made]).partition("<h2")[0].split())
    assert "close as the model grows? The paper says yes; our runs:" in first_screen
    assert "A trend needs 3 sizes, and 0 of 3 are usable (at 100k" in first_screen
    assert "Gap, tuning minus prompts, at 1m: +46.6 [+46.5, +46.7]." in first_screen


def test_what_lm_adaptation_gives_prompts_beyond_model_tuning(tmp_path: Path) -> None:
    """The interaction (80 - 55) - (90 - 75) = 10."""
    plan = []
    for method, variant, score in (
        ({}, "lm_adapted", 80.0),
        ({}, "span_corruption", 55.0),
        (TUNED, "lm_adapted", 90.0),
        (TUNED, "span_corruption", 75.0),
    ):
        changes = {**method, "variant__name": variant}
        write_seeds(tmp_path, [score - 1, score, score + 1], **changes)
        plan += seeds(**changes)
    found = answers(filled("fig3c_ladder", tmp_path, *plan))
    extra = found["Do prompts gain more from LM adaptation than model tuning does?"]
    assert extra.claim.tests[0].effect.value == pytest.approx(10.0)
    assert extra.answer == Answer.SUPPORTED


def test_a_figure_of_one_number_of_steps_says_nothing_of_their_second_half(tmp_path: Path) -> None:
    """That of a sweep narrowed to it: not minus the score itself."""
    write_seeds(tmp_path, [80.0, 81.0, 82.0], variant__lm_adapt_steps=6000)
    made = filled("fig3d_ladder", tmp_path, *seeds(variant__lm_adapt_steps=6000))
    (claim,) = (claim for claim in made.claims if "second half" in claim.question)
    assert not claim.tests


def test_the_spread_of_initialisations_stands_beside_its_own_null(tmp_path: Path) -> None:
    """Equal arms spread too: a best minus worst means nothing by itself."""
    plan, scores = [], {"random_uniform": 60.0, "sampled_vocab": 60.0, "class_label": 60.0}
    for init, score in scores.items():
        plan += seeds(init__strategy=init)
        for seed, cfg in enumerate(plan[-3:]):
            write_run(tmp_path, cfg, result(0.0, score + 5 * seed), name=f"{init}-{seed}")
    made = filled("fig3b_ladder", tmp_path, *plan)
    (trend,) = (claim for claim in made.claims if "matter less" in claim.question)
    assert re.search(r"400k -(.*) \(0.0 less \1, p = 1\)", trend.detail), trend.detail
    assert judged(made.claims)[0].answer == Answer.INCONCLUSIVE


def test_the_control_is_no_claim_and_seeds_0_to_2_of_figure_1_judge_nothing(
    tmp_path: Path,
) -> None:
    write_seeds(tmp_path, [80.0, 81.0, 82.0])
    for name in ("control_ladder", "fig1_ladder", "gate_flan", "control_flan", "fig3a", "table1"):
        assert filled(name, tmp_path, *seeds()).claims == []


def test_the_papers_effects_are_those_of_its_points() -> None:
    """Figure 1's gap is 62.84 - 58.54 at Small and 89.94 - 89.98 at XXL.

    A sentence of the paper may be contradicted by its own figure: the sentinel's is.
    """
    assert Papers("fig1", ("small",)).gap("model_tuning", "prompt_tuning") == "+4.3 (T5 Small)"
    assert Papers("fig1").trend("model_tuning", "prompt_tuning").endswith("; -0.0 at XXL")
    papers, gap = Papers("fig3c"), "+5.6 (mean of 5 sizes)"
    given = ("span_corruption_sentinel", "span_corruption")
    assert papers.gap(*given, margin=2.0) == f"{gap}, its own effect beyond 2 points too"
    assert papers.gap(*given, margin=6.0) == papers.gap(*given) == gap


OLDER = "rest on runs, or on seeds, that were made before it"
WHOLLY = "1 of the 1 answers by a test rest wholly on runs made after the rule"


@pytest.mark.parametrize(
    ("first_seed", "num_older", "sentence", "seeds_cell"),
    [
        (3, 6, f"1 {OLDER}:", "3 to 5, seen before the rule"),
        (3, 1, f"0 {OLDER}, 1 partly:", "3 to 5, 17 % of runs seen before the rule"),
        (3, 0, WHOLLY, "3 to 5</td>"),
        (0, 0, f"1 {OLDER}:", "0 to 2, seen before the rule"),
    ],
)
def test_the_page_says_which_answers_rest_on_runs_older_than_the_rule(
    tmp_path: Path, first_seed: int, num_older: int, sentence: str, seeds_cell: str
) -> None:
    """Whoever wrote the rule could have seen such a run, or a seed of the ladder's first ones.

    A seed that was seen is no fresh one when it is run again.
    """
    plan = [*seeds(prompt__length=1), *seeds(prompt__length=20)]
    for number, cfg in enumerate(plan):
        cfg["seed"] += first_seed
        score = {1: 51, 20: 81}[cfg["prompt"]["length"]] + cfg["seed"]
        second = "03" if number < num_older else "04"
        ended = {"finished_at": f"2026-11-25T18:39:{second}+00:00"}
        write_run(tmp_path, cfg, result(score, score), **ended)
    text = " ".join(page([filled("fig3a_ladder", tmp_path, *plan)]).split())
    assert sentence in text and ("1 partly:" in text) == (num_older == 1)
    assert seeds_cell in text


def test_the_papers_sentences_on_parameters_are_counted() -> None:
    (claim,) = FIG4.claims
    assert claim.counted and "Large 0.0131 %, XL 0.0072 %, XXL 0.0037 %." in claim.detail
    (claim,) = TABLE4.claims
    assert claim.counted and "Small 20.07 %" in claim.detail
