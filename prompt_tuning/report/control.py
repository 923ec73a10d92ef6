"""The ladder's control, which the paper has not: frozen models with random weights."""

import pandas as pd

from prompt_tuning.report.artefact import LADDER, SQUAD
from prompt_tuning.report.claims import PROMPTS, Claim, differences, gains
from prompt_tuning.report.scores import LadderScores


def control(means: pd.DataFrame) -> list[Claim]:
    """A prompt draws on what pre-training put into the weights."""
    values = differences(means, PROMPTS, "prompt_tuning, random_weights")
    question = "Does a prompt draw on pre-training?"
    return [gains(question, "LM-adapted minus random weights", values)]


CONTROL_LADDER = LadderScores(
    "control_ladder",
    "Control: does a prompt draw on what the ladder's pre-training put into the weights?",
    LADDER,
    (
        ("control_ladder",),
        ("control_ladder", *SQUAD),
        ("control_ladder_model_tuning",),
        ("control_ladder_model_tuning", SQUAD[0]),
    ),
    ("method", "variant.name"),
    asked=control,
)
