"""`ptune ensemble`: members score as they do alone, in one pass; the vote is theirs."""

import json
import shutil
from collections import Counter
from dataclasses import asdict

import numpy as np
import pytest
from quick_runs import ON_LADDER, QUICK, lines_of, load_exactly, record_in, run_in

from prompt_tuning.commands.ensemble import check, training_overrides
from prompt_tuning.composition import composed, planned_runs
from prompt_tuning.config import IGNORED_KEYS
from prompt_tuning.data.batches import split_by_tokens
from prompt_tuning.models.frozen_t5 import FrozenT5
from prompt_tuning.prompt_files import load_prompt, save_prompt
from prompt_tuning.report.records import Library, read_runs
from prompt_tuning.training import tuning

NARROW = 'train=["model=ladder_100k","task=mini_rte"]'
SETTINGS = ["tracking=none", "machine.num_threads=1", "output_dir=runs"]


def record_of(folder, kind):
    """The only record of a kind; it is taken away, so that the next is the only one again."""
    record = record_in(folder, kind)
    (run,) = folder.glob(f"runs/{kind}-*")
    record["predictions"] = {
        file.stem: [line["prediction"] for line in lines_of(file)]
        for file in run.glob("predictions/*.jsonl")
    }
    shutil.rmtree(run)
    return record


@pytest.fixture
def prompts(tmp_path):
    """Three prompts of different lengths: words with noise, so that answers differ."""
    checkpoint = load_exactly("embedded:ladder_100k/6000")
    embedding = checkpoint.model.embedding.float().numpy()
    metadata = ON_LADDER | checkpoint.fingerprints | {"task": "mini_squad"}
    paths = []
    for seed, length in enumerate((1, 4, 9)):
        rng = np.random.default_rng(seed)
        weight = embedding[rng.integers(3, 400, length)] + 0.1 * rng.standard_normal((1, 1))
        paths.append(tmp_path / f"{seed}.safetensors")
        score = [50.0, 60.0, 40.0][seed]
        save_prompt(paths[-1], weight.astype(np.float32), {**metadata, "score": score})
    return paths


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Three prompts, trained long enough to be right now and then."""
    folder = tmp_path_factory.mktemp("trained")
    own = ["model=ladder_100k", "task=mini_sst2", "seed=0,1,2"]
    short = ["training.num_steps=40", "evaluation.every_steps=40", "evaluation.num_examples=60"]
    short += ["evaluation.report_split=null"]
    run_in(folder, "train", "-m", *own, *short, *SETTINGS)
    return sorted(folder.glob("runs/*/prompt.safetensors"))


def listed(paths):
    return f"prompts=[{','.join(map(str, paths))}]"


@pytest.mark.parametrize(
    ("task", "given_prompts"), [("mini_sst2", "trained"), ("mini_squad", "prompts")]
)
def test_members_answer_and_score_as_they_do_alone(ptune, tmp_path, request, task, given_prompts):
    """The one pass gives what a pass for each prompt gives, whatever else is in its batches."""
    prompts = request.getfixturevalue(given_prompts)
    given = [f"task={task}", "evaluation.num_examples=60", *SETTINGS]
    ptune("ensemble", listed(prompts), *given)
    found = record_of(tmp_path, "ensemble")
    alone = []
    for path in prompts:
        ptune("evaluate", f"prompt={path}", *given)
        alone.append(record_of(tmp_path, "evaluate"))
    own = [found["predictions"][f"prompt-{index}"] for index in range(3)]
    assert own == [record["predictions"]["predictions"] for record in alone]
    keys = ("metrics", "score", "num_examples", "num_unparseable")
    assert [member["scores"] for member in found["members"]] == [
        {key: record["result"][key] for key in keys} for record in alone
    ]
    scores = [record["result"]["score"] for record in alone]
    assert found["result"]["average"]["score"] == pytest.approx(sum(scores) / 3)
    assert found["result"]["best"]["score"] == max(scores)
    assert (len({*scores}) > 1) == (given_prompts == "trained")  # not only zeros are compared
    assert len({*map(tuple, own)}) == 3  # the prompts do make it say different things
    voted = found["predictions"]["ensemble"]
    for index, answers in enumerate(zip(*own, strict=True)):
        text, most = Counter(answers).most_common(1)[0]
        assert voted[index] == text if most > 1 else voted[index] in answers
    assert found["kind"] == "ensemble"
    saved = [load_prompt(path).metadata["score"] for path in prompts]
    assert [member["dev_score"] for member in found["members"]] == saved


@pytest.mark.parametrize("budget", [500, 100_000])
def test_all_prompts_share_the_batches_of_one_pass(ptune, monkeypatch, tmp_path, prompts, budget):
    """As many forward passes as the budget of tokens asks for, each of several prompts' rows."""
    encode = FrozenT5.encode
    seen = []

    def counted(self, rows):
        seen.append((rows.lengths, rows.prompt_of_row))
        return encode(self, rows)

    monkeypatch.setattr(FrozenT5, "encode", counted)
    given = ["task=mini_boolq", "evaluation.num_examples=40", *SETTINGS]
    given.append(f"machine.max_tokens_per_micro_batch={budget}")
    ptune("ensemble", listed(prompts), *given)
    lengths = [length for batch, _ in seen for length in batch]
    assert len(seen) == len(split_by_tokens(lengths, budget)) == {500: 6, 100_000: 1}[budget]
    assert Counter(k for _, prompts in seen for k in prompts) == {0: 40, 1: 40, 2: 40}
    assert max(len(set(prompts)) for _, prompts in seen) == {500: 2, 100_000: 3}[budget]
    cost = record_of(tmp_path, "ensemble")["cost"]
    assert (cost["num_rows"], cost["num_forward_passes"]) == (120, len(seen))
    model, width = 121_344, 32
    assert cost["num_parameters_ensemble"] == model + 14 * width
    assert cost["num_parameters_models"] == 3 * model


def test_the_same_vote_is_not_done_again_and_another_tie_rule_is_another_vote(
    ptune, tmp_path, prompts
):
    """With `best`, a three-way split goes to the prompt with the best dev score, the second."""
    given = ["task=mini_squad", "evaluation.num_examples=60", *SETTINGS]
    assert "ensemble  f1" in ptune("ensemble", listed(prompts), *given).out
    assert "done before" in (printed := ptune("ensemble", listed(prompts), *given).out)
    assert "ensemble  f1" in printed
    (path,) = tmp_path.glob("runs/ensemble-*/metrics.jsonl")
    (logged,) = lines_of(path)
    first = record_of(tmp_path, "ensemble")
    assert logged["best/score"] == first["result"]["best"]["score"]
    ptune("ensemble", listed(prompts), *given, "tie=best")
    best = record_of(tmp_path, "ensemble")
    assert first["config_hash"] != best["config_hash"]
    assert first["result"]["num_ties"] == best["result"]["num_ties"] > 0
    split = [
        index
        for index in range(60)
        if len({first["predictions"][f"prompt-{k}"][index].lower() for k in range(3)}) == 3
    ]
    assert split
    for index in split:
        assert first["predictions"]["ensemble"][index] == first["predictions"]["prompt-0"][index]
        assert best["predictions"]["ensemble"][index] == best["predictions"]["prompt-1"][index]


def test_what_cannot_vote_is_refused_before_a_model_is_loaded(
    ptune, monkeypatch, tmp_path, prompts
):
    monkeypatch.setattr(
        "prompt_tuning.model_choice.load_source", lambda *_: pytest.fail("the model was loaded")
    )
    names = ("copy", "other", "x", "qqp", "rte", "extra_id")
    copied, other, silent, qqp, rte, extra_id = (tmp_path / f"{name}.safetensors" for name in names)
    shutil.copy(prompts[0], copied)
    prompt = load_prompt(prompts[0])
    save_prompt(other, np.ones((2, 8), np.float32), {**prompt.metadata, "source": "elsewhere"})
    save_prompt(silent, prompt.weight + 1, {**prompt.metadata, "score": None})
    for path in (qqp, rte):
        save_prompt(path, prompt.weight + 2, {**prompt.metadata, "task": path.stem})
    save_prompt(extra_id, prompt.weight + 3, {**prompt.metadata, "target_sentinel": True})
    two = prompts[:2]
    for arguments, message in (
        ([listed(prompts[:1])], "1 prompt is no ensemble"),
        ([listed([*two, copied])], f"{prompts[0]} and {copied} are the same prompt"),
        ([listed([two[0], two[0]])], "are the same prompt"),
        ([listed([*two, other])], f"{other}: elsewhere, width 8"),
        ([listed([*two, silent]), "tie=best"], f"tie=best: {silent} has no score"),
        ([listed([*two, tmp_path / "none.npy"])], "none.npy does not exist"),
        ([listed([*two, extra_id])], f"trained with a sentinel before the targets: {extra_id}"),
        ([listed([*two, qqp])], f"of mini_squad: {two[0]}, {two[1]}; of qqp: {qqp}"),
        ([listed([*two, rte])], f"of mini_squad: {two[0]}, {two[1]}; of rte: {rte}"),
        ([listed(two), "tie=last"], "tie=last is not possible"),
        ([listed(two), "experiment=table3"], "both prompts= and experiment= given"),
        ([], "neither prompts= nor experiment= given"),
    ):
        assert message in ptune("ensemble", *arguments, "task=mrpc", status=2).err
    assert "prompts= needs the task" in ptune("ensemble", listed(two), status=2).err


def test_an_experiment_trains_what_is_missing_and_votes_on_what_its_runs_report(
    ptune, monkeypatch, tmp_path
):
    """Four seeds, two at a time: two ensembles on test, found by the runs that they are about."""
    trained = []
    train = tuning.train
    monkeypatch.setattr(
        tuning, "train", lambda config, folder: (trained.append(config), train(config, folder))
    )
    own = ["model=ladder_100k", "task=mini_boolq", "seed=3,1,0,2", *QUICK]
    given = f"train={json.dumps(own)}"
    arguments = ["ensemble", "experiment=table3_ladder", given, "num_prompts=2", *SETTINGS]
    ptune(*arguments)
    assert [config.seed for config in trained] == [3, 1, 0, 2]
    assert {config.tracking.name for config in trained} == {"none"}
    library = Library(read_runs(tmp_path / "runs"), IGNORED_KEYS)
    plan = {config.seed: asdict(config) for config in trained}
    for pair in ((0, 1), (3, 2)):
        found = library.find("ensemble", [plan[seed] for seed in pair], tie="first")
        assert found is not None
        assert [member["seed"] for member in found.content["members"]] == sorted(pair)
        for member in found.content["members"]:
            run = json.loads((tmp_path / "runs" / member["name"] / "record.json").read_text())
            report = run["result"]["report"]
            assert member["scores"]["metrics"] == report["metrics"]
            assert report["split"] == found.content["result"]["split"] == "test"
            assert member["dev_score"] == run["result"]["score"]
        assert found.content["result"]["floor"]["majority"] == 50.0
    assert library.find("ensemble", [plan[0], plan[2]]) is None
    assert library.find("ensemble", [plan[0], plan[1]], tie="best") is None
    assert library.find("inspect", [plan[0], plan[1]]) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["experiment=fig1_ladder", NARROW], "has 3 seeds"),
        (["experiment=fig1_ladder_model_tuning", NARROW, "num_prompts=3"], "choose an experiment"),
        (["experiment=table33"], "there is no such experiment"),
        (["experiment=table3_ladder", "task=mini_rte"], "task= is for prompts="),
        (["experiment=table3_ladder", "num_prompts=1"], "num_prompts=1 is out of range"),
    ],
)
def test_an_experiment_that_cannot_vote_is_refused_before_it_is_trained(
    ptune, monkeypatch, arguments, message
):
    monkeypatch.setattr(tuning, "train", lambda *_: pytest.fail("a run was trained"))
    assert message in ptune("ensemble", *arguments, *SETTINGS, status=2).err


def test_an_experiment_is_trained_where_the_command_writes():
    """Whatever letters the place has."""
    arguments = ["experiment=table3_ladder", NARROW, 'output_dir="café, tôt"']
    cfg = composed("ensemble", arguments)
    overrides = training_overrides(check(cfg))
    assert {run.output_dir for run in planned_runs("table3_ladder", overrides)} == {"café, tôt"}


def test_records_of_given_prompts_are_about_no_runs_and_do_not_stop_a_library(tmp_path):
    (tmp_path / "a").mkdir()
    path = tmp_path / "a" / "record.json"
    path.write_text(json.dumps({"kind": "ensemble", "members": [{"path": "a"}], "config": {}}))
    assert Library(read_runs(tmp_path), IGNORED_KEYS).find("ensemble", []) is None
