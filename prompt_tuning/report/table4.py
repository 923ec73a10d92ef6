"""Table 4: the parameters of prompts, by length, and of the models with them."""

from functools import cached_property

from prompt_tuning.report.claims import Claim
from prompt_tuning.report.counts import Count, Counts, method_parameters, model_parameters
from prompt_tuning.report.fig4 import LENGTHS, shares
from prompt_tuning.report.names import human
from prompt_tuning.report.paper import rows


def table4() -> list[Count]:
    """Trainable and total parameters, to the last digit."""
    counts = []
    for row in rows("table4"):
        size, length = row["size"], int(row["prompt_length"])
        trainable = method_parameters("prompt_tuning", size, length)
        computed = {"trainable": trainable, "total": trainable + model_parameters(size)}
        for what, ours in computed.items():
            series, printed = f"P={length}, {what}", row[f"{what}_printed"]
            counts.append(Count(series, size, int(row[what]), ours, printed=printed))
    return counts


NUM_TASKS = 5
MOST_PERCENT = 100 / NUM_TASKS + 1  # of the tuned models'


class Table4(Counts):
    """The counts, and what follows from them for a server of several tasks."""

    @cached_property
    def claims(self) -> list[Claim]:
        """The paper's first sentence on deployment, counted; time is in results/bench.md."""
        question = (
            f"Do {NUM_TASKS} tasks on one frozen model take about the parameters of one model, and "
            f"not of {NUM_TASKS}?"
        )
        # (model + n prompts) / (n models): a prompt's own share comes on top of one model in n.
        taken = {size: 100 / NUM_TASKS + share for size, share in shares().items()}
        listed = ", ".join(f"{human(size)} {share:.2f} %" for size, share in taken.items())
        detail = (
            f"One model and {NUM_TASKS} prompts of {LENGTHS[-1]} positions, of {NUM_TASKS} tuned "
            f"models: {listed}. Counted: no run is needed. Time is measured in results/bench.md."
        )
        counted = max(taken.values()) < MOST_PERCENT
        return [Claim(question, "one frozen model", detail=detail, counted=counted)]


TABLE4 = Table4(
    "table4",
    "Table 4: parameters of prompts, by length",
    remark="Four counts are printed wrongly in the paper; the verdict is on what its shapes give.",
    counts=table4,
)
