"""Table 2: zero-shot transfer of paraphrase detection; on the ladder, of yes and no."""

from prompt_tuning.report.artefact import LADDER
from prompt_tuning.report.table1 import Transfer

TABLE2 = Transfer(
    "table2",
    "Table 2: zero-shot transfer of paraphrase detection",
    sweeps=(("table2",),),
    series=("method",),
)
TABLE2_LADDER = Transfer(
    "table2_ladder",
    "Table 2: zero-shot transfer of classification, on the ladder",
    LADDER,
    (("table2_ladder",), ("table2_ladder_model_tuning",)),
    ("method",),
)
