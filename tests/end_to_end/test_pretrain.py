"""`ptune pretrain` and `ptune adapt` as a user runs them, and a prompt on what comes out."""

import pytest
import quick_runs
from quick_runs import record_in
from transformers import T5ForConditionalGeneration

TINY = [*quick_runs.SMALLEST, "vocabulary.num_pieces=150"]
QUICK = [
    *("corpus.text=text.txt", "corpus.held_out_fraction=0.2", "objective.inputs_length=24"),
    *("pretraining.batch_size=4", "evaluation.every_steps=2", "evaluation.num_segments=4"),
    "tracking=none",
]


def write(path, animal):
    lines = [f"the {animal} number {i} sat on the mat and saw a dog .\n" for i in range(60)]
    path.write_text("\n".join(lines))


def test_a_model_is_pretrained_adapted_and_prompted(ptune, tmp_path):
    write(tmp_path / "text.txt", "cat")
    ptune("pretrain", "name=nano", "pretraining.num_steps=4", *TINY, *QUICK)
    (pretrained,) = (tmp_path / "checkpoints").glob("nano-*")
    record = record_in(pretrained)
    assert record["kind"] == "pretrain"
    assert record["result"]["num_tokens"] > 0 and record["result"]["held_out_loss"] > 0
    model = T5ForConditionalGeneration.from_pretrained(pretrained)
    assert model.config.d_model == 16

    adapt = ["adapt", f"checkpoint={pretrained}", "pretraining.num_steps=4", *QUICK]
    ptune(*adapt, "pretraining.save_at_steps=[2]")
    (adapted,) = (tmp_path / "checkpoints").glob("lm_adapted-*")
    assert (adapted / "step-2" / "model.safetensors").exists()
    assert "done before" in ptune(*adapt, "pretraining.save_at_steps=[2]").out

    train = ["train", f"model.path={adapted}", "recipe=mini", *quick_runs.QUICK, "tracking=none"]
    assert "score" in ptune(*train, "evaluation.report_split=null").out


def test_a_pretraining_stands_as_long_as_the_files_that_it_was_made_from(ptune, tmp_path):
    """The text, the held-out text and the vocabulary, each by its content."""

    def made(*overrides):
        given = ["pretrain", "name=nano", "pretraining.num_steps=1", *TINY, *QUICK, *overrides]
        said = ptune(*given).out
        folder = max(tmp_path.glob("checkpoints/nano-*"), key=lambda path: path.stat().st_mtime)
        return said, (folder / "first" / "spiece.model").read_bytes()

    for name in ("text.txt", "held_out.txt"):
        write(tmp_path / name, "cat")
    own = ["corpus.held_out_text=held_out.txt"]
    _, of_cats = made(*own)
    write(tmp_path / "text.txt", "walrus")
    said, of_walruses = made(*own)
    assert "done before, but its text has changed since" in said
    assert of_walruses != of_cats, "the vocabulary of the other text"

    own.append("vocabulary.path=own.model")
    (tmp_path / "own.model").write_bytes(of_cats)
    made(*own)
    assert "is done again" not in made(*own)[0]
    (tmp_path / "own.model").write_bytes(of_walruses)
    assert "its vocabulary has changed since" in made(*own)[0]
    write(tmp_path / "held_out.txt", "walrus")
    assert "its held-out text has changed since" in made(*own)[0]
    assert "is done again" not in made(*own)[0]


@pytest.mark.parametrize(
    ("arguments", "reasons"),
    [
        (["adapt", "corpus.text=x"], ["checkpoint is missing"]),
        (["pretrain"], ["text comes from one place"]),
        (["pretrain", "objective.name=mlm"], ["objective.name=mlm", "span_corruption"]),
        (["pretrain", "corpus.text=x"], ["no text file"]),
    ],
)
def test_what_is_missing_is_said_before_anything_is_loaded(ptune, arguments, reasons):
    said = ptune(*arguments, status=2).err
    assert all(reason in said for reason in reasons)
