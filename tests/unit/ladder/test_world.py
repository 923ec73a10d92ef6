"""A world: its names are no other words, and the seed settles it."""

import re

from prompt_tuning.ladder.lexicon import FRAMES, NEUTRAL, known_words
from prompt_tuning.ladder.world import World, WorldConfig


def test_an_invented_name_is_no_other_word():
    """A creature called "same" would give a frame two meanings."""
    frames = " ".join(text for texts in (*FRAMES.values(), *NEUTRAL.values()) for text in texts)
    assert {*re.findall(r"[A-Za-z]\w*", frames), "yes", "snake", "music", "same"} <= known_words()
    large = World(WorldConfig(num_creatures=1000, num_words=1000))
    names = [each.name for each in [*large.entities, *large.words]]
    assert len(set(names)) == len(names) == 2080
    assert not known_words().intersection(names)


def test_the_seed_settles_the_world(world):
    again, other = World(WorldConfig()), World(WorldConfig(seed=1))
    assert vars(again) == vars(world)
    assert {each.name for each in other.entities} != {each.name for each in world.entities}
