#!/usr/bin/env python
"""Trains the embedded ladder with `ptune pretrain` and `ptune adapt`; packs it into the package.

    python scripts/ladder.py train --output ladder          # every size, two runs side by side
    python scripts/ladder.py train --output ladder --size ladder_400k
    python scripts/ladder.py pack --output ladder           # into prompt_tuning/ladder/weights
    ptune train -m experiment=control_ladder                # and with task=mini_squad, see there
    python scripts/ladder.py controls --output runs --size ladder_400k

A size is a chain of runs: span corruption on facts and on the full text, then LM adaptation on the
full text, at a constant rate and at a falling one. Finished runs are not repeated, a stopped one
goes on.
"""

import argparse
import json
import shutil
import subprocess
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean

import torch
from sentencepiece import sentencepiece_model_pb2 as protocol

from prompt_tuning.ladder.shipped_models import EMBEDDED_MODELS
from prompt_tuning.models.loading import load_weights, save_checkpoint
from prompt_tuning.report.paper import tolerances

SHAPES = {  # named by their parameters
    "ladder_100k": {"d_model": 32, "num_layers": 2, "num_heads": 2, "d_kv": 16, "d_ff": 80},
    "ladder_400k": {"d_model": 64, "num_layers": 3, "num_heads": 4, "d_kv": 16, "d_ff": 160},
    "ladder_1m": {"d_model": 112, "num_layers": 3, "num_heads": 4, "d_kv": 28, "d_ff": 288},
    "ladder_3m": {"d_model": 192, "num_layers": 3, "num_heads": 6, "d_kv": 32, "d_ff": 384},
}
VOCABULARY = ("vocabulary.num_pieces=1200", "vocabulary.num_documents=20000")
LEARNING_RATES = {
    # Adafactor's is relative to the scale of each parameter, AdamW's falls with the size.
    "pretrain": dict.fromkeys(SHAPES, 0.03),
    "adapt": dict(zip(SHAPES, (0.004, 0.003, 0.002, 0.001), strict=True)),
}


@dataclass(frozen=True)
class Stage:
    """One run of a chain: text in, the next checkpoint out."""

    name: str
    command: str  # pretrain: span corruption; adapt: LM adaptation
    world: str  # facts or full
    num_steps: int
    schedule: str
    save_at_steps: tuple[int, ...] = ()


CHAIN = (
    Stage("sc_facts", "pretrain", "facts", 2250, "constant"),
    Stage("sc", "pretrain", "full", 1750, "linear"),
    Stage("lm_full", "adapt", "full", 4000, "constant", (600, 3000)),
    Stage("lm", "adapt", "full", 2000, "linear"),
)
STAGES = {stage.name: stage for stage in CHAIN}
COMMON = (
    "corpus.world_documents=400000",
    "evaluation.every_steps=250",
    "pretraining.warmup_steps=200",
    "machine.num_threads=1",
    "tracking=none",
)
BY_COMMAND = {
    "pretrain": (
        "objective.inputs_length=64",
        "corpus.world_max_sentences=2",
        "pretraining.batch_size=32",
        "pretraining.optimizer=adafactor",
        "pretraining.weight_decay=0.00045",  # half of 0.03 squared: the norm holds
    ),
    "adapt": (
        "objective.name=sentence_lm",
        "objective.inputs_length=48",
        "objective.max_target_tokens=12",
        "corpus.world_max_sentences=1",
        "pretraining.batch_size=64",
        "pretraining.optimizer=adamw",
        "pretraining.embedding_learning_rate=6",
        "pretraining.max_gradient_norm=1",
    ),
}


def command(name: str, stage: Stage, output: Path, checkpoint: Path | None) -> list[str]:
    """The stage of a size as a command line."""
    shape = [f"shape.{key}={value}" for key, value in SHAPES[name].items()]
    return [
        *("ptune", stage.command, f"name={name}_{stage.name}", f"output_dir={output}"),
        *([f"checkpoint={checkpoint}"] if checkpoint else [*shape, *VOCABULARY]),
        *COMMON,
        *BY_COMMAND[stage.command],
        f"corpus.world={stage.world}",
        f"pretraining.num_steps={stage.num_steps}",
        f"pretraining.learning_rate={LEARNING_RATES[stage.command][name]:g}",
        f"pretraining.schedule={stage.schedule}",
        f"pretraining.save_at_steps=[{','.join(map(str, stage.save_at_steps))}]",
    ]


def finished(name: str, stage: Stage, output: Path) -> Path | None:
    """The folder of the stage's run, if it has a record."""
    records = list(output.glob(f"{name}_{stage.name}-*/record.json"))
    assert len(records) <= 1, f"several runs of {name} {stage.name}: {records}"
    return records[0].parent if records else None


def run_once(name: str, stage: Stage, output: Path, checkpoint: Path | None) -> Path:
    """Runs a stage unless it is finished; returns its folder."""
    if finished(name, stage, output) is None:
        subprocess.run(command(name, stage, output, checkpoint), check=True)
    folder = finished(name, stage, output)
    assert folder is not None, (name, stage)
    return folder


def train(name: str, output: Path) -> None:
    """The chain of a size, from its last finished run on."""
    checkpoint: Path | None = None
    for stage in CHAIN:
        checkpoint = run_once(name, stage, output, checkpoint)


CHECKPOINTS = {  # steps of LM adaptation: the stage, and the folder inside its run
    0: ("sc", "."),
    600: ("lm_full", "step-600"),
    3000: ("lm_full", "step-3000"),
    6000: ("lm", "."),
}


def pack(name: str, output: Path) -> None:
    """Puts the checkpoints of a size into the package, in bfloat16, and their runs' records."""
    folders = {stage: finished(name, STAGES[stage], output) for stage in STAGES}
    missing = [stage for stage, folder in folders.items() if folder is None]
    assert not missing, f"{name}: not trained yet: {missing}"
    shutil.rmtree(EMBEDDED_MODELS / name, ignore_errors=True)
    for steps, (stage, inside) in CHECKPOINTS.items():
        source, target = str(folders[stage] / inside), EMBEDDED_MODELS / name / str(steps)
        weights, _ = load_weights(source, device=torch.device("cpu"))
        save_checkpoint(target, weights, source, dtype=torch.bfloat16)
        drop_normalizer(target / "spiece.model")
    records = {
        stage: json.loads((run / "record.json").read_text()) for stage, run in folders.items()
    }
    (EMBEDDED_MODELS / name / "training.json").write_text(json.dumps(records, indent=1) + "\n")


def drop_normalizer(vocabulary: Path) -> None:
    """Takes Unicode's equivalences, 240 kB, out of a vocabulary: the world is ASCII."""
    model = protocol.ModelProto.FromString(vocabulary.read_bytes())
    model.normalizer_spec.name = "identity"
    model.normalizer_spec.precompiled_charsmap = b""
    vocabulary.write_bytes(model.SerializeToString(deterministic=True))


def controls(name: str, output: Path) -> None:
    """Puts the scores of prompts on random weights beside the models that they are controls of."""
    scores: dict[str, list[float]] = defaultdict(list)
    for path in sorted(output.glob("*/record.json")):
        record = json.loads(path.read_text())
        config = record["config"]
        axes = (config["model"]["name"], config["variant"]["name"], config["method"])
        is_default = config["prompt"]["length"] == 20 and config["recipe"] == "mini"
        if axes == (name, "random_weights", "prompt_tuning") and is_default:
            scores[config["task"]["name"]].append(record["result"]["report"]["score"])
    min_seeds = tolerances().min_seeds
    assert all(len(each) >= min_seeds for each in scores.values()), scores
    means = {task: round(fmean(each), 2) for task, each in sorted(scores.items())}
    (EMBEDDED_MODELS / name / "controls.json").write_text(json.dumps(means, indent=1) + "\n")


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("what", choices=("train", "pack", "controls"))
    parser.add_argument("--output", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--size", choices=SHAPES, action="append", help="may be given again")
    arguments = parser.parse_args()
    sizes = arguments.size or list(SHAPES)
    do = {"train": train, "pack": pack, "controls": controls}[arguments.what]
    num_workers = 2 if do is train else 1  # a run of training uses one thread
    with ThreadPoolExecutor(num_workers) as pool:
        for _ in pool.map(partial(do, output=arguments.output), sizes):
            pass


if __name__ == "__main__":
    main()
