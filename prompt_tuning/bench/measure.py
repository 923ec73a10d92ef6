"""One measurement, from its config to its record."""

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any

import torch

from prompt_tuning.bench.answering import measure_evaluation, measure_serving
from prompt_tuning.bench.arms import check_equality
from prompt_tuning.bench.cost_tables import table_of
from prompt_tuning.bench.end_to_end import measure_end_to_end
from prompt_tuning.bench.growth import measure_growth
from prompt_tuning.bench.settings import ARMS, OPPONENTS, BenchConfig, device_name
from prompt_tuning.bench.steps import measure_steps
from prompt_tuning.bench.workload import Place, draw_batches
from prompt_tuning.config import TrainConfig
from prompt_tuning.environment import package_versions
from prompt_tuning.protocol import started
from prompt_tuning.run_folder import RunFolder

MEASURES: dict[str, Callable[..., dict[str, Any]]] = {  # of every part but end_to_end
    **dict.fromkeys(ARMS, measure_steps),
    "evaluation": measure_evaluation,
    "serving": measure_serving,
    "growth": measure_growth,
}


def bench(config: BenchConfig, folder: RunFolder, train: TrainConfig) -> None:
    """Checks that the arms are equal, measures them, prints a table and leaves the record.

    `train` is the run that part=end_to_end times.

    Raises:
        NotEqualError: the arms compute different things; nothing was measured.
    """
    with started(folder, "bench", config) as run:
        place = Place.on(config.machine)
        dtype, num_threads = str(place.dtype).removeprefix("torch."), torch.get_num_threads()
        machine = f"{place.device}, {dtype}, {num_threads} threads"
        if place.device.type != "cpu":
            machine += ", a kind of device that this project has not measured on"
        run.header({"part": config.part, "machine": machine})
        gate = {}
        if config.part in ARMS:
            gate = check_equality(config, draw_batches(config)[0], place.device)
        for models, agreement in gate.items():
            run.say(
                f"equal to Hugging Face, {models}: loss {agreement['loss']:.0e}, "
                f"gradient {agreement['gradient']:.0e} (allowed: {agreement['tolerance']:.0e})"
            )
        is_race = config.part == "end_to_end"
        measure = partial(measure_end_to_end, train=train) if is_race else MEASURES[config.part]
        facts = {
            "result": measure(config, run.say),
            "train": asdict(train) if is_race else None,
            "gate": gate,
            "num_threads": num_threads,
            "device": device_name(config),
            "opponents": package_versions(OPPONENTS),
        }
        run.say(*table_of(run.finish(facts)), f"{folder.record_path}")
