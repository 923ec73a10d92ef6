"""`ptune bench`: speed and memory against PEFT and Hugging Face."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from omegaconf import DictConfig

from prompt_tuning.bench.settings import BenchConfig, bench_name, bench_problems
from prompt_tuning.bench.tables import table_of
from prompt_tuning.commands import train
from prompt_tuning.composition import configs_of
from prompt_tuning.config import TrainConfig, typed
from prompt_tuning.environment import code_version
from prompt_tuning.errors import raise_all
from prompt_tuning.protocol import Record, do_once
from prompt_tuning.run_folder import RunFolder


def check(cfg: DictConfig) -> BenchConfig:
    """The measurement, or everything that is wrong with it; loads no model."""
    config = typed(BenchConfig, cfg)
    raise_all(bench_problems(config))
    _train_config(config)
    return config


def run(config: BenchConfig) -> None:
    """Measures, unless this commit has done so before: then its table is printed again."""
    folder = RunFolder(Path(config.output_dir) / bench_name(config))

    def load() -> Callable[[], None]:
        from prompt_tuning.bench.run import bench  # imports torch

        return partial(bench, config, _train_config(config), folder)

    def changed(record: Record) -> str | None:
        is_same = record["commit"] == code_version()["commit"]
        return None if is_same else "by another commit"

    def describe(record: Record) -> str:
        return "\n".join([f"{folder.record_path}", *table_of(record)])

    do_once(folder, load, rerun=config.rerun, describe=describe, changed=changed)


def _train_config(config: BenchConfig) -> TrainConfig:
    """The run that part=end_to_end times, as `ptune train` would read it."""
    configs, problems = configs_of("train", config.train)
    raise_all(problems)
    (cfg,) = configs
    return train.check(cfg)
