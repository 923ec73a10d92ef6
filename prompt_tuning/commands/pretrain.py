"""`ptune pretrain`: a T5 v1.1 from text, by span corruption."""

from pathlib import Path

from omegaconf import DictConfig

from prompt_tuning.config import typed
from prompt_tuning.errors import raise_all
from prompt_tuning.pretraining.schema import PretrainConfig, pretrain_name, pretrain_problems
from prompt_tuning.records import RunFolder


def check(cfg: DictConfig) -> PretrainConfig:
    """The run, or everything that is wrong with it; loads no model and no text."""
    config = typed(PretrainConfig, cfg)
    raise_all(pretrain_problems(config))
    return config


def run(config: PretrainConfig, command: str = "pretrain") -> None:
    """Trains, unless the same run is done: then its checkpoint stands."""
    folder = folder_of(config)
    if _is_done(config, folder):
        return
    from prompt_tuning.pretraining.text_to_checkpoint import pretrain

    with folder.claimed():
        if not _is_done(config, folder):  # by another process, since we looked
            pretrain(config, folder, command)


def folder_of(config: PretrainConfig) -> RunFolder:
    """Where the run leaves its files."""
    return RunFolder(Path(config.output_dir) / pretrain_name(config))


def _is_done(config: PretrainConfig, folder: RunFolder) -> bool:
    """Whether the checkpoint stands; says so."""
    done = folder.record()
    if not done or config.rerun:
        return False
    loss = done["result"]["held_out_loss"]
    print(f"{folder.name}: done before, held-out loss {loss:.4f}  {folder.path}")
    return True
