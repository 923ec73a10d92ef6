"""Mini tasks: their formats, right answers, and splits that share no entity."""

import re

import pytest

from prompt_tuning.ladder.items import ITEM_MAKERS, task_items
from prompt_tuning.ladder.lexicon import CLASS_OF, POLARITY_OF
from prompt_tuning.ladder.world import SPLITS


@pytest.fixture
def topic_of(world):
    return {c: t for topics in world.cues.values() for t, cs in topics.items() for c in cs}


def facts_named(world, text):
    words = set(re.findall(r"\w+", text))
    (facts,) = (entity.facts for entity in world.entities if entity.name in words)
    return facts


@pytest.mark.parametrize("task", ITEM_MAKERS)
def test_splits_ask_about_different_things(world, task):
    split_of = {each.name: each.split for each in world.entities}
    if task in ("wic", "copa"):
        cues = [(c, s) for s, topics in world.cues.items() for cs in topics.values() for c in cs]
        split_of = {word.name: word.split for word in world.words} | dict(cues)
    for split in SPLITS:
        for item in task_items(world, task, split, 200):
            named = {split_of[w] for w in re.findall(r"\w+", item.inputs) if w in split_of}
            assert named == {split}, item


@pytest.mark.parametrize("task", ["squad", "squad_b"])
def test_an_answer_is_the_fact_asked_for(world, task):
    items = task_items(world, task, "test", 200)
    assert all(item.target == facts_named(world, item.inputs)[item.attribute] for item in items)
    assert len({item.attribute for item in items}) == (5 if task == "squad" else 3)


@pytest.mark.parametrize(("task", "asked"), [("boolq", "colour"), ("boolq_b", "port")])
def test_boolq_is_true_if_the_question_names_the_fact(world, task, asked):
    for item in task_items(world, task, "test", 200):
        assert item.attribute == asked
        fact = facts_named(world, item.inputs)[asked]
        assert item.target == str(f" {fact}" in dict(item.fields)["question"])


def test_rte_entails_if_the_hypothesis_names_the_class(world):
    for item in task_items(world, "rte", "test", 200):
        fact = CLASS_OF[facts_named(world, item.inputs)["kind"]]
        entailed = f"a {fact}" in dict(item.fields)["hypothesis"]
        assert (item.target == "entailment") == entailed


def test_sst2_is_the_polarity_of_the_mood(world):
    for item in task_items(world, "sst2", "test", 200):
        assert item.target == POLARITY_OF[facts_named(world, item.inputs)["mood"]]


def test_wic_is_true_if_both_cues_are_of_one_topic(world, topic_of):
    for item in task_items(world, "wic", "test", 200):
        words = re.findall(r"\w+", item.inputs)
        first, second = (topic_of[word] for word in words if word in topic_of)
        assert item.target == str(first == second)


def test_copa_offers_one_cue_of_the_premises_topic(world, topic_of):
    for item in task_items(world, "copa", "test", 200):
        *cued, _ = item.fields  # the last is the question
        topics = {
            name: topic_of[next(w for w in re.findall(r"\w+", text) if w in topic_of)]
            for name, text in cued
        }
        assert topics[item.target] == topics["premise"]
        assert topics["choice1"] != topics["choice2"]
