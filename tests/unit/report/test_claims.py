"""Claims are answered by the rule: one test an effect, corrected together, in the page's words."""

import pytest
from made_records import config, filled, result, seeds, write_run, write_seeds

from prompt_tuning.report.claims import Claim, Evidence, judged
from prompt_tuning.report.page import page
from prompt_tuning.report.statistics import Answer, Effect

TUNED = {"method": "model_tuning", "prompt__length": None, "init__strategy": None}
ALIKE = "Do prompts of 150 positions score like those of 20?"
SIZES = {"ladder_100k": 120_000, "ladder_400k": 460_000, "ladder_1m": 1_300_000}


def answers(made):
    return {one.claim.question: one for one in judged(made.claims)}


def lengths(folder, scores):
    """Figure 3(a) on one model, from the scores of its seeds by length."""
    plan = []
    for length, of_seeds in scores.items():
        write_seeds(folder, of_seeds, prompt__length=length)
        plan += seeds(prompt__length=length)
    return filled("fig3a_ladder", folder, *plan)


def test_a_difference_has_its_welch_interval_and_the_papers_own_effect(tmp_path):
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
def test_alike_takes_evidence_and_not_its_absence(tmp_path, long, answer):
    found = answers(lengths(tmp_path, {20: [80.9, 81, 81.1], 150: long}))
    assert found[ALIKE].answer == answer
    unasked = found["Are 20 positions better than one?"]
    assert (unasked.answer, unasked.claim.tests) == (Answer.NOT_TESTABLE, ())


@pytest.mark.parametrize(
    ("tasks", "margin"), [(["mini_rte"], 5.0), (["mini_rte", "mini_wic"], 2.0)]
)
def test_one_task_alone_has_the_wider_margin_of_the_rule(tmp_path, tasks, margin):
    plan = []
    for task in tasks:
        for length in (20, 150):
            changes = {"task__name": task, "prompt__length": length}
            write_seeds(tmp_path, [80.0, 81.0, 82.0], **changes)
            plan += seeds(**changes)
    found = answers(filled("fig3a_ladder", tmp_path, *plan))[ALIKE]
    assert [test.margin for test in found.claim.tests] == [margin]


def test_two_seeds_answer_nothing(tmp_path):
    made = lengths(tmp_path, {1: [50, 51], 20: [80, 81], 150: [80, 81]})
    assert {one.answer for one in judged(made.claims)} == {Answer.NOT_TESTABLE}
    assert "Not testable here: fewer than 3 seeds" in str(made.claims[0])


def test_all_tests_of_a_page_are_corrected_together():
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


def test_every_test_of_a_claim_has_to_hold():
    up = Evidence("", Effect(9.0, 0.1, 100.0, 8.8, 9.2))
    unclear = Evidence("", Effect(0.1, 1.0, 100.0, -2.0, 2.2))
    down = Evidence("", Effect(-9.0, 0.1, 100.0, -9.2, -8.8))
    found = [judged([Claim("?", "", [up, other])])[0].answer for other in (up, unclear, down)]
    assert found == [Answer.SUPPORTED, Answer.INCONCLUSIVE, Answer.CONTRADICTED]


def gap(folder, gaps, prompt=70.0):
    """Figure 1 with model tuning ahead of prompts by so many points at each size.

    The smallest size has a task more.
    """
    plan = []
    for model, ahead in gaps.items():
        for changed, score in (({}, prompt), (TUNED, prompt + ahead)):
            for number in range(20 if model == "ladder_100k" else 10):
                task = ("mini_rte", "mini_wic")[number // 10]
                cfg = config(number % 10, model__name=model, task__name=task, **changed)
                run = write_run(folder, cfg, result(0.0, score + 0.1 * (number % 10 % 3)))
                text = (run / "record.json").read_text()
                (run / "record.json").write_text(text.replace("464192", str(SIZES[model])))
                plan.append(cfg)
    return filled("fig1_ladder_fresh", folder, *plan)


def test_a_gap_closes_if_it_falls_over_all_sizes_and_is_nothing_at_the_largest(tmp_path):
    names = [*SIZES]
    found, *_ = judged(gap(tmp_path / "a", dict(zip(names, (20.0, 10.0, 0.0), strict=True))).claims)
    assert found.claim.question.startswith("Does the gap between prompt tuning and tuning")
    assert (found.answer, found.claim.tasks) == (Answer.SUPPORTED, ["mini RTE"])
    slope, at_largest = found.claim.tests
    assert slope.effect.value == pytest.approx(-19.3, abs=0.1) and slope.sign == -1
    assert at_largest.effect.value == pytest.approx(0.0)
    made = gap(tmp_path / "b", dict(zip(names, (28.0, 18.0, 8.0), strict=True)))
    open_still, *_ = judged(made.claims)
    assert open_still.answer == Answer.CONTRADICTED


def test_sizes_at_the_floor_or_the_ceiling_carry_no_trend_and_the_page_leads_with_why(tmp_path):
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
    text = page([made])
    links = ("<script", "src=", "@import", "url(http", "<link", 'href="http')
    assert not [link for link in links if link in text]
    first_screen = " ".join(text.partition("<h2")[0].split())
    assert "close as the model grows? The paper says yes; our runs:" in first_screen
    assert "A trend needs 3 sizes, and 0 of 3 are usable (at 100k" in first_screen
    assert "Gap, tuning minus prompts, at 1m: +46.6 [+46.5, +46.7]." in first_screen


def test_a_figure_of_one_number_of_steps_says_nothing_of_their_second_half(tmp_path):
    """That of a sweep narrowed to it: not minus the score itself."""
    write_seeds(tmp_path, [80.0, 81.0, 82.0], variant__lm_adapt_steps=6000)
    made = filled("fig3d_ladder", tmp_path, *seeds(variant__lm_adapt_steps=6000))
    (claim,) = (claim for claim in made.claims if "second half" in claim.question)
    assert not claim.tests
