"""One measurement, from its config to its record."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch

from prompt_tuning.bench.end_to_end import measure_end_to_end
from prompt_tuning.bench.evaluation_speed import measure_evaluation
from prompt_tuning.bench.gate import check_equality
from prompt_tuning.bench.growth import measure_growth
from prompt_tuning.bench.serving_speed import measure_serving
from prompt_tuning.bench.settings import ARMS, BenchConfig
from prompt_tuning.bench.step_speed import measure_steps
from prompt_tuning.bench.tables import table_of
from prompt_tuning.bench.workload import draw_batches
from prompt_tuning.config import TrainConfig
from prompt_tuning.environment import package_versions
from prompt_tuning.model_choice import machine_of
from prompt_tuning.protocol import started
from prompt_tuning.run_folder import RunFolder

OPPONENTS = ("peft", "transformers", "accelerate")


def bench(config: BenchConfig, train: TrainConfig, folder: RunFolder) -> None:
    """Checks that the arms are equal, measures them, prints a table and leaves the record.

    Args:
        config: the measurement.
        train: the run that part=end_to_end times.
        folder: where it leaves its files, the record last.

    Raises:
        NotEqualError: the arms compute different things; nothing was measured.
    """
    with started(folder, "bench", config) as run:
        device, dtype = machine_of(config.machine)
        unmeasured = ", a kind of device that this project has not measured on" * (
            device.type != "cpu"
        )
        run.header(
            {
                "part": config.part,
                "machine": f"{device}, {str(dtype).removeprefix('torch.')}, "
                f"{torch.get_num_threads()} threads{unmeasured}",
            },
        )
        gate = {}
        if config.part in ARMS:
            gate = check_equality(config, draw_batches(config)[0], device)
        for models, agreement in gate.items():
            run.say(
                f"equal to Hugging Face, {models}: loss {agreement.loss:.0e}, "
                f"gradient {agreement.gradient:.0e} (allowed: {agreement.tolerance:.0e})"
            )
        result = _measure(config, train, run.say)
        facts = {
            "train": asdict(train) if config.part == "end_to_end" else None,
            "gate": {models: asdict(agreement) for models, agreement in gate.items()},
            "result": result,
            "num_threads": torch.get_num_threads(),
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
            "opponents": package_versions(OPPONENTS),
        }
        run.say(*table_of(run.finish(facts)), f"{folder.record_path}")


def _measure(config: BenchConfig, train: TrainConfig, say: Callable[[str], None]) -> dict[str, Any]:
    if config.part == "evaluation":
        return measure_evaluation(config, say)
    if config.part == "serving":
        return measure_serving(config, say)
    if config.part == "end_to_end":
        return measure_end_to_end(config, train, say)
    if config.part == "growth":
        return measure_growth(config, say)
    return measure_steps(config, say)
