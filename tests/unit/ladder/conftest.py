"""The default world, and a good deal of its text."""

from itertools import islice

import pytest

from prompt_tuning.ladder.running_text import FACTS_MIX, FULL_MIX, documents
from prompt_tuning.ladder.world import World, WorldConfig


@pytest.fixture(scope="session")
def world():
    return World(WorldConfig())


@pytest.fixture(scope="session")
def running_text(world):
    """5,000 documents of each mix, one a line."""
    return "\n".join(
        text
        for mix in (FACTS_MIX, FULL_MIX)
        for text in islice(documents(world, seed="test", mix=mix), 5_000)
    )
