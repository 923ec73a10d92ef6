"""A measurement's numbers as tables, for the terminal and for results/: medians, ratios, shares.

Records hold what was measured; whatever is derived from it is derived here. Knows no torch.
"""

from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

from pandas import DataFrame, Series, concat

Record = Mapping[str, Any]
Result = Mapping[str, Any]  # record["result"]

SETTINGS = {  # column -> key of the config; a measurement's own table does not repeat them
    "size": "size",
    "batch": "batch_size",
    "dropout": "dropout",
    "profile": "profile",
    "prompts": "num_prompts",
    "target": "target_score",
}
TERMINAL_ONLY = ["wall", "evaluating", "reached"]  # columns that results/ leaves out


def seconds_of(result: Result, kind: str = "seconds") -> DataFrame:
    """Medians over the rounds: a row for each batch, a column for each arm."""
    arms = result["arms"].items()
    return DataFrame({arm: [median(rounds) for rounds in measured[kind]] for arm, measured in arms})


def speed_up(result: Result, slow: str, fast: str, kind: str = "seconds") -> Series:
    """How many times `slow` takes what `fast` takes, batch by batch."""
    seconds = seconds_of(result, kind)
    return seconds[slow] / seconds[fast]


def floor_shares(result: Result) -> Series:
    """The share of each arm's time in which its useful operations could have been done."""
    floor_s = _total(result, "operations") / result["matrix_product_rate"]
    return floor_s / seconds_of(result).sum()


def growth_points(measured: Mapping[str, Any]) -> DataFrame:
    """The points of a growth curve, and where they would be in proportion to the common point.

    Seconds in proportion to useful operations; memory to what a backward pass keeps: positions at
    once, times width and depth.
    """
    frame = DataFrame([measured["base"], *measured["points"]])
    frame["seconds"] = [median(rounds) for (rounds,) in frame["seconds"]]
    frame["peak_memory_gib"] = frame["peak_memory_gib"].astype(float)
    activations = frame["positions_at_once"] * frame["activations_of_position"]
    frame["expected_s"] = frame["seconds"][0] * frame["operations"] / frame["operations"][0]
    frame["expected_gib"] = frame["peak_memory_gib"][0] / activations[0] * activations
    return frame[1:].assign(value=[*map(str, measured["values"])])


def table_of(record: Record) -> list[str]:
    """A record's table for the terminal, and what belongs below it."""
    result, frame = record["result"], frame_of(record)
    first, *others = [column for column in frame if column not in SETTINGS]
    shown = frame.set_index(first)[others].rename_axis(index=None, columns=first)
    lines = shown.to_string(na_rep="-").splitlines()
    if "breakdown" in result:
        shares = [f"{kind} {100 * share:.0f} %" for kind, share in result["breakdown"].items()]
        lines.append(f"matrix products: {result['matrix_product_rate'] / 1e9:.1f} G operations/s")
        lines.append(f"ptune's time: {', '.join(shares)}")
    return lines


def frame_of(record: Record) -> DataFrame:
    """A record's table: a row for each arm, or point of a curve; what is not known is missing."""
    make, settings = TABLES[record["config"]["part"]]
    frame = make(record["result"])
    if "arms" in record["result"]:
        frame = frame.reindex([*record["result"]["arms"]]).rename_axis("arm").reset_index()
    for place, name in enumerate(settings):
        frame.insert(place, name, record["config"][SETTINGS[name]])
    if record["train"]:
        task, model = (record["train"][key] for key in ("task", "model"))
        where = "" if model["source"] == "embedded" else f" on {model['name']}"
        frame.insert(0, "task", task["name"] + where)
    return frame


def _steps(result: Result) -> DataFrame:
    """Training steps: how many times an arm takes what ptune takes."""
    peaks = DataFrame(result["arms"]).loc["peak_memory_gib"].astype(float)
    others = peaks.index.drop("ptune")
    by_user_time = {arm: speed_up(result, arm, "ptune", "user_s").median() for arm in others}
    return DataFrame(
        {
            "s": _text("{:.3f}", seconds_of(result).mean()),
            "user": _text("{:.3f}", seconds_of(result, "user_s").mean()),
            "sys": _text("{:.3f}", seconds_of(result, "sys_s").mean()),
            "wall": _text("{:.3f}", seconds_of(result, "wall_s").mean()),
            "positions/s": _text("{:,.0f}", _total(result, "positions") / seconds_of(result).sum()),
            "of floor": _text("{:.0f} %", 100 * floor_shares(result)),
            "GiB": _text("{:.3f}", peaks),
            "ptune is faster by": _times(result, {arm: (arm, "ptune") for arm in others}),
            "in user time": _text("{:.2f}x", Series(by_user_time)),
            "its memory": _text("1/{:.1f}", peaks[others] / peaks["ptune"]),
        }
    )


def _evaluation(result: Result) -> DataFrame:
    pairs = {arm: (result["baseline"], arm) for arm in result["arms"]}
    return DataFrame(
        {"ms an example": _ms_a_row(result), "faster than generate() by": _times(result, pairs)}
    )


def _serving(result: Result) -> DataFrame:
    """The arms of a question against one prompt after another."""
    pairs = {arm: (f"{arm.partition('_')[0]}_by_prompt", arm) for arm in result["arms"]}
    model = result["num_model_parameters"]
    num_parameters = Series(model + result["num_prompt_parameters"], index=[*pairs])
    num_parameters["ensemble_models"] = result["num_prompts"] * model
    return DataFrame(
        {
            "ms a row": _ms_a_row(result),
            "faster than by prompt": _times(result, pairs),
            "parameters": _text("{:,}", num_parameters),
        }
    )


def _end_to_end(result: Result) -> DataFrame:
    arms = DataFrame(result["arms"]).T
    reached = arms["reached"].astype(bool)
    pairs = {arm: (arm, "ptune") for arm in arms.index if arm != "ptune" and reached.all()}
    return DataFrame(
        {
            "s": _text("{:.2f}", seconds_of(result).mean().where(reached)),
            "evaluating": _text("{:.2f}", seconds_of(result, "evaluation_seconds").mean()),
            "wall": _text("{:.2f}", seconds_of(result, "wall_s").mean()),
            "steps": arms["step"],
            "dev score": _text("{:.2f}", arms["score"]),
            "reached": reached.map({True: "yes", False: "no"}),
            "ptune is faster by": _times(result, pairs),
        }
    )


def _growth(result: Result) -> DataFrame:
    axes = result["axes"]
    points = concat(map(growth_points, axes.values()), keys=axes)
    return DataFrame(
        {
            "axis": points.index.get_level_values(0),
            "value": points["value"],
            "s": _text("{:.4f}", points["seconds"]),
            "in proportion to operations": _text("{:.4f}", points["expected_s"]),
            "GiB": _text("{:.3f}", points["peak_memory_gib"]),
        }
    )


def _times(result: Result, pairs: Mapping[str, tuple[str, str]]) -> Series:
    """The ratio of a slow arm to a fast one, for each arm: median, least and most."""
    ratios = {arm: speed_up(result, *pair) for arm, pair in pairs.items()}
    form = "{0:.2f}x ({1:.2f} to {2:.2f})".format
    return Series({arm: form(r.median(), r.min(), r.max()) for arm, r in ratios.items()}, dtype=str)


def _ms_a_row(result: Result) -> Series:
    return _text("{:.2f}", 1000 * seconds_of(result).sum() / _total(result, "num_rows"))


def _total(result: Result, key: str) -> int:
    return sum(batch[key] for batch in result["batches"])


def _text(form: str, values: Series) -> Series:
    """What is missing stays so."""
    return values.map(form.format, na_action="ignore")


# How a table is made, and which settings stand in front of its own columns.
TABLES: dict[str, tuple[Callable[[Result], DataFrame], tuple[str, ...]]] = {
    **dict.fromkeys(
        ("training", "model_tuning", "pretraining"),
        (_steps, ("size", "batch", "dropout", "profile")),
    ),
    "evaluation": (_evaluation, ("size", "batch", "profile")),
    "serving": (_serving, ("size", "batch", "profile", "prompts")),
    "end_to_end": (_end_to_end, ("target",)),
    "growth": (_growth, ()),
}
