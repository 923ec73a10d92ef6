"""A prompt trained with PEFT and transformers' Seq2SeqTrainer, as their documentation does it."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.data import Dataset
from transformers import (
    PrinterCallback,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    T5ForConditionalGeneration,
)

from prompt_tuning.bench.arms import padded, with_peft_prompt
from prompt_tuning.bench.profiles import Batch
from prompt_tuning.data.batches import BatchOrder
from prompt_tuning.data.tokenization import decode_ids
from prompt_tuning.metrics import score
from prompt_tuning.models.places import located

if TYPE_CHECKING:
    from prompt_tuning.bench.end_to_end import Course, Run

Row = tuple[Tensor, Tensor]  # inputs and targets


class _Rows(Dataset[Row]):
    """Rows in a fixed order."""

    def __init__(self, rows: list[Row]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Row:
        return self._rows[index]


class _Trainer(Seq2SeqTrainer):
    """Keeps what an evaluation costs and finds, and stops at the target score."""

    course: Course

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """The library's, timed."""
        found: list[dict[str, float]] = []

        def evaluate() -> float:
            found.append(super(_Trainer, self).evaluate(*args, **kwargs))
            return found[0]["eval_score"]

        self.course.evaluate(self.state.global_step, self.args.device, evaluate)
        self.control.should_training_stop = self.course.is_over
        return found[0]


def train_with_peft(run: Run, course: Course) -> None:
    """Trains until the target score or the last step, batches padded to their longest row."""
    model = T5ForConditionalGeneration.from_pretrained(
        located(run.checkpoint.source),
        dtype=run.checkpoint.model.dtype,
        dropout_rate=run.settings.dropout,
    )
    peft_model, trained = with_peft_prompt(model, run.prompt)
    optimizer = run.make_optimizer(trained["prompt"])
    constant = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
    with TemporaryDirectory() as folder:
        trainer = _Trainer(
            peft_model,
            _arguments(run, Path(folder)),
            data_collator=_collate,
            train_dataset=_in_order(run),
            eval_dataset=_Rows([(ids, run.examples.targets[0]) for ids in run.dev.inputs]),
            compute_metrics=lambda prediction: _score(run, prediction.predictions),
            optimizers=(optimizer, constant),
        )
        trainer.course = course
        trainer.remove_callback(PrinterCallback)
        trainer.train()


def _arguments(run: Run, folder: Path) -> Seq2SeqTrainingArguments:
    """The run's settings; everything else as the library has it, but nothing written."""
    settings, batch_size = run.settings, run.config.training.batch_size
    return Seq2SeqTrainingArguments(
        output_dir=str(folder),
        max_steps=settings.num_steps,
        per_device_train_batch_size=batch_size,
        per_device_eval_batch_size=batch_size,
        eval_strategy="steps",
        eval_steps=settings.eval_every_steps,
        predict_with_generate=True,
        generation_max_length=run.dev.max_target_tokens + 1,  # the start token counts there
        max_grad_norm=0.0,  # Adafactor has a clipping of its own
        train_sampling_strategy="sequential",
        remove_unused_columns=False,
        use_cpu=run.checkpoint.model.device.type == "cpu",
        dataloader_pin_memory=False,
        save_strategy="no",
        logging_strategy="no",
        report_to=[],
        disable_tqdm=True,
        seed=settings.seed,
    )


def _in_order(run: Run) -> _Rows:
    """Every step's examples in the order that ptune sees them."""
    examples, settings = run.examples, run.settings
    order = BatchOrder(len(examples.inputs), run.config.training.batch_size, settings.seed)
    indices = [index for step in range(settings.num_steps) for index in order[step]]
    return _Rows([(examples.inputs[index], examples.targets[index]) for index in indices])


def _collate(rows: list[Row]) -> dict[str, Tensor]:
    batch = Batch([ids for ids, _ in rows], [ids for _, ids in rows])
    return padded(batch, None, torch.device("cpu"))


def _score(run: Run, predictions: Any) -> dict[str, float]:
    """The task's own score of the generated ids, the start token left out."""
    rows = [[i for i in row[1:].tolist() if i >= 0] for row in predictions]
    texts = [decode_ids(run.checkpoint.tokenizer, row) for row in rows]
    found = score(run.dev.task, run.dev.examples, texts).score
    assert found is not None
    return {"score": found}
