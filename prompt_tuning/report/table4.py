"""Table 4: the parameters of prompts, by length, and of the models with them."""

from functools import cached_property

from prompt_tuning.report.claims import Claim
from prompt_tuning.report.counts import Count, Counts, method_parameters, model_parameters
from prompt_tuning.report.names import human
from prompt_tuning.report.paper import SIZES, rows


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


NUM_TASKS, LENGTH = 5, 100
MOST_PERCENT = 100 / NUM_TASKS + 1  # of the tuned models'


class Table4(Counts):
    """With what follows for a server of several tasks."""

    @cached_property
    def claims(self) -> list[Claim]:
        """The paper's first sentence on deployment, counted; time is in results/bench.md."""
        question = (
            f"Do {NUM_TASKS} tasks on one frozen model take about the parameters of one model, and "
            f"not of {NUM_TASKS}?"
        )
        shares = {}
        for size in SIZES:
            model, prompt = model_parameters(size), method_parameters("prompt_tuning", size, LENGTH)
            shares[size] = 100 * (model + NUM_TASKS * prompt) / (NUM_TASKS * model)
        listed = ", ".join(f"{human(size)} {share:.2f} %" for size, share in shares.items())
        detail = (
            f"One model and {NUM_TASKS} prompts of {LENGTH} positions, of {NUM_TASKS} tuned "
            f"models: {listed}. Counted: no run is needed. Time is measured in results/bench.md."
        )
        most = max(shares.values())
        return [Claim(question, "one frozen model", detail=detail, counted=most < MOST_PERCENT)]


TABLE4 = Table4(
    "table4",
    "Table 4: parameters of prompts, by length",
    remark="Four counts are printed wrongly in the paper; the verdict is on what its shapes give.",
    counts=table4,
)
