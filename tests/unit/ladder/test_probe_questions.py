"""Probes: questions that documents ask, with their answers."""

import pytest

from prompt_tuning.ladder.probe_questions import CHANCE, probes
from prompt_tuning.ladder.running_text import documents


@pytest.mark.parametrize("kind", CHANCE)
def test_probes_are_the_documents_own_questions(world, kind):
    stream = documents(world, seed="probes", mix={kind: 1.0}, num_sentences=(1, 1))
    text = "\n".join(next(stream) for _ in range(20_000))
    asked = probes(world, 20)[kind]
    assert len(asked) == 20
    found = [probe for probe in asked if f"{probe.question} {probe.answer}" in text]
    assert len(found) >= 10  # the stream is random; a wrong answer is never in it


def test_always_the_same_probes(world):
    assert probes(world, 5) == probes(world, 5)
