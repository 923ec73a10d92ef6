"""Figure 1: prompt tuning against model tuning, the multi-task baseline and prompt design."""

from prompt_tuning.report.artefact import LADDER, MINI_SQUAD
from prompt_tuning.report.claims import (
    PROMPTS,
    TUNED,
    Claim,
    Papers,
    asked_of,
    asked_of_sum,
    closes,
)
from prompt_tuning.report.grid import Grid
from prompt_tuning.report.paper import published_scores
from prompt_tuning.report.scores import CURVES, PAPERS_CURVES, LadderScores, PaperScores

GAP_CLOSES = "Does the gap between prompt tuning and {} close as the model grows?"
MAIN_QUESTION = GAP_CLOSES.format("tuning all weights of the same model")
TITLE = "Figure 1: prompt tuning against model tuning"
FRESH_SEEDS = "seed=3,4,5,6,7,8,9,10,11,12"
CLASSES = "task=mini_sst2,mini_boolq,mini_rte,mini_wic,mini_copa"
RANKED, MULTITASK = "prompt_design, lm_adapted, labels", "multitask_model_tuning, lm_adapted"


def methods(grid: Grid, papers: Papers) -> list[Claim]:
    """Every baseline beside prompts: the gap to the tuned ones, the lead over prompt design."""
    to_multitask = papers.trend("multitask_model_tuning", "prompt_tuning")
    points = published_scores("fig1")
    at_175b = points["gpt3_few_shot", "gpt3_175B"].mean
    far = points["prompt_tuning", "large"].mean - at_175b
    several = GAP_CLOSES.format("tuning all weights on all tasks at once")
    lead, design = "Prompt minus prompt design", grid.cells(RANKED)
    prompts = grid.cells(PROMPTS)
    small, large = (grid.models[0], grid.models[-1]) if grid.models else ("", "")
    across = {
        (small, task): [(1, cell), (-1, design[large, task])]
        for (model, task), cell in prompts.items()
        if model == small and (large, task) in design
    }
    return [
        closes(MAIN_QUESTION, grid, TUNED, PROMPTS, papers.trend("model_tuning", "prompt_tuning")),
        closes(several, grid, MULTITASK, PROMPTS, to_multitask),
        asked_of_sum(
            "Are prompts better than prompt design on the same model?",
            lead,
            grid,
            {PROMPTS: 1, RANKED: -1},
            f"{points['prompt_tuning', 'xxl'].mean - at_175b:+.1f} (T5 XXL, GPT-3 175B)",
        ),
        asked_of(
            "Is a prompt on a small model better than prompt design on a far larger one?",
            f"{lead}, smallest against largest",
            across,
            f"{far:+.1f} (T5 Large, GPT-3 175B)",
        ),
    ]


FIG1 = PaperScores(
    "fig1",
    TITLE,
    sweeps=(("fig1",), ("fig1_model_tuning",), ("fig1_multitask",), ("fig1_prompt_design",)),
    series=("method",),
    note="GPT-3's curve is what the paper quotes of Brown et al. (2020): it has no verdict.",
    caption="To see: prompt tuning meets model tuning at the right, as the model grows, and prompt "
    f"design stays far below. {PAPERS_CURVES}",
)
ADAPTED = (
    "The ladder's models judge claims only after LM adaptation, whose text asks for it: model "
    "tuning from span corruption, the paper's baseline, has to learn that from the task alone."
)
SERIES = ("method", "variant.name", "evaluation.rank")
FIG1_LADDER = LadderScores(
    "fig1_ladder",
    "Figure 1 on the ladder, three formats of six, seeds 0 to 2: prompts against model tuning",
    LADDER,
    (
        ("fig1_ladder",),
        ("fig1_ladder_model_tuning",),
        ("fig1_ladder_multitask",),
        ("fig1_ladder_prompt_design",),
        ("fig1_ladder_prompt_design_ranked",),
    ),
    SERIES,
    "The recipe was tuned while these seeds were seen, on formats that prompts of ladder_400k "
    "solve: they flatter prompts, and judge nothing. Left out are mini_wic, mini_copa and "
    f"mini_squad; the control has them, on ladder_400k. {ADAPTED}",
    caption="To see: on these formats and seeds, on which the recipe was tuned, prompts come close "
    f"to model tuning; the next figure takes that back. {CURVES}",
)
FIG1_LADDER_FRESH = LadderScores(
    "fig1_ladder_fresh",
    "Figure 1 on the ladder, six formats, fresh seeds 3 to 12: prompts against model tuning",
    LADDER,
    (
        ("fig1_ladder_fresh",),
        ("fig1_ladder_fresh", *MINI_SQUAD),
        ("fig1_ladder_fresh_model_tuning",),
        ("fig1_ladder_multitask", FRESH_SEEDS),
        ("fig1_ladder_prompt_design_ranked", CLASSES, FRESH_SEEDS),
    ),
    SERIES,
    "120 of the 720 runs were seen before the rule: prompts of three sizes on mini_sst2, "
    f"mini_boolq, mini_rte and mini_squad, run for table 3. {ADAPTED} Multi-task tuning and ranked "
    "labels leave out mini_squad, which has no classes.",
    make_claims=methods,
    orientation="fig1",
    caption="To see: whether prompt tuning comes nearer to model tuning from left to right, and "
    f"how wide its runs scatter. {CURVES}",
)
