"""What `ptune report` can show: artefacts of the paper, and its questions asked of the ladder."""

from dataclasses import dataclass

from prompt_tuning.errors import UserError, did_you_mean

PAPER, LADDER, COUNTS, TIMES, MODELS = "paper", "ladder", "counts", "times", "models"
TRANSFER = "transfer"
INSPECTIONS = "inspections"  # of prompts among the vocabulary
ENSEMBLES = "ensembles"
SQUAD = ("task=mini_squad", "init=sampled_vocab")  # its answers are free text: no class labels


@dataclass(frozen=True)
class Artefact:
    """A figure or table, the experiments whose runs fill it, and what makes its curves."""

    name: str
    title: str
    kind: str  # which code shows it; paper: SuperGLUE scores, ladder: the mini tasks' scores, ...
    sweeps: tuple[tuple[str, ...], ...] = ()  # an experiment and overrides each
    series: tuple[str, ...] = ()  # keys of the config
    remark: str = ""  # what to know before its numbers are compared with the paper's

    @property
    def on_ladder(self) -> bool:
        """Whether its models are this project's own, and nothing published compares with them."""
        return self.name.endswith("_ladder")

    @property
    def place(self) -> str:
        """Where a report has it: parameter counts, times, on the ladder, on the paper's models."""
        if self.kind in (COUNTS, TIMES):
            return self.kind
        return LADDER if self.on_ladder or self.kind == MODELS else PAPER

    @property
    def experiments(self) -> tuple[str, ...]:
        """The files of conf/experiment that fill it; those to come may not exist yet."""
        return tuple(dict.fromkeys(sweep[0] for sweep in self.sweeps))


def _figure(name: str, title: str, *series: str, remark: str = "") -> tuple[Artefact, Artefact]:
    """A panel of figure 3: with the paper's models, and on the ladder, of which the remark is."""
    ladder = f"{name}_ladder"
    return (
        Artefact(name, title, PAPER, ((name,),), series),
        Artefact(ladder, f"{title}, on the ladder", LADDER, ((ladder,),), series, remark),
    )


def _transfer(name: str, title: str, *sweeps: str) -> Artefact:
    """A table of section 5."""
    return Artefact(name, title, TRANSFER, tuple((sweep,) for sweep in sweeps), ("method",))


ARTEFACTS = (
    Artefact(
        "fig1",
        "Figure 1: prompt tuning against model tuning",
        PAPER,
        (("fig1",), ("fig1_multitask",), ("fig1_prompt_design",)),
        ("method",),
    ),
    Artefact(
        "fig1_ladder",
        "Figure 1: prompt tuning against model tuning, on the ladder",
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
    ),
    *_figure(
        "fig3a",
        "Figure 3(a): prompt length",
        "prompt.length",
        remark="Prompts of 100 positions that solve the tasks exist here: training that starts "
        "from a trained prompt of 20, five times, ends at 99 to 100 on ladder_400k. From the "
        "figure's initialisations it stays at the majority class, at a third and three times the "
        "rate too, and in all but one of six runs of four times the steps (results/LOG.md).",
    ),
    *_figure("fig3b", "Figure 3(b): initialisation", "init.strategy"),
    *_figure("fig3c", "Figure 3(c): pre-training objective", "variant.name"),
    *_figure("fig3d", "Figure 3(d): steps of LM adaptation", "variant.lm_adapt_steps"),
    _transfer(
        "table1",
        "Table 1: zero-shot transfer of question answering",
        "table1",
        "table1_model_tuning",
    ),
    _transfer(
        "table1_ladder",
        "Table 1: zero-shot transfer of question answering, on the ladder",
        "table1_ladder",
        "table1_ladder_model_tuning",
    ),
    _transfer("table2", "Table 2: zero-shot transfer of paraphrase detection", "table2"),
    _transfer(
        "table2_ladder",
        "Table 2: zero-shot transfer of classification, on the ladder",
        "table2_ladder",
        "table2_ladder_model_tuning",
    ),
    Artefact("fig4", "Figure 4: parameters of a task, by method", COUNTS),
    Artefact("table3", "Table 3: a vote of five prompts", ENSEMBLES, (("table3",),), ("method",)),
    Artefact(
        "table3_ladder",
        "Table 3: a vote of five prompts, on the ladder",
        ENSEMBLES,
        (("table3_ladder",), ("table3_ladder", *SQUAD)),
        ("method",),
    ),
    Artefact("table4", "Table 4: parameters of prompts, by length", COUNTS),
    Artefact(
        "table5", "Table 5: time to a score on BoolQ", TIMES, (("table5",),), ("prompt.length",)
    ),
    Artefact(
        "table5_ladder",
        "Table 5: time to a score, on the ladder",
        TIMES,
        (("table5_ladder",),),
        ("prompt.length",),
    ),
    Artefact(
        "section7_ladder",
        "Section 7: what trained prompts look like among the vocabulary, on the ladder",
        INSPECTIONS,
        (
            ("section7_ladder",),
            ("section7_ladder", "model=ladder_400k", "init=class_label", "prompt.length=100"),
        ),
        ("init.strategy", "prompt.length"),
    ),
    Artefact("ladder_models", "The ladder's models and their pre-training", MODELS),
    Artefact(
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
    ),
)


def chosen(experiment: str | None) -> tuple[Artefact, ...]:
    """The artefact of that name, or the one that an experiment is part of; None: all.

    Raises:
        UserError: there is none.
    """
    if experiment is None:
        return ARTEFACTS
    for artefact in ARTEFACTS:
        if experiment in (artefact.name, *artefact.experiments):
            return (artefact,)
    names = [artefact.name for artefact in ARTEFACTS]
    raise UserError(
        f"experiment={experiment}: there is nothing to report of that name",
        allowed=", ".join(names),
        fix=did_you_mean(experiment, names) or "ptune report, for all of them",
    )
