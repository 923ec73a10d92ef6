"""Where decoding stops unless the config says so."""

import pytest
from quick_runs import evaluation_set

from prompt_tuning.composition import composed
from prompt_tuning.task_registry import TASKS
from prompt_tuning.tasks import Example
from prompt_tuning.tasks.base import UNKNOWN

LABELLED = Example("a", "neutral", 0, label=2)
CLASSLESS = Example("a", UNKNOWN, 0)
WORDS = Example("a", "joy", 0, answers=("joy", "a joy to watch"))
WORDLESS = Example("a", UNKNOWN, 0, answers=())


@pytest.mark.parametrize(
    ("task", "examples", "taught", "longest"),
    [
        ("cb", [LABELLED], None, "contradiction"),
        ("cb", [CLASSLESS], None, "contradiction"),
        ("mrpc", [Example("a", "equivalent", 0, label=1)], "qqp", "not_duplicate"),
        ("mrpc", [CLASSLESS], "qqp", "not_duplicate"),
        ("squad", [WORDS], None, "a joy to watch"),
        ("squad", [WORDS, WORDLESS], None, None),
        ("wsc", [Example("a", "joy", 0)], None, None),
    ],
)
@pytest.mark.parametrize("sentinel", [False, True])
def test_every_answer_that_may_be_right_fits(
    tiny_checkpoint, task, examples, taught, longest, sentinel
):
    """Also a class that the split lacks; unknown text may be as long as predict lets it be."""
    variant = "variant=span_corruption_sentinel" if sentinel else "variant=lm_adapted"
    taught = taught and TASKS[taught]
    data = evaluation_set(tiny_checkpoint, TASKS[task], examples, variant, taught=taught)
    expected = composed("predict", ["input=-", "output=-"]).max_target_tokens
    if longest:
        expected = len(tiny_checkpoint.encode_text(longest)) + 1 + sentinel
    assert data.max_target_tokens == expected
