"""A process of a run that is not its first: it trains along, and neither writes nor prints."""

import logging
from dataclasses import dataclass
from pathlib import Path

import torch

from prompt_tuning.config import TrainConfig
from prompt_tuning.data.tokenization import EncodedSplit
from prompt_tuning.devices import resolved_device
from prompt_tuning.errors import UserError
from prompt_tuning.evaluation import answer_along
from prompt_tuning.interrupts import Interrupted, StopRequests, silence_stdout
from prompt_tuning.loop import TrainingRun
from prompt_tuning.model_choice import load_source
from prompt_tuning.models.methods import Method
from prompt_tuning.ranks import TO_PART, TO_WAIT, LostProcess, Several, here, local_rank
from prompt_tuning.run_folder import RunFolder
from prompt_tuning.training.first_prompt import make_method
from prompt_tuning.training.walk import training_run


@dataclass(frozen=True)
class SharedWork:
    """What rank 0 tells the others before the first step."""

    config: TrainConfig
    source: str  # of the model: hub id or folder
    revision: str | None
    encoded: EncodedSplit


class _Nobody:
    """Watches nothing: rank 0 evaluates, with this process's share of a model that is spread."""

    def evaluate(self, method: Method, step: int) -> None:
        if method.is_spread:
            answer_along(method.make_model())

    def on_step(self, step: int, loss: float) -> None:
        return None


def follow(ranks: Several) -> int:
    """Trains along with rank 0 until that ends; returns its exit status.

    Raises:
        UserError: the model cannot be loaded in this process.
    """
    silence_stdout()
    logging.disable()  # rank 0 loads the same model, with the same warnings
    nobody = _Nobody()
    with StopRequests() as stop:
        try:
            training = _training_of(ranks.broadcast())
            nobody.evaluate(training.method, 0)
        except LostProcess:
            return ranks.status_of_first(TO_PART)
        try:
            training.run(nobody, stop)
            training.go_to_best()
            nobody.evaluate(training.method, training.progress.step)
        except LostProcess:
            return ranks.status_of_first(TO_PART)
        except (Interrupted, UserError):  # rank 0 stops here too, and says why
            pass
        return ranks.status_of_first(TO_WAIT)


def _training_of(work: SharedWork) -> TrainingRun:
    """The run before its first step; what it trains gets its first values from rank 0."""
    config = work.config
    if resolved_device(config.machine.device) == "cuda":
        _choose_gpu(local_rank())
    group = here().group if config.machine.spread_weights else None
    checkpoint = load_source(work.source, work.revision, config.machine, group)
    return training_run(
        config, make_method(config, None, checkpoint), work.encoded, RunFolder(Path())
    )


def _choose_gpu(number: int) -> None:
    """Makes the GPU of that number the one which "cuda" means in this process."""
    if number >= (num_gpus := torch.cuda.device_count()):
        raise UserError(
            f"process {number + 1} of this machine has no GPU: torch finds {num_gpus}",
            fix=f"torchrun --nproc-per-node={num_gpus}, or machine.device=cpu",
        )
    torch.cuda.set_device(number)
