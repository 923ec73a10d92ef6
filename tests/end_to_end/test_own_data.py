"""A user's CSV: trained on, answered with probabilities, exported, the same answers from PEFT."""

import csv
import importlib.util

import pytest
import torch
from peft import PeftModel
from quick_runs import EXAMPLE, lines_of, record_in, run_in
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, GenerationConfig

from prompt_tuning.models.checkpoint_files import located

OWN = ["--config-dir", str(EXAMPLE), "task=topics", f"data.dir={EXAMPLE}", "tracking=none"]
FLAN = ["model=flan_small_int8", "training.num_steps=2", "evaluation.every_steps=2"]
TEXT = "headline: {title} text: {text}"
LABELS = ("sea", "money", "music")


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def trained_in(folder, *settings):
    """The folder of a run on the worked example."""
    (record,) = run_in(folder, "train", *OWN, *settings).glob("runs/topics-*/record.json")
    return record.parent


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    quick = ["training.num_steps=40", "evaluation.every_steps=20"]
    return trained_in(tmp_path_factory.mktemp("own"), *quick)


def said_by_the_card(folder, text, capsys):
    """What the program on the card of an exported prompt prints about a text."""
    card = (folder / "README.md").read_text().replace("<this folder>", str(folder))
    program = card.split("```python")[1].split("```")[0].replace(TEXT, text)
    capsys.readouterr()
    exec(program, {})
    return capsys.readouterr().out


def test_a_table_is_answered_and_its_prompt_exported_and_read_by_peft(
    ptune, tmp_path, capsys, trained
):
    ranked = ["rank=labels", "probabilities=true"]
    answer = ["predict", f"prompt={trained}", f"input={EXAMPLE / 'test.csv'}"]
    ptune(*answer, "output=ranked.csv", *ranked)
    rows = table(tmp_path / "ranked.csv")
    assert [row["id"] for row in rows] == [str(number) for number in range(60)]
    for row in rows:
        shares = {label: float(row[f"probability_{label}"]) for label in LABELS}
        assert sum(shares.values()) == pytest.approx(1)
        assert row["prediction"] == max(shares, key=shares.__getitem__)

    ptune(*answer, "output=said.jsonl")
    said = [line["prediction"] for line in lines_of(tmp_path / "said.jsonl")]
    source = record_in(trained)["model"]["source"]
    base = AutoModelForSeq2SeqLM.from_pretrained(located(source), dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(located(source))
    texts = [TEXT.format_map(row) for row in rows]
    batch = tokenizer(texts, return_tensors="pt", padding=True)
    for submodules in (1, 2):
        form = [f"output=peft{submodules}", f"num_transformer_submodules={submodules}"]
        ptune("export", f"prompt={trained}", *form)
        folder = tmp_path / f"peft{submodules}"
        model = PeftModel.from_pretrained(base, folder).eval()
        with torch.no_grad():
            answers = model.generate(
                **batch, generation_config=GenerationConfig.from_pretrained(folder)
            )
        assert tokenizer.batch_decode(answers, skip_special_tokens=True) == said
        base = model.get_base_model()
    assert said_by_the_card(tmp_path / "peft1", texts[0], capsys) == f"{said[0]}\n"

    # What was exported is used here as the run is: its file says which task and model it has.
    ptune("predict", "prompt=peft1", *answer[2:], "output=again.csv", *ranked)
    again = table(tmp_path / "again.csv")
    assert [row["prediction"] for row in again] == [row["prediction"] for row in rows]


@pytest.mark.skipif(
    importlib.util.find_spec("traceforge_title_model") is None, reason="pip install 'ptune[flan]'"
)
def test_a_packaged_model_is_trained_on_a_table_and_exported(ptune, tmp_path, capsys):
    run = trained_in(tmp_path, *FLAN, "training.batch_size=2", "evaluation.report_split=null")
    (tmp_path / "row.csv").write_text("title,text\nthe anchor,a talk of the reef\n")
    ptune("predict", f"prompt={run}", "input=row.csv", "output=said.jsonl")
    (row,) = lines_of(tmp_path / "said.jsonl")
    ptune("export", f"prompt={run}", "output=peft")
    said = said_by_the_card(tmp_path / "peft", TEXT.format_map(row), capsys)
    assert said == f"{row['prediction']}\n"


def test_the_worked_example_is_shown_and_its_prompt_evaluated_on_its_task(ptune, tmp_path, trained):
    shown = ptune("show", *OWN[:-1]).out
    assert "train       150 examples" in shown and "labels    sea 56, money 48, music 46" in shown
    reported = record_in(trained)["result"]["report"]
    assert reported["metrics"]["accuracy"] >= 90
    places = [f"data.test_file={EXAMPLE / 'test.csv'}", "split=test", "tracking=none"]
    ptune("evaluate", f"prompt={trained}", *places)
    result = record_in(tmp_path, "evaluate-topics-test-")["result"]
    assert {key: result[key] for key in reported} == reported
