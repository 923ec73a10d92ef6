#!/usr/bin/env python
"""Trains the embedded ladder with `ptune pretrain` and `ptune adapt`, and packs it into the package.

    python scripts/ladder.py train --output ladder          # every size, two runs side by side
    python scripts/ladder.py train --output ladder --size ladder_464k
    python scripts/ladder.py pack --output ladder           # into prompt_tuning/embedded_models

A size is a chain of runs: span corruption on facts, span corruption on the full text, then LM
adaptation on facts and on the full text. Finished runs are not repeated, a stopped one goes on.
"""

import argparse
import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "prompt_tuning" / "embedded_models"


@dataclass(frozen=True)
class Size:
    """A model of the ladder; `learning_rate` is Adafactor's, relative, from a scan."""

    d_model: int
    num_layers: int
    num_heads: int
    d_ff: int
    learning_rate: float

    @property
    def shape(self) -> list[str]:
        """As overrides of `ptune pretrain`."""
        return [
            f"shape.d_model={self.d_model}",
            f"shape.num_layers={self.num_layers}",
            f"shape.num_heads={self.num_heads}",
            f"shape.d_kv={self.d_model // self.num_heads}",
            f"shape.d_ff={self.d_ff}",
        ]


SIZES = {  # by their parameters, most of them not in the embeddings but at the first
    "ladder_115k": Size(d_model=32, num_layers=2, num_heads=2, d_ff=80, learning_rate=0.03),
    "ladder_464k": Size(d_model=64, num_layers=3, num_heads=4, d_ff=160, learning_rate=0.03),
    "ladder_1m": Size(d_model=112, num_layers=3, num_heads=4, d_ff=288, learning_rate=0.02),
    "ladder_3m": Size(d_model=192, num_layers=3, num_heads=6, d_ff=384, learning_rate=0.01),
}


@dataclass(frozen=True)
class Stage:
    """One run of a chain."""

    name: str
    command: str  # pretrain or adapt
    num_steps: int
    learning_rate: float  # times the size's
    schedule: str
    overrides: tuple[str, ...]
    save_at_steps: tuple[int, ...] = ()


def _world(stage: str, max_sentences: int) -> tuple[str, ...]:
    return (f"corpus.world={stage}", f"corpus.world_max_sentences={max_sentences}")


_SPANS = ("objective.inputs_length=64", "pretraining.batch_size=32")
_SENTENCES = (
    "objective.name=sentence_lm",
    "objective.inputs_length=48",
    "objective.max_target_tokens=12",
    "pretraining.batch_size=64",
)
STAGES = (
    Stage("sc_facts", "pretrain", 3000, 1.0, "constant", (*_world("facts", 2), *_SPANS)),
    Stage("sc", "pretrain", 2000, 0.7, "linear", (*_world("full", 2), *_SPANS)),
    Stage("lm_facts", "adapt", 2000, 1.0, "constant", (*_world("facts", 2), *_SENTENCES), (600,)),
    Stage("lm_full", "adapt", 2000, 0.7, "constant", (*_world("full", 1), *_SENTENCES)),
    Stage("lm", "adapt", 2000, 0.7, "linear", (*_world("full", 2), *_SENTENCES)),
)
COMMON = (
    "corpus.world_documents=400000",
    "evaluation.every_steps=250",
    "pretraining.optimizer=adafactor",
    "pretraining.warmup_steps=200",
    "machine.num_threads=1",
    "tracking=none",
)
VOCABULARY = ("vocabulary.num_pieces=1200", "vocabulary.num_documents=20000")


def command(size_name: str, stage: Stage, output: Path, checkpoint: Path | None) -> list[str]:
    """The stage of a size as a command line."""
    size = SIZES[size_name]
    first = [f"checkpoint={checkpoint}"] if checkpoint else [*size.shape, *VOCABULARY]
    return [
        *("ptune", stage.command, f"name={size_name}_{stage.name}", f"output_dir={output}"),
        *first,
        *COMMON,
        *stage.overrides,
        f"pretraining.num_steps={stage.num_steps}",
        f"pretraining.learning_rate={size.learning_rate * stage.learning_rate:g}",
        f"pretraining.schedule={stage.schedule}",
        f"pretraining.save_at_steps=[{','.join(map(str, stage.save_at_steps))}]",
    ]


def finished(size_name: str, stage: Stage, output: Path) -> Path | None:
    """The folder of the stage's run, if it has a record."""
    records = list(output.glob(f"{size_name}_{stage.name}-*/record.json"))
    assert len(records) <= 1, f"several runs of {size_name} {stage.name}: {records}"
    return records[0].parent if records else None


def train(size_name: str, output: Path) -> None:
    """The chain of a size, from its last finished run on."""
    checkpoint: Path | None = None
    for stage in STAGES:
        if finished(size_name, stage, output) is None:
            subprocess.run(command(size_name, stage, output, checkpoint), check=True)
        checkpoint = finished(size_name, stage, output)
        assert checkpoint is not None, (size_name, stage)
