"""One measurement, from its config to its record."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from prompt_tuning.bench.answering import measure_evaluation, measure_serving
from prompt_tuning.bench.end_to_end import measure_end_to_end
from prompt_tuning.bench.gate import Agreement, check_equality
from prompt_tuning.bench.growth import measure_growth
from prompt_tuning.bench.settings import ARMS, BenchConfig
from prompt_tuning.bench.steps import measure_steps
from prompt_tuning.bench.tables import table_of
from prompt_tuning.bench.workload import Place, draw_batches
from prompt_tuning.config import TrainConfig
from prompt_tuning.records import RunFolder, environment
from prompt_tuning.reporting import Reporter

RECORD_FORMAT = 1
OPPONENTS = ("peft", "transformers", "accelerate")
PARTS: dict[str, Callable[..., dict[str, Any]]] = {
    **dict.fromkeys(ARMS, measure_steps),
    "evaluation": measure_evaluation,
    "serving": measure_serving,
    "growth": measure_growth,
}


def bench(config: BenchConfig, train: TrainConfig, folder: RunFolder) -> None:
    """Checks that the arms are equal, measures them, prints a table and leaves the record.

    Args:
        config: the measurement.
        train: the run that part=end_to_end times.
        folder: where it leaves its files, the record last.

    Raises:
        NotEqualError: the arms compute different things; nothing was measured.
    """
    folder.start(asdict(config))
    with Reporter(folder.log_path) as reporter:
        place = Place.on(config.machine)
        machine = f"{place.device}, {str(place.dtype).removeprefix('torch.')}"
        threads = f"{torch.get_num_threads()} threads"
        on_cpu = place.device.type == "cpu"
        unmeasured = "" if on_cpu else ", a kind of device that this project has not measured on"
        facts = {"part": config.part, "machine": f"{machine}, {threads}{unmeasured}"}
        reporter.header(f"ptune bench  {folder.name}", facts)
        gate = {}
        if config.part in ARMS:
            gate = check_equality(config, draw_batches(config)[0], place.device)
        for models, agreement in gate.items():
            reporter.line(
                f"equal to Hugging Face, {models}: loss {agreement.loss:.0e}, "
                f"gradient {agreement.gradient:.0e} (allowed: {agreement.tolerance:.0e})"
            )
        is_race = config.part == "end_to_end"
        measure = partial(measure_end_to_end, train=train) if is_race else PARTS[config.part]
        result = measure(config, reporter.line)
        record = _record(config, train if is_race else None, gate, result, place)
        folder.finish(record)
        for line in (*table_of(record), str(folder.record_path)):
            reporter.line(line)


def _record(
    config: BenchConfig,
    train: TrainConfig | None,
    gate: Mapping[str, Agreement],
    result: Mapping[str, Any],
    place: Place,
) -> dict[str, Any]:
    """What is written: the measurement, its result, and on what it was found."""
    on_gpu = place.device.type == "cuda"
    return {
        "format": RECORD_FORMAT,
        "kind": "bench",
        "config": asdict(config),
        "train": asdict(train) if train else None,
        "gate": {models: asdict(agreement) for models, agreement in gate.items()},
        "result": result,
        "num_threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(place.device) if on_gpu else "cpu",
        "opponents": {package: _version(package) for package in OPPONENTS},
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        **environment(),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
