"""evaluation.rank=labels, labels_per_token: the likeliest class label answers, and nothing else.

Source: Brown et al. (2020), section 2.4. Not the paper's way, which decodes greedily.
"""

import pytest
import torch
from quick_runs import config_of, evaluation_set, record_of, train_config_of

from prompt_tuning.commands import train
from prompt_tuning.config import RANKS
from prompt_tuning.data.sources import DataSpec, load_split
from prompt_tuning.errors import UserError
from prompt_tuning.evaluation import evaluate_prompt
from prompt_tuning.models.frozen_t5 import EOS_ID, Rows
from prompt_tuning.task_registry import TASKS

RTE = TASKS["mini_rte"]


@pytest.fixture
def examples():
    return list(load_split(RTE, "test", DataSpec("auto"), limit=20).examples)


@pytest.fixture
def prompt(tiny_checkpoint):
    torch.manual_seed(0)
    return 5 * torch.randn(4, tiny_checkpoint.model.hidden_size)


def log_probability(checkpoint, prompt, text, target):
    """Of a target behind a text, by the loss of training, one row alone."""
    inputs = torch.tensor([*checkpoint.encode_text(text), EOS_ID])
    encoded = checkpoint.model.encode(Rows.under(prompt, [inputs]))
    logits = checkpoint.model.target_logits(encoded, [torch.tensor(target)])
    return float(logits.log_softmax(-1)[range(len(target)), target].sum())


@pytest.mark.parametrize("rank", RANKS)
@pytest.mark.parametrize("with_sentinel", [False, True])
def test_the_likeliest_label_answers_each_example(
    tiny_checkpoint, prompt, examples, rank, *, with_sentinel
):
    """Label by label and row by row; a sentinel stands before the label, not in the answer."""
    variant = "span_corruption_sentinel" if with_sentinel else "lm_adapted"
    asked = [f"evaluation.rank={rank}", f"variant={variant}"]
    data = evaluation_set(tiny_checkpoint, RTE, examples, *asked)
    made = evaluate_prompt(tiny_checkpoint, prompt, data, max_tokens=128)
    before = [tiny_checkpoint.sentinel_id] if with_sentinel else []
    targets = [[*before, *tiny_checkpoint.encode_text(w), EOS_ID] for w in RTE.verbalizers]
    assert [ids.tolist() for ids in data.labels] == targets
    lengths = [len(ids) if rank == "labels_per_token" else 1 for ids in targets]
    assert len({*map(len, targets)}) > 1
    expected = []
    for example in examples:
        likely = [log_probability(tiny_checkpoint, prompt, example.inputs, ids) for ids in targets]
        likely = [value / length for value, length in zip(likely, lengths, strict=True)]
        expected.append(RTE.verbalizers[likely.index(max(likely))])
    assert made.predictions == expected
    assert made.scores.num_unparseable == 0


def test_prompt_design_that_ranks_has_no_illegal_answer(tiny_folder, tmp_path):
    """A model of random weights says nothing legal when it is decoded."""
    given = ["task=mini_rte", "method=prompt_design", "prompt.num_shots=1"]
    given += ["task.report_split=null"]
    num_illegal = {}
    for ranked in ("null", "labels"):
        config = config_of(tiny_folder, *given, f"evaluation.rank={ranked}")
        result = record_of(tmp_path / ranked, config)["result"]
        num_illegal[ranked] = result["num_unparseable"]
    assert num_illegal == {"null": 8, "labels": 0}
    assert "the likeliest class label answers" in (tmp_path / "labels" / "log.txt").read_text()


def test_free_text_cannot_be_ranked():
    given = ["task=mini_squad", "init=sampled_vocab", "evaluation.rank=labels"]
    with pytest.raises(UserError, match="task=mini_squad is answered with free text"):
        train_config_of(*given, check=train.check)
