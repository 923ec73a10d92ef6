"""A user's CSV: trained on, answered with probabilities, exported, the same answers from PEFT."""

import csv
import importlib.util
import json
import random

import pytest
import torch
from peft import PeftModel
from quick_runs import EXAMPLE
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, GenerationConfig

from prompt_tuning.ladder.lexicon import TOPICS
from prompt_tuning.models.checkpoint_files import located

LABELS = ("sea", "money", "music")
LADDER = ["model=ladder_400k", "training.num_steps=60", "evaluation.every_steps=20"]
FLAN = ["model=flan_small_int8", "training.num_steps=2", "evaluation.every_steps=2"]


def write_table(path, num_rows, seed):
    """Rows of three topics: words that go with each, in a sentence."""
    rng = random.Random(seed)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text", "topic"])
        for number in range(num_rows):
            topic = LABELS[number % 3]
            first, second = rng.sample(TOPICS[topic], 2)
            writer.writerow([number, f"we saw a {first}, and then a {second}.", topic])


@pytest.mark.parametrize(
    ("settings", "num_asked", "least"),
    [
        pytest.param(LADDER, 60, 90.0, id="ladder"),
        pytest.param(
            FLAN,
            12,
            0.0,  # two steps teach nothing for certain
            id="flan",
            marks=pytest.mark.skipif(
                importlib.util.find_spec("traceforge_title_model") is None,
                reason="pip install 'ptune[flan]'",
            ),
        ),
    ],
)
def test_a_table_is_trained_on_answered_exported_and_read_by_peft(
    ptune,
    tmp_path,
    capsys,
    settings,
    num_asked,
    least,
):
    for name, num_rows, seed in (("train", 240, 0), ("test", num_asked, 1)):
        write_table(tmp_path / f"{name}.csv", num_rows, seed)
    task = ["task=own", "task.name=topics", "task.inputs='text: {text}'", "task.label=topic"]
    files = ["data.train_file=train.csv", "data.test_file=test.csv"]
    quiet = ["tracking=none", "prompt.length=20", "training.batch_size=16"]
    scored = ["evaluation.split=held_out", "data.num_held_out=20", "evaluation.report_split=test"]
    run = ["train", *task, *files, *quiet, *scored, *settings]
    ptune(*run)
    (record,) = tmp_path.glob("runs/topics-*/record.json")
    assert json.loads(record.read_text())["result"]["report"]["score"] >= least

    prompt = f"prompt={record.parent}"
    ranked = ["rank=labels", "probabilities=true"]
    answer = ["predict", prompt, "input=test.csv"]
    ptune(*answer, "output=ranked.csv", *ranked)
    with (tmp_path / "ranked.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == [str(number) for number in range(num_asked)]
    for row in rows:
        shares = {label: float(row[f"probability_{label}"]) for label in LABELS}
        assert sum(shares.values()) == pytest.approx(1)
        assert row["prediction"] == max(shares, key=shares.__getitem__)

    ptune(*answer, "output=said.jsonl")
    said = [json.loads(line)["prediction"] for line in (tmp_path / "said.jsonl").open()]
    source = json.loads(record.read_text())["model"]["source"]
    base = AutoModelForSeq2SeqLM.from_pretrained(located(source), dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(located(source))
    texts = [f"text: {row['text']}" for row in rows]
    batch = tokenizer(texts, return_tensors="pt", padding=True)
    for submodules in (1, 2):
        form = [f"output=peft{submodules}", f"num_transformer_submodules={submodules}"]
        ptune("export", prompt, *form)
        folder = tmp_path / f"peft{submodules}"
        model = PeftModel.from_pretrained(base, folder).eval()
        with torch.no_grad():
            answers = model.generate(
                **batch, generation_config=GenerationConfig.from_pretrained(folder)
            )
        assert tokenizer.batch_decode(answers, skip_special_tokens=True) == said
        base = model.get_base_model()
    card = (tmp_path / "peft1" / "README.md").read_text().replace("<this folder>", "peft1")
    snippet = card.split("```python")[1].split("```")[0].replace("text: {text}", texts[0])
    capsys.readouterr()
    exec(snippet, {})
    assert capsys.readouterr().out == f"{said[0]}\n"

    # What was exported is used here as the run is: its file says which task and model it has.
    answer = ["predict", "prompt=peft1", "input=test.csv", "output=again.csv", *ranked]
    ptune(*answer)
    with (tmp_path / "again.csv").open(newline="") as file:
        again = list(csv.DictReader(file))
    assert [row["prediction"] for row in again] == [row["prediction"] for row in rows]


def test_the_worked_example_is_shown_trained_and_its_prompt_evaluated_on_its_task(ptune, tmp_path):
    own = ["--config-dir", str(EXAMPLE), "task=topics", f"data.dir={EXAMPLE}"]
    shown = ptune("show", *own).out
    assert "train       150 examples" in shown and "labels    sea 56, money 48, music 46" in shown
    quick = ["training.num_steps=40", "evaluation.every_steps=20", "tracking=none"]
    ptune("train", *own, *quick)
    (record,) = tmp_path.glob("runs/topics-*/record.json")
    reported = json.loads(record.read_text())["result"]["report"]
    assert reported["metrics"]["accuracy"] >= 90

    places = [f"data.test_file={EXAMPLE / 'test.csv'}", "split=test", "tracking=none"]
    ptune("evaluate", f"prompt={record.parent}", *places)
    (again,) = tmp_path.glob("runs/evaluate-topics-test-*/record.json")
    result = json.loads(again.read_text())["result"]
    assert {key: result[key] for key in reported} == reported
