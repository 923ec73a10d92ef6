"""`ptune pretrain` and `ptune adapt`: a T5 v1.1 from text, or its LM adaptation."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

from omegaconf import DictConfig

from prompt_tuning.config import typed
from prompt_tuning.errors import raise_all
from prompt_tuning.made_from import changed_since
from prompt_tuning.pretraining.documents import texts_now
from prompt_tuning.pretraining.schema import PretrainConfig, pretrain_name, pretrain_problems
from prompt_tuning.protocol import Record, do_once
from prompt_tuning.run_folder import RunFolder

WORDS = {"source": "text", "held_out": "held-out text", "vocabulary": "vocabulary"}


def check(cfg: DictConfig) -> PretrainConfig:
    """The run, or everything that is wrong with it; loads no model and no text."""
    config = typed(PretrainConfig, cfg)
    raise_all(pretrain_problems(config))
    return config


def run(config: PretrainConfig, command: str = "pretrain") -> None:
    """Trains, unless the same run is done: then its checkpoint stands."""
    load = partial(_load, command=command)
    do_once(config, folder_of(config), load, _changed, _describe, rerun=config.rerun)


def folder_of(config: PretrainConfig) -> RunFolder:
    """Where the run leaves its files."""
    return RunFolder(Path(config.output_dir) / pretrain_name(config))


def _load(config: PretrainConfig, command: str) -> Callable[[PretrainConfig, RunFolder], None]:
    from prompt_tuning.pretraining.text_to_checkpoint import pretrain

    return partial(pretrain, kind=command)


def _changed(record: Record, config: PretrainConfig) -> str | None:
    before, now = record["data"], texts_now(config.corpus, config.vocabulary)
    for name, facts in json.loads(json.dumps(now)).items():
        if not facts.items() <= before.get(name, facts).items():
            return f"its {WORDS[name]} has changed since"
    return changed_since(record, {}, config.checkpoint)


def _describe(record: Record, folder: RunFolder) -> str:
    return f"held-out loss {record['result']['held_out_loss']:.4f}  {folder.path}"
