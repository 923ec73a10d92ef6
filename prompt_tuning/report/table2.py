"""Table 2: zero-shot transfer of paraphrase detection; on the ladder, of yes and no."""

from prompt_tuning.report.artefact import LADDER, REAL
from prompt_tuning.report.table1 import Transfer

TABLE2 = Transfer(
    "table2",
    "Table 2: zero-shot transfer of paraphrase detection",
    sweeps=(("table2",), ("table2_model_tuning",)),
    domain="paraphrases",
)
TABLE2_FLAN = Transfer(
    "table2_flan",
    "Table 2 on a real T5 Small: between QQP and MRPC, zero-shot",
    REAL,
    (("table2_flan",), ("table2_flan_model_tuning",)),
    remark="QQP and MRPC were among FLAN's tasks: neither is new to these weights. QQP has 20,000 "
    "training rows here.",
    domain="paraphrases",
)
TABLE2_LADDER = Transfer(
    "table2_ladder",
    "Table 2: zero-shot transfer of classification, on the ladder",
    LADDER,
    (("table2_ladder",), ("table2_ladder_model_tuning",)),
    domain="yes and no",
)
