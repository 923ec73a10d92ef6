"""Documents and probes: the same ones for the same seed, true facts, and no word of a task."""

import hashlib
import random
import re
from collections import Counter
from itertools import islice

import pytest

from prompt_tuning.ladder.items import ITEM_MAKERS, task_items
from prompt_tuning.ladder.lexicon import ATTRIBUTES, CLASS_OF
from prompt_tuning.ladder.running_text import CHANCE, FACTS_MIX, FULL_MIX, documents, probes
from prompt_tuning.ladder.world import SPLITS


def texts_of(world, num_documents, kind, num_sentences=(1, 1)):
    stream = documents(world, seed="kind", mix={kind: 1.0}, num_sentences=num_sentences)
    return list(islice(stream, num_documents))


@pytest.mark.parametrize(
    ("mix", "digest"),
    [
        (FACTS_MIX, "1c2ee8bdf6da703ca036ed10ab366227af5ec0f694675b8fe73fe737e875ad60"),
        (FULL_MIX, "174c8d5160c601eac455250f8ba21cbaeb955a72b6be6403f043aab66444748b"),
    ],
    ids=["facts", "full"],
)
def test_the_same_seed_gives_the_same_text(world, mix, digest):
    """Checkpoints name the text that they saw by world, seed and mix alone."""
    random.seed(0)  # which nothing may read
    text = "\n".join(islice(documents(world, seed="train", mix=mix), 200))
    assert hashlib.sha256(text.encode()).hexdigest() == digest
    other = "\n".join(islice(documents(world, seed="held out", mix=mix), 200))
    assert other != text


def test_answers_are_the_facts(world):
    facts_of = {entity.name: entity.facts for entity in world.entities}
    for text in texts_of(world, 500, "ask"):
        question, answer = re.fullmatch(r"(.+\?) (\w+)\.", text).groups()
        (name,) = facts_of.keys() & set(re.findall(r"\w+", question))
        assert answer in facts_of[name].values()


@pytest.mark.parametrize(
    ("kind", "fact_of"),
    [
        ("verify", lambda facts: facts.get("colour") or facts["port"]),
        ("class", lambda facts: CLASS_OF[facts["kind"]]),
    ],
)
def test_half_of_the_verdicts_are_true_and_all_are_right(world, kind, fact_of):
    facts_of = {entity.name: entity.facts for entity in world.entities}
    values = {fact_of(facts) for facts in facts_of.values() if kind == "verify" or "kind" in facts}
    verdicts = Counter()
    for text in texts_of(world, 2000, kind):
        words = re.findall(r"\w+", text)
        if not (said := {"yes", "no", "False", "entailment", "not_entailment"}.intersection(words)):
            said = {words[-1]} & {"True"}
        (verdict,) = said
        name = next(word for word in words if word in facts_of)
        claimed = next(word for word in words if word in values)
        fact = fact_of(facts_of[name])
        if text.startswith("say why"):
            assert f"{fact}, so " in text
        true = verdict in ("yes", "True", "entailment")
        assert true == (claimed == fact), text
        verdicts[true] += 1
    assert verdicts[True] / 2000 == pytest.approx(0.5, abs=0.04)


def test_a_document_tells_no_fact_of_an_entity_twice(world):
    """Else the second telling could be copied from the first."""
    asked_by = {
        ask.format(x=entity.name): (entity.name, attribute.name)
        for entity in world.entities
        for attribute in ATTRIBUTES[entity.domain]
        for ask in attribute.asks
    }
    num_facts = 0
    for text in texts_of(world, 500, "ask", num_sentences=(5, 5)):
        told = [asked_by[question.strip()] for question in re.findall(r"[^.?]+\?", text)]
        assert len(set(told)) == len(told)
        num_facts += len(told)
    assert num_facts > 2000


def test_no_document_holds_the_format_of_a_task(world, running_text):
    """A model that met "question: ... context: ..." in pre-training would need no prompt for it."""
    names = {
        name for task in ITEM_MAKERS for name, _ in task_items(world, task, "train", 2)[0].fields
    }
    assert len(names) == 11
    for name in names:
        assert not re.search(rf"\b{name}:", running_text), name
        assert name.rstrip("12") in running_text or name == "premise"


@pytest.mark.parametrize("task", ITEM_MAKERS)
def test_no_document_holds_an_item(world, running_text, task):
    """Nor the question of one, in any split: tasks are asked in words of their own."""
    asked = set()
    for split in SPLITS:
        for item in task_items(world, task, split, 200):
            asked.add(item.inputs)
            if task != "copa":  # whose question is cause or effect
                asked.add(dict(item.fields).get("question", item.inputs))
    assert len(asked) > 100
    assert not [text for text in asked if text in running_text]


@pytest.mark.parametrize("kind", CHANCE)
def test_probes_are_the_documents_own_questions(world, kind):
    text = "\n".join(texts_of(world, 20_000, kind))
    asked = probes(world, 20)[kind]
    assert len(asked) == 20
    found = [probe for probe in asked if " ".join(probe) in text]
    assert len(found) >= 10  # the stream is random; a wrong answer is never in it
