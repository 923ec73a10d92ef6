"""What `ptune ensemble` says on the terminal."""

from collections.abc import Mapping
from typing import Any

from prompt_tuning.terminal import scores_line

COLUMNS = ("average", "best", "ensemble")


def table(result: Mapping[str, Any]) -> list[str]:
    """Average, best and ensemble; how far the prompts agree; how often so many votes are right."""
    agreed, calibrated = result["agreement"], result["calibration"]
    lines = [
        f"  {column:<9} {scores_line(result[column]['metrics'], result[column]['score'])}"
        for column in COLUMNS
        if column in result
    ]
    kappa = "-" if agreed["kappa"] is None else f"{agreed['kappa']:.2f}"
    error = "-" if calibrated is None else f"{100 * calibrated['error']:.2f} %"
    lines.append(
        f"  agreement {100 * agreed['pairwise']:.2f} %  unanimous {100 * agreed['unanimous']:.2f} %"
        f"  kappa {kappa}  ties {result['num_ties']}  calibration error {error}"
    )
    for each in calibrated["bins"] if calibrated else ():
        share = f"{100 * each['num_right'] / each['num_examples']:.2f} %"
        lines.append(f"  {each['num_votes']} votes: {each['num_examples']} examples, {share} right")
    return lines


def cost_line(cost: Mapping[str, Any]) -> str:
    """N prompts in front of one model, against N models."""
    number = cost["num_prompts"]
    return (
        f"  {number} prompts in one pass: {cost['num_rows']:,} rows, "
        f"{cost['num_forward_passes']:,} forward passes, {cost['duration_s']:.1f} s; "
        f"{cost['num_parameters_ensemble']:,} parameters, "
        f"those of {number} models {cost['num_parameters_models']:,}"
    )
