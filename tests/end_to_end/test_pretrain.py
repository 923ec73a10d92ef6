"""`ptune pretrain` and `ptune adapt` as a user runs them, and a prompt on what comes out."""

import json
import os
import subprocess
import sys
from pathlib import Path

from transformers import T5ForConditionalGeneration

TINY = [
    "shape.d_model=16",
    "shape.num_layers=1",
    "shape.num_heads=2",
    "shape.d_kv=8",
    "shape.d_ff=32",
    "vocabulary.num_pieces=150",
]
QUICK = [
    "corpus.text=text.txt",
    "corpus.held_out_fraction=0.2",
    "objective.inputs_length=24",
    "pretraining.batch_size=4",
    "evaluation.every_steps=2",
    "evaluation.num_segments=4",
    "tracking=none",
]


def ptune(*arguments: str, folder: Path, status: int = 0) -> str:
    command = [sys.executable, "-m", "prompt_tuning.cli", *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=300, env=environment
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_model_is_pretrained_adapted_and_prompted(tmp_path: Path) -> None:
    documents = [f"the cat number {i} sat on the mat and saw a dog .\n" for i in range(60)]
    (tmp_path / "text.txt").write_text("\n".join(documents))

    ptune("pretrain", "name=nano", "pretraining.num_steps=4", *TINY, *QUICK, folder=tmp_path)
    (pretrained,) = (tmp_path / "checkpoints").glob("nano-*")
    record = json.loads((pretrained / "record.json").read_text())
    assert record["kind"] == "pretrain"
    assert record["result"]["num_tokens"] > 0 and record["result"]["held_out_loss"] > 0
    model = T5ForConditionalGeneration.from_pretrained(pretrained)
    assert model.config.d_model == 16

    adapt = ["adapt", f"checkpoint={pretrained}", "pretraining.num_steps=4"]
    ptune(*adapt, "pretraining.save_at_steps=[2]", *QUICK, folder=tmp_path)
    (adapted,) = (tmp_path / "checkpoints").glob("lm_adapted-*")
    assert (adapted / "step-2" / "model.safetensors").exists()
    again = ptune(*adapt, "pretraining.save_at_steps=[2]", *QUICK, folder=tmp_path)
    assert "done before" in again

    train = ["train", f"model.path={adapted}", "training.num_steps=2", "evaluation.every_steps=1"]
    assert "score" in ptune(*train, "tracking=none", folder=tmp_path)


def test_what_is_missing_is_said_before_anything_is_loaded(tmp_path: Path) -> None:
    assert "checkpoint is missing" in ptune("adapt", "corpus.text=x", folder=tmp_path, status=2)
    assert "text comes from one place" in ptune("pretrain", folder=tmp_path, status=2)
    refused = ptune("pretrain", "objective.name=mlm", folder=tmp_path, status=2)
    assert "objective.name=mlm" in refused and "span_corruption" in refused
    assert "no text file" in ptune("pretrain", "corpus.text=x", folder=tmp_path, status=2)
