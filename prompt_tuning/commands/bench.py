"""`ptune bench`: speed and memory against PEFT and Hugging Face."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from omegaconf import DictConfig

from prompt_tuning.bench.settings import (
    OPPONENTS,
    BenchConfig,
    bench_name,
    bench_problems,
    device_name,
    train_overrides,
)
from prompt_tuning.commands import train
from prompt_tuning.composition import composed
from prompt_tuning.config import TrainConfig, typed
from prompt_tuning.environment import environment, package_versions
from prompt_tuning.errors import UserError, raise_all
from prompt_tuning.made_from import changed_since
from prompt_tuning.protocol import Record, do_once
from prompt_tuning.run_folder import RunFolder
from prompt_tuning.task_data import data_now


def check(cfg: DictConfig) -> BenchConfig:
    """The measurement, or everything that is wrong with it; loads no model."""
    config = typed(BenchConfig, cfg)
    raise_all(bench_problems(config))
    _train_config(config)
    return config


def run(config: BenchConfig) -> None:
    """Measures, unless this code has done so here before: then its table is printed again."""
    folder = RunFolder(Path(config.output_dir) / bench_name(config))
    do_once(config, folder, _load, _changed, _describe, rerun=config.rerun)


def _load(config: BenchConfig) -> Callable[[BenchConfig, RunFolder], None]:
    from prompt_tuning.bench.measure import bench

    return partial(bench, train=_train_config(config))


def _changed(record: Record, config: BenchConfig) -> str | None:
    now, opponents = environment(), package_versions(OPPONENTS)
    if record["commit"] != now["commit"]:
        return "by another commit"
    if record["dirty"] or now["dirty"]:
        return "by code that was not committed"
    if [record["versions"], record["opponents"]] != [now["versions"], opponents]:
        return "with other versions of its packages"
    if any(record["machine"][key] != now["machine"][key] for key in ("processor", "num_cpus")):
        return "on another machine"
    if record["device"] != device_name(config):
        return "on another device"
    made_from = record["result"].get("made_from")  # of part=end_to_end alone
    if not made_from:
        return None
    train = _train_config(config)
    return changed_since(made_from, data_now(train), train.model.path)


def _describe(record: Record, folder: RunFolder) -> str:
    from prompt_tuning.bench.cost_tables import table_of  # imports pandas

    return "\n".join([f"{folder.record_path}", *table_of(record)])


def _train_config(config: BenchConfig) -> TrainConfig:
    """The run that part=end_to_end times, as `ptune train` would read it."""
    run = train.check(composed("train", train_overrides(config)))
    unequal = {
        f"method={run.method}": run.method != "prompt_tuning",
        f"evaluation.rank={run.evaluation.rank}": run.evaluation.rank is not None,
        f"variant={run.variant.name}": run.variant.target_sentinel,
    }
    problem = "part=end_to_end trains a prompt and decodes its answers on both sides, not so with "
    raise_all(
        UserError(f"{problem}{setting}", fix="leave it out of train=")
        for setting, is_chosen in unequal.items()
        if is_chosen
    )
    return run
