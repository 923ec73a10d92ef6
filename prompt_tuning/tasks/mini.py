"""The mini tasks: real tasks' formats, asked about an invented world (`prompt_tuning.world`).

Closed-book: the answer is in the text that the embedded models were trained on, not in the inputs.
Their scores compare with no number of the paper.
"""

from dataclasses import replace

from prompt_tuning.tasks.boolq import BOOLQ
from prompt_tuning.tasks.copa import COPA
from prompt_tuning.tasks.rte import RTE
from prompt_tuning.tasks.squad import SQUAD
from prompt_tuning.tasks.sst2 import SST2
from prompt_tuning.tasks.wic import WIC

MINI = tuple(
    replace(real, name=f"mini_{name}", title=f"Mini {title}")
    for name, title, real in (
        ("squad", "SQuAD", SQUAD),
        ("squad_b", "SQuAD B", SQUAD),  # B: the world's other domain
        ("sst2", "SST-2", SST2),
        ("boolq", "BoolQ", BOOLQ),
        ("boolq_b", "BoolQ B", BOOLQ),
        ("rte", "RTE", RTE),
        ("wic", "WiC", WIC),
        ("copa", "COPA", COPA),
    )
)
