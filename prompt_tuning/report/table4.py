"""Table 4: the parameters of prompts, by length, and of the models with them."""

from prompt_tuning.report.counts import Count, Counts, method_parameters, model_parameters
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


TABLE4 = Counts(
    "table4",
    "Table 4: parameters of prompts, by length",
    remark="Four counts are printed wrongly in the paper; the verdict is on what its shapes give.",
    counts=table4,
)
