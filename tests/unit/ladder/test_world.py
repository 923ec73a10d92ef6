"""A world's facts: balanced, split without overlap, and fixed by the seed."""

import re
from collections import Counter

import pytest

from prompt_tuning.ladder.lexicon import ATTRIBUTES, FRAMES, NEUTRAL, known_words
from prompt_tuning.ladder.world import SPLITS, World, WorldConfig


@pytest.mark.parametrize("domain", ATTRIBUTES)
def test_every_value_of_an_attribute_is_equally_frequent(world, domain):
    """Else the commonest value would be a guess above chance."""
    entities = world.of_domain(domain)
    for attribute in ATTRIBUTES[domain]:
        counts = Counter(entity.facts[attribute.name] for entity in entities)
        assert counts == dict.fromkeys(attribute.values, len(entities) // len(attribute.values))


def test_splits_have_their_shares(world):
    groups = [world.of_domain(domain) for domain in ATTRIBUTES] + [world.words]
    assert [len(group) for group in groups] == [240, 80, 24]
    for group in groups:
        counts = Counter(member.split for member in group)
        for split, share in zip(SPLITS, (0.40, 0.15, 0.45), strict=True):
            assert counts[split] == pytest.approx(share * len(group), abs=1)
    for split, num_cues in zip(SPLITS, (5, 2, 5), strict=True):
        assert {len(cues) for cues in world.cues[split].values()} == {num_cues}


def test_nothing_is_in_two_splits(world):
    """A task's dev and test items ask about things that its train items never named."""
    split_of = {}
    members = [(each.name, each.split) for each in [*world.entities, *world.words]]
    members += [(c, s) for s, topics in world.cues.items() for cs in topics.values() for c in cs]
    for name, split in members:
        assert name not in split_of
        split_of[name] = split
    assert len(split_of) == 240 + 80 + 24 + 4 * 12


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
