"""Figure 3: prompt length (a), initialisation (b), pre-training objective (c), adaptation (d)."""

from dataclasses import replace
from itertools import pairwise

import pandas as pd

from prompt_tuning.report.artefact import LADDER
from prompt_tuning.report.claims import Claim, answer, differences, falls, gains
from prompt_tuning.report.scores import Asked, LadderScores, PaperScores


def length(means: pd.DataFrame) -> list[Claim]:
    """Positions help up to 20, and do no harm beyond."""
    up = gains("Are 20 positions better than one?", "20 minus 1", differences(means, "20", "1"))
    longest = max((series for series in means if int(series) > 20), key=int, default="")
    beyond = differences(means, longest, "20")
    on = gains("Do prompts of more than 20 positions score alike?", f"{longest} minus 20", beyond)
    level = {0: 1, 1: 0, -1: -1}  # for the claim: neither gain nor loss
    return [up, replace(on, answer=answer(level[value.sign] for value in beyond.values()))]


def initialisation(means: pd.DataFrame) -> list[Claim]:
    """It matters less with size."""
    ranges, best = {}, []
    for model, row in means.dropna().iterrows():
        ordered = sorted(means, key=lambda series: row[series].value)
        ranges[model] = row[ordered[-1]] - row[ordered[0]]
        best.append(f"{ordered[-1]} at {model}")
    question = "Does the initialisation matter less with size?"
    return [falls(question, f"Best minus worst ({', '.join(best)})", ranges)]


def objective(means: pd.DataFrame) -> list[Claim]:
    """An LM-adapted model takes prompts better."""
    return [
        gains(
            f"Do prompts do better on an LM-adapted model than after {other}?",
            "LM-adapted minus the other",
            differences(means, "lm_adapted", other),
        )
        for other in ("span_corruption", "span_corruption_sentinel")
    ]


def adaptation(means: pd.DataFrame) -> list[Claim]:
    """And the longer it was adapted, the better."""
    found = [
        gains(
            f"Are {after} steps of LM adaptation better than {before}?",
            f"{after} minus {before} steps",
            differences(means, after, before),
        )
        for before, after in pairwise(sorted(means, key=int))
    ]
    return found or [Claim("Are more steps of LM adaptation better?")]


def _panel(
    name: str, title: str, series: str, asked: Asked, *, note: str = "", remark: str = ""
) -> tuple[PaperScores, LadderScores]:
    """With the paper's models, and on the ladder, which the remark is about."""
    on_ladder = f"{name}_ladder"
    return (
        PaperScores(name, title, sweeps=((name,),), series=(series,), note=note),
        LadderScores(
            *(on_ladder, f"{title}, on the ladder", LADDER, ((on_ladder,),), (series,), remark),
            asked=asked,
        ),
    )


FIG3 = (
    *_panel(
        "fig3a",
        "Figure 3(a): prompt length",
        "prompt.length",
        length,
        remark="Prompts of 100 positions that solve the tasks exist here: training that starts "
        "from a trained prompt of 20, five times, ends at 99 to 100 on ladder_400k. From the "
        "figure's initialisations it stays at the majority class, at a third and three times the "
        "rate too, and in all but one of six runs of four times the steps (results/LOG.md).",
    ),
    *_panel("fig3b", "Figure 3(b): initialisation", "init.strategy", initialisation),
    *_panel("fig3c", "Figure 3(c): pre-training objective", "variant.name", objective),
    *_panel(
        "fig3d",
        "Figure 3(d): steps of LM adaptation",
        "variant.lm_adapt_steps",
        adaptation,
        note="The paper's deviations here are half of a band that is not symmetric.",
    ),
)
