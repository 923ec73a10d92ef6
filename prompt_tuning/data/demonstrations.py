"""Prompt design: solved training examples as text in front of what is to be answered.

The template is "<inputs> <targets>. " for every example and "<inputs>" for the query, in the task's
own text format; an answer ends where the model goes on to something else.
Deviation: GPT-3 parts examples by an empty line (Brown et al., 2020, appendix G). T5's vocabulary
has no line break, so that a full stop does it; a free-text answer that has one inside ("U.S. Army")
loses what follows.
Deviation: GPT-3 drew new examples for every query but those of WSC and MultiRC (section 3.7); here
the seed draws them once.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from prompt_tuning.tasks import Example, Task

SEPARATOR = "."
PUNCTUATION = ".,;:!?"


def draw(examples: Sequence[Example], num_shots: int, seed: int) -> list[Example]:
    """`num_shots` training examples in random order, or all if there are fewer.

    Fewer shots of the same seed are the first of more.
    """
    order = np.random.default_rng(seed).permutation(len(examples))
    return [examples[i] for i in order[:num_shots]]


def those_that_fit(
    examples: Sequence[Example], encode: Callable[[str], list[int]], max_tokens: int | None
) -> list[Example]:
    """The examples that make a prompt of at most `max_tokens` tokens, in their order.

    One that is too long for what is left is passed over, so that long ones are rarer than in the
    data. The query does not count: it comes on top, as it does of a soft prompt, and is never cut.
    `encode` gives a text's token ids, without EOS; with `max_tokens` None all fit.
    """
    kept: list[Example] = []
    for example in examples:
        if max_tokens is None or len(encode(prompt_text([*kept, example]))) <= max_tokens:
            kept.append(example)
    return kept


def prompt_text(examples: Sequence[Example]) -> str:
    """What stands in front of every query; "" without examples."""
    return "".join(f"{each.inputs} {each.targets}{SEPARATOR} " for each in examples)


def with_prompt(examples: Sequence[Example], text: str) -> list[Example]:
    """The examples as queries behind a prompt."""
    return [replace(each, inputs=text + each.inputs) for each in examples]


def ends_of_answer(task: Task) -> str:
    """The characters at which an answer ends: the separator, of a class any mark.

    A model may say why it chose a class: "entailment, snake." Those in a class's name do not count.
    """
    return PUNCTUATION if task.verbalizers else SEPARATOR
