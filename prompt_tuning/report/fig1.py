"""Figure 1: prompt tuning against model tuning, the multi-task baseline and prompt design."""

import pandas as pd

from prompt_tuning.report.artefact import LADDER
from prompt_tuning.report.claims import PROMPTS, Claim, differences, falls, gains
from prompt_tuning.report.paper import QUOTED
from prompt_tuning.report.scores import LadderScores, PaperScores

TITLE = "Figure 1: prompt tuning against model tuning"


def methods(means: pd.DataFrame) -> list[Claim]:
    """Every baseline beside prompts: the gap to the tuned ones, the lead over prompt design."""
    tuned = [s for s in means if s.startswith(("model_tuning", "multitask_model_tuning"))]
    found = [
        falls(
            f"Does the gap to {series} close with size?",
            "Model tuning minus prompt tuning",
            differences(means, series, PROMPTS),
        )
        for series in tuned
    ]
    found += [
        gains(
            f"Are prompts better than {series}?",
            "Prompt tuning minus prompt design",
            differences(means, PROMPTS, series),
        )
        for series in means
        if series.startswith("prompt_design")
    ]
    return found or [Claim("Does the gap to model tuning close with size?")]


FIG1 = PaperScores(
    "fig1",
    TITLE,
    sweeps=(("fig1",), ("fig1_multitask",), ("fig1_prompt_design",)),
    series=("method",),
    note=f"{', '.join(QUOTED)} is what the paper quotes of GPT-3: it has no verdict.",
)
FIG1_LADDER = LadderScores(
    "fig1_ladder",
    f"{TITLE}, on the ladder",
    LADDER,
    (
        ("fig1_ladder",),
        ("fig1_ladder_model_tuning",),
        ("fig1_ladder_multitask",),
        ("fig1_ladder_prompt_design",),
        ("fig1_ladder_prompt_design_ranked",),
    ),
    ("method", "variant.name", "evaluation.rank"),
    "The ladder's models judge claims only after LM adaptation, whose text asks for it: model "
    "tuning from span corruption, the paper's baseline, has to learn that from the task alone.",
    asked=methods,
)
