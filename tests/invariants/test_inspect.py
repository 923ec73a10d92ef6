"""`ptune inspect`: right prompts are looked at, wrong ones refused, and the record says it all."""

import json
from functools import partial

import numpy as np
import pytest
import torch
from quick_runs import ON_LADDER, QUICK, lines_of, record_in

from prompt_tuning.data.tokenization import encode_texts
from prompt_tuning.inspection.neighbours import Vocabulary
from prompt_tuning.inspection.prompt_statistics import Question, statistics_of
from prompt_tuning.ladder.shipped_models import EMBEDDED_MODELS
from prompt_tuning.models import initializers
from prompt_tuning.models.embeddings import load_embedding_table
from prompt_tuning.prompt_files import save_prompt
from prompt_tuning.task_registry import TASKS


@pytest.fixture
def inspect(ptune):
    """`ptune inspect`."""
    return partial(ptune, "inspect", "tracking=none", 'output_dir="out, é"')


def prompt_of(checkpoint, **metadata):
    """What a prompt of the tiny model says about itself."""
    known = {"source": checkpoint.source, **checkpoint.fingerprints}
    return ON_LADDER | known | {"init": "sampled_vocab"} | metadata


@pytest.mark.parametrize("task", ["mini_sst2", "mini_rte"])
def test_every_label_is_in_its_row_of_a_class_label_init(task):
    """Before training nothing has drifted: whatever persists less later has been lost by it."""
    table = load_embedding_table(str(EMBEDDED_MODELS / "ladder_100k" / "6000"), None)
    words = TASKS[task].init_words
    ids = table.token_ids(with_control_tokens=False)
    vocabulary = Vocabulary(table.weight[ids], table.tokenizer.convert_ids_to_tokens(ids), ids)
    embedding, generator = torch.from_numpy(table.weight), torch.Generator().manual_seed(0)
    rest = initializers.sampled_vocab(20, embedding, sample_size=5000, generator=generator)
    init = initializers.class_label(
        rest, embedding, words=words, encode=lambda word: encode_texts([word], table.tokenizer)[0]
    ).numpy()
    label_ids = dict(zip(words, encode_texts([*words], table.tokenizer), strict=True))
    question = Question(vocabulary, 5, label_ids, frozenset(), has_label_rows=True)
    result, _ = statistics_of(question, init, init, num_draws=1, seed=0)
    for column in ("prompt", "init"):
        assert result["measures"][column]["labels_persist"] == 1
    assert [label["own_rank"] for label in result["labels"]] == [1] * len(words)
    assert "labels_persist" not in result["measures"]["random"]
    assert result["drift"]["mean_cosine"] == pytest.approx(1)
    assert result["drift"]["rms"] == 0


def test_a_prompt_of_ours_is_looked_at_on_its_own_model(inspect, tmp_path, tiny_checkpoint):
    """A prompt made of embeddings finds itself; its drift from what it was is in the record."""
    embedding = tiny_checkpoint.model.embedding.numpy()
    save_prompt(
        tmp_path / "mine.safetensors",
        4 * embedding[[50, 60, 70]],
        prompt_of(tiny_checkpoint),
        init=embedding[[50, 60, 71]],
    )
    shown = inspect("prompt=mine.safetensors", "show_rows=2").out
    record = record_in(tmp_path, "inspect-")
    assert (record["kind"], record["members"]) == ("inspect", [])
    assert record["model"]["fingerprint"] == tiny_checkpoint.fingerprints["fingerprint"]
    result = record["result"]
    assert result["measures"]["prompt"]["nearest_cosine"] == pytest.approx(1, abs=1e-5)
    assert result["drift"]["cosines"][:2] == pytest.approx([1, 1], abs=1e-4)
    assert result["drift"]["cosines"][2] < 0.9
    assert {label["word"] for label in result["labels"]} == {"positive", "negative"}
    assert 0 < result["domain"]["vocabulary_share"] < 1  # the mini tasks' texts are at hand
    assert record["data"]["train"]["split"] == "train"

    (folder,) = (tmp_path / "out, é").glob("inspect-mine-*")
    rows = json.loads((folder / "neighbours.json").read_text())
    nearest = [row["neighbours"][0]["piece"] for row in rows]
    assert nearest == tiny_checkpoint.tokenizer.convert_ids_to_tokens([50, 60, 70])
    (logged,) = lines_of(folder / "metrics.jsonl")
    assert logged["inspect/tightness"] == result["measures"]["prompt"]["tightness"]
    assert (folder / "map.png").stat().st_size and (folder / "map.svg").stat().st_size
    assert "the ones that are used here" in shown and "1 more rows" in shown

    before = (folder / "record.json").read_text()
    again = inspect("prompt=mine.safetensors", "show_rows=3")  # what is shown is no part of it
    assert "done before" in again.out
    assert (folder / "record.json").read_text() == before


def test_a_prompt_from_before_inits_were_kept_has_no_drift(inspect, tmp_path, tiny_checkpoint):
    """Nor has a single row a deviation."""
    weight = tiny_checkpoint.model.embedding.numpy()[[50]]
    save_prompt(tmp_path / "old.safetensors", weight, prompt_of(tiny_checkpoint))
    said = inspect("prompt=old.safetensors").out
    (norm,) = [line.split() for line in said.splitlines() if line.startswith("norm, prompt")]
    assert "no drift" in said and norm[3] == "-"
    result = record_in(tmp_path, "inspect-")["result"]
    assert result["drift"] is result["measures"]["init"] is result["norms"]["init"] is None


def test_other_weights_a_wrong_width_and_more_neighbours_than_pieces_are_refused(
    inspect, tmp_path, tiny_folder, tiny_checkpoint
):
    """Neighbours in the table of another model mean nothing."""
    weight = np.ones((3, 64), np.float32)
    save_prompt(tmp_path / "p.safetensors", weight, prompt_of(tiny_checkpoint, fingerprint="ab"))
    assert "other weights" in inspect("prompt=p.safetensors", status=2).err
    np.save(tmp_path / "wide.npy", np.ones((3, 65), np.float32))
    assert "65 wide" in inspect("prompt=wide.npy", f"model.path={tiny_folder}", status=2).err
    np.save(tmp_path / "p.npy", weight)
    many = inspect("prompt=p.npy", f"model.path={tiny_folder}", "top_k=100000", status=2).err
    assert "smaller top_k" in many
    assert not [*tmp_path.glob("out, é/inspect-*/record.json")]


def test_a_bare_array_needs_a_model_and_is_told_which_have_its_width(
    inspect, tmp_path, tiny_folder
):
    """The authors' files say nothing about themselves; a folder needs no variant to be read."""
    np.save(tmp_path / "p.npy", np.random.default_rng(0).standard_normal((6, 768)))
    said = inspect("prompt=p.npy", status=2).err
    assert "does not say which model" in said and "of this width: base" in said
    assert "needs a variant" in inspect("prompt=p.npy", "model=base", status=2).err
    np.save(tmp_path / "tiny.npy", np.random.default_rng(0).standard_normal((6, 64)))
    said = inspect("prompt=tiny.npy", f"model.path={tiny_folder}").out
    assert "the file does not say; 64 is the width of ladder_400k" in said
    assert record_in(tmp_path, "inspect-")["result"]["labels"] == []


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((), "one of them is needed"),
        (("prompt=absent.npy", "experiment=fig3b_ladder"), "one of them is needed"),
        (("prompt=absent.npy",), "does not exist"),
        (("prompt=empty.npy",), "cannot be read"),
        (("prompt=rowless.npy",), "shape (0, 64)"),
        (("experiment=section7_laddr",), "did you mean section7_ladder"),
        (("experiment=fig1_ladder_model_tuning",), "without a soft prompt"),
        (("experiment=fig3b_ladder", "model=ladder_400k"), "'train=[\"model=<name>\"]'"),
        (("experiment=fig3b_flan", "data.dir=data"), "'train=[\"data.dir=<name>\"]'"),
        (("experiment=fig3b_flan", "data.train_file=a"), "data.train_file= is for prompt="),
        (("prompt=rowless.npy", "top_k=1"), "2 or more"),
    ],
)
def test_what_cannot_be_looked_at_is_refused_before_a_model_is_loaded(
    inspect, tmp_path, arguments, reason
):
    (tmp_path / "empty.npy").write_bytes(b"")
    np.save(tmp_path / "rowless.npy", np.ones((0, 64), np.float32))
    assert reason in inspect(*arguments, status=2).err


def test_the_prompts_of_an_experiment_are_trained_and_looked_at(inspect, tmp_path):
    """A record names the run that its prompt is of, so that a report can find it from the plan.

    Asked for by its file, the same prompt has the same record: two would be too many for a report.
    Its rows' words are those that it was given, in a library too.
    """
    axes = ["model=ladder_100k", "task=mini_sst2", "init=class_label", "seed=0"]
    words = ["positive", "negative"]
    narrowed = json.dumps([*axes, "init.words=[positive,negative]", "prompt.length=4", *QUICK])
    inspect("experiment=section7_ladder", f"train={narrowed}", "show_rows=1")
    record = record_in(tmp_path, "inspect-")
    (member,) = record["members"]
    (run,) = (tmp_path / "out, é").glob("mini_sst2-*")
    assert (member["name"], member["seed"]) == (run.name, 0)
    trained = record_in(run)
    assert member["config"] == trained["config"]
    assert member["score"] == trained["result"]["report"]["score"]
    assert record["config"]["model"]["name"] == "ladder_100k"
    measures = record["result"]["measures"]
    assert measures["init"]["labels_persist"] == 1
    assert record["result"]["drift"]["rms"] > 0
    assert "done before" in inspect(f'prompt="{run}/prompt.safetensors"').out

    (tmp_path / "kept.safetensors").write_bytes((run / "prompt.safetensors").read_bytes())
    inspect("prompt=kept.safetensors")
    for each in (record, record_in(tmp_path, "inspect-kept")):
        assert [label["word"] for label in each["result"]["labels"]] == words
