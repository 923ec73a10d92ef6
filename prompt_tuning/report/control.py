"""The ladder's control, which the paper has not: frozen models with random weights."""

from prompt_tuning.report.artefact import LADDER, SQUAD
from prompt_tuning.report.scores import LadderScores

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
    "No claim of the paper.",
)
