"""Figure 3: prompt length (a), initialisation (b), pre-training objective (c), adaptation (d)."""

from dataclasses import replace

from prompt_tuning.report.artefact import LADDER, ClaimMaker
from prompt_tuning.report.claims import (
    MARGIN,
    PROMPTS,
    TUNED,
    Claim,
    Papers,
    asked_of_sum,
    shrinks,
)
from prompt_tuning.report.grid import Grid
from prompt_tuning.report.names import human
from prompt_tuning.report.paper import NOTHING
from prompt_tuning.report.scores import CURVES, PAPERS_CURVES, LadderScores, PaperScores
from prompt_tuning.report.statistics import spread_beyond_chance

UNIFORM, VOCAB, LABELS = "random_uniform", "sampled_vocab", "class_label"


def length(grid: Grid, papers: Papers) -> list[Claim]:
    """Positions help up to 20, less so on larger models, and beyond 20 they change little."""
    gain, shown = {"20": 1, "1": -1}, "20 minus 1"
    more, beyond = "Do prompts of 150 positions score like those of 20?", {"150": 1, "20": -1}
    paper = papers.gap(*beyond, margin=MARGIN)
    found = [
        asked_of_sum("Are 20 positions better than one?", shown, grid, gain, papers.gap(*gain)),
        asked_of_sum(more, "150 minus 20", grid, beyond, paper, alike=True),
    ]
    if len(papers.sizes) > 1:
        question = "Is one position nearly enough on a larger model?"
        found.append(shrinks(question, shown, grid, gain, papers.trend(*gain)))
    return found


def initialisation(grid: Grid, papers: Papers) -> list[Claim]:
    """Random uniform is worst, class labels are best; and it matters less with size."""
    lead, what = {UNIFORM: -1, VOCAB: 0.5, LABELS: 0.5}, "The other two minus random uniform"
    worst, best = "Is random uniform the worst initialisation?", {LABELS: 1, VOCAB: -1}
    better = "Are class labels a better initialisation than sampled vocabulary?"
    in_paper = f"{papers.gap(LABELS, UNIFORM)}, class label"
    found = [
        asked_of_sum(worst, what, grid, lead, in_paper),
        asked_of_sum(better, "Class label minus sampled vocab", grid, best, papers.gap(*best)),
    ]
    if len(papers.sizes) > 1:
        question = "Does the initialisation matter less on a larger model?"
        made = shrinks(question, what, grid, lead, papers.trend(LABELS, UNIFORM))
        found.append(replace(made, detail=f"{made.detail} {spreads(grid)}"))
    return found


def spreads(grid: Grid) -> str:
    """Best minus worst arm of every size, less what equal arms would give by chance."""
    sentences = []
    for model in grid.models:
        arms = {
            series: {task: cell for (m, task), cell in grid.cells(series).items() if m == model}
            for series in grid.series
        }
        if len({frozenset(cells) for cells in arms.values()}) == 1 and all(arms.values()):
            seen, chance, p = spread_beyond_chance(arms)
            beyond = f"{seen - chance:+.1f} ({seen:.1f} less {chance:.1f}, p = {p:.2g})"
            sentences.append(f"{human(model)} {beyond}")
    return (
        f"Best minus worst, less that of equal ones by chance: {', '.join(sentences) or NOTHING}."
    )


def objective(grid: Grid, papers: Papers) -> list[Claim]:
    """LM adaptation is what prompts need, more than tuned models do; a sentinel is no remedy."""
    plain, tuned = "prompt_tuning, span_corruption", "model_tuning, span_corruption"
    given = ("span_corruption_sentinel", "span_corruption")
    return [
        asked_of_sum(
            "Do prompts gain more from LM adaptation than model tuning does?",
            "Extra gain of prompts",
            grid,
            {PROMPTS: 1, plain: -1, TUNED: -1, tuned: 1},
            f"{papers.gap('lm_adapted', 'span_corruption')}, prompts alone",
        ),
        asked_of_sum(
            "Is a sentinel before the targets of little use to prompts on an unadapted model?",
            "With sentinel minus without",
            grid,
            {f"{plain}_sentinel": 1, plain: -1},
            papers.gap(*given, margin=MARGIN),
            alike=True,
        ),
    ]


def adaptation(grid: Grid, papers: Papers) -> list[Claim]:
    """The longer a model was adapted, the better; what adaptation itself gives is figure 3(c)'s."""
    steps = sorted((series for series in grid.series if series.isdigit()), key=int)
    last, half = [*dict.fromkeys((*steps[:-3:-1], "6000", "3000"))][:2]
    question = "Does LM adaptation still help in the second half of its steps?"
    what, paper = f"{int(last):,} minus {int(half):,} steps", papers.gap("100000", "50000")
    return [asked_of_sum(question, what, grid, {last: 1, half: -1}, paper)]


CONFOUNDED = (
    "On the ladder LM adaptation comes after span corruption, on as many tokens more of the same "
    "world's text (see the ladder's models), and it is there that models learn to judge: prompts "
    "gain from more than the objective."
)


def _panel(
    name: str,
    title: str,
    series: str,
    make_claims: ClaimMaker,
    to_see: str,
    *,
    note: str = "",
    remark: str = "",
    ladder_series: tuple[str, ...] = (),
    also: tuple[tuple[str, ...], ...] = (),
) -> tuple[PaperScores, LadderScores]:
    """A panel with the paper's models, and one on the ladder, which the remark is about.

    `to_see` is what the paper's figure shows: what to look for.
    """
    on_ladder = f"{name}_ladder"
    return (
        PaperScores(
            name,
            title,
            sweeps=((name,),),
            series=(series,),
            note=note,
            caption=f"To see: {to_see}. {PAPERS_CURVES}",
        ),
        LadderScores(
            on_ladder,
            f"{title}, on the ladder",
            LADDER,
            ((on_ladder,), *also),
            ladder_series or (series,),
            remark,
            make_claims=make_claims,
            orientation=name,
            caption=f"To look for, as in the paper: {to_see}. {CURVES}",
        ),
    )


FIG3 = (
    *_panel(
        "fig3a",
        "Figure 3(a): prompt length",
        "prompt.length",
        length,
        "twenty positions are enough, more change little, and one is nearly enough for the largest",
    ),
    *_panel(
        "fig3b",
        "Figure 3(b): initialisation",
        "init.strategy",
        initialisation,
        "random uniform lies below the other two, and all three meet as the model grows",
    ),
    *_panel(
        "fig3c",
        "Figure 3(c): pre-training objective",
        "variant.name",
        objective,
        "LM adaptation lies far above the others, but for the largest model",
        remark=f"{CONFOUNDED} What is judged is therefore the interaction: how much more prompts "
        "gain than model tuning of the same weights. One size has an arm with as many tokens of "
        "the same text under span corruption (results/LOG.md, 2026-11-27): prompts stay behind.",
        ladder_series=("method", "variant.name"),
        also=(("fig1_ladder_model_tuning",),),
    ),
    *_panel(
        "fig3d",
        "Figure 3(d): steps of LM adaptation",
        "variant.lm_adapt_steps",
        adaptation,
        "the more steps of adaptation, the higher the curve; the largest model does best without",
        note="The paper's deviations here are half of a band that is not symmetric.",
        remark=f"{CONFOUNDED} Only steps of the adaptation itself are compared.",
    ),
)
