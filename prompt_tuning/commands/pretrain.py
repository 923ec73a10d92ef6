"""`ptune pretrain` and `ptune adapt`: a T5 v1.1 from text, or its LM adaptation."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from omegaconf import DictConfig

from prompt_tuning.config import typed
from prompt_tuning.errors import raise_all
from prompt_tuning.made_from import changed_since
from prompt_tuning.pretraining.documents import local_text
from prompt_tuning.pretraining.schema import PretrainConfig, pretrain_name, pretrain_problems
from prompt_tuning.protocol import Record, do_once
from prompt_tuning.run_folder import RunFolder


def check(cfg: DictConfig) -> PretrainConfig:
    """The run, or everything that is wrong with it; loads no model and no text."""
    config = typed(PretrainConfig, cfg)
    raise_all(pretrain_problems(config))
    return config


def run(config: PretrainConfig, command: str = "pretrain") -> None:
    """Trains, unless the same run is done: then its checkpoint stands."""
    folder = folder_of(config)

    def load() -> Callable[[], None]:
        from prompt_tuning.pretraining.text_to_checkpoint import pretrain  # imports torch

        return partial(pretrain, config, folder, command)

    def changed(record: Record) -> str | None:
        text = config.corpus.text
        if text is not None and record["data"]["source"] != local_text(text).identity:
            return f"the text of {text} has changed since"
        return changed_since(record, {}, config.checkpoint)

    def describe(record: Record) -> str:
        return f"held-out loss {record['result']['held_out_loss']:.4f}  {folder.path}"

    do_once(folder, load, rerun=config.rerun, describe=describe, changed=changed)


def folder_of(config: PretrainConfig) -> RunFolder:
    """Where the run leaves its files."""
    return RunFolder(Path(config.output_dir) / pretrain_name(config))
