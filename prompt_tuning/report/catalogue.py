"""Everything that `ptune report` can show, in the order of the page."""

from prompt_tuning.errors import UserError, did_you_mean
from prompt_tuning.report.artefact import Artefact
from prompt_tuning.report.control import CONTROL_LADDER
from prompt_tuning.report.fig1 import FIG1, FIG1_LADDER, FIG1_LADDER_FRESH
from prompt_tuning.report.fig3 import FIG3
from prompt_tuning.report.ladder_models import LADDER_MODELS
from prompt_tuning.report.parameter_counts import FIG4, TABLE4
from prompt_tuning.report.real_t5 import CONTROL_FLAN, REAL_T5
from prompt_tuning.report.section7 import SECTION7_FLAN, SECTION7_LADDER
from prompt_tuning.report.table3 import TABLE3, TABLE3_FLAN, TABLE3_LADDER
from prompt_tuning.report.table5 import TABLE5, TABLE5_LADDER
from prompt_tuning.report.transfer import (
    TABLE1,
    TABLE1_FLAN,
    TABLE1_LADDER,
    TABLE2,
    TABLE2_FLAN,
    TABLE2_LADDER,
)

ARTEFACTS: tuple[Artefact, ...] = (
    *(FIG1, FIG1_LADDER_FRESH, FIG1_LADDER, *FIG3),
    *(TABLE1, TABLE1_LADDER, TABLE2, TABLE2_LADDER),
    *(*REAL_T5, TABLE1_FLAN, TABLE2_FLAN, TABLE3_FLAN, SECTION7_FLAN, CONTROL_FLAN),
    *(FIG4, TABLE3, TABLE3_LADDER, TABLE4, TABLE5, TABLE5_LADDER),
    *(SECTION7_LADDER, LADDER_MODELS, CONTROL_LADDER),
)


def chosen(experiment: str | None) -> tuple[Artefact, ...]:
    """The artefact of that name, or the one that an experiment is part of; None: all.

    Raises:
        UserError: there is none.
    """
    if experiment is None:
        return ARTEFACTS
    names = [artefact.name for artefact in ARTEFACTS]
    for artefact in ARTEFACTS:
        own = artefact.experiments if experiment not in names else ()
        if experiment in (artefact.name, *own):
            return (artefact,)
    raise UserError(
        f"experiment={experiment}: there is nothing to report of that name",
        allowed=", ".join(names),
        fix=did_you_mean(experiment, names) or "ptune report, for all of them",
    )
