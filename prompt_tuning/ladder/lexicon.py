"""The words and frames of documents and tasks that belong to no single attribute. Data only.

A frame takes an entity as {x}, a value as {v}, a word as {w}, cue words as {a} and {b}.
"""

import re
from collections.abc import Iterator

from prompt_tuning.ladder.attributes import ATTRIBUTES, CLASS_OF

NEUTRAL = {  # mention an entity and tell nothing; documents and tasks share them
    "creatures": (
        "{x} came home in the evening.",
        "{x} was seen again.",
        "we met {x} on the road.",
        "{x} slept for an hour.",
        "there was a talk of {x}.",
        "{x} looked at us.",
    ),
    "engines": (
        "the {x} left at noon.",
        "we saw the {x} at the quay.",
        "the {x} came in late.",
        "a letter speaks of the {x}.",
    ),
}
FILLER = (  # so that the words of task formats are known, in other use
    "the question is hard.",
    "this passage is short.",
    "the premise was weak.",
    "a hypothesis is a guess.",
    "write the sentence down.",
    "every word counts.",
    "in this context it is clear.",
    "the choice was simple.",
    "a cause comes first.",
    "the effect comes later.",
    "a sentence has words.",
    "no premise, no hypothesis.",
    "a passage of a book: read on.",
    "the answer is short.",
    "question and answer: so we learn.",
    "the word stands in the sentence.",
    "think of the context.",
    "the question was: who knows?",
    "have a look here.",
    "it may seem late, but stay.",
    "who belongs here?",
    "look, they have a home here.",
)

CLASS_RULES = ("a {v} is a {c}.", "every {v} is a {c}.")
ENTAILMENTS = (  # {v} is a class
    "if {x} comes, a {v} comes:",
    "{x} is near, so a {v} is near:",
    "from {x} to {v}:",
    "a {v} is back as {x} is back:",
    "we saw {x}, so we saw a {v}:",
    "a {v} slept: {x} slept.",
    "there was a {v}: there was {x}.",
    "{x} came home, so a {v} came home:",
    "that a {v} was seen is clear, as {x} was seen:",
)
POLARITIES = ("{x} has a {v} mind.", "the mind of {x} is {v}.")
POLARITY_ASK = "is the mind of {x} positive or negative?"

CUE_PAIRS = (
    "{a} and {b} belong to the {t}.",
    "the {t} has {a} and {b}.",
    "{a} brings {b}.",
)  # {t} is a topic
CUE_ASKS = ("the {a} is of what world?", "what has the {a}?")
SENSES = ("by the {a}, a {w} means a thing of the {t}.", "a {w} with a {a} is of the {t}.")
SAME_TOPIC = (("{a} and {b} are of one world", "are {a} and {b} of one world?"),)
SAME_SENSE = (  # pairs of a claim and its question
    (
        "a {w} by the {a} and a {w} by the {b} are the same",
        "is a {w} with a {a} the same as a {w} with a {b}?",
    ),
    (
        "here is a {w} with a {a}, there a {w} by the {b}, and they are the same",
        "a {w} by the {a}, then a {w} by the {b}: are they the same?",
    ),
)

CHOICES = (  # {p} is the cue word that {a} or {b} goes with
    "what goes with the {p}: choice1, the {a}, or choice2, the {b}?",
    "choice1 is a {a}, choice2 is a {b}. which goes with a {p}?",
    "choice1, {a}; choice2, {b}: which is of the world of the {p}?",
)

SST2_SENTENCES = (
    *NEUTRAL["creatures"],
    "{x} is here and it is evening.",
    "the home of {x} is on the road.",
    "they met {x} at noon.",
    "{x} was late for an hour.",
)
RTE_SENTENCES = NEUTRAL["creatures"][:4]
WIC_SENTENCES = (
    "we saw a {w} by the {a}.",
    "there was a {w} with a {a}.",
    "the {w} stands by a {a}.",
)
COPA_SENTENCES = ("they met the {a}.", "the {a} came late.", "we saw a {a} again.")

TOPICS = {  # the cue words of each
    topic: tuple(cues.split())
    for topic, cues in {
        "sea": "boat net wave sail anchor tide harbour shell oar reef crab buoy",
        "money": "coin bank debt price market purse tax loan shop bill wage rent",
        "music": "song drum flute violin choir dance chord piano horn opera melody rhythm",
        "war": "sword army shield arrow battle soldier fort cannon spear siege knight helmet",
    }.items()
}
VERDICTS = (  # of documents; what a task wants to hear is among them
    *("yes", "no", "True", "False", "positive", "negative"),
    *("entailment", "not_entailment", "choice1", "choice2"),
)
SAY_WHY, IS_TRUE = "say why: {c}", "is it True that {c}?"  # {c} is what is judged
RESERVED = ("some", "more", "none", "make", "take", "like", "same")  # English, shaped like a name


def known_words() -> set[str]:
    """Every word that a text may hold beside invented names, which must equal none of them."""
    return {word for text in _texts() for word in re.findall(r"[A-Za-z]\w*", text)}


def _texts() -> Iterator[str]:
    for sentences in NEUTRAL.values():
        yield from sentences
    for attributes in ATTRIBUTES.values():
        for a in attributes:
            yield from (*a.values, *a.states, *a.asks, *a.claims, *a.checks)
            yield from (*a.task_asks, *a.task_checks)
    for topic, cues in TOPICS.items():
        yield from (topic, *cues)
    yield from (*CLASS_OF.values(), *FILLER, *CLASS_RULES, *ENTAILMENTS, *POLARITIES, POLARITY_ASK)
    yield from (*CUE_PAIRS, *CUE_ASKS, *SENSES, *CHOICES)
    for pair in (*SAME_TOPIC, *SAME_SENSE):
        yield from pair
    yield from (*SST2_SENTENCES, *RTE_SENTENCES, *WIC_SENTENCES, *COPA_SENTENCES, *RESERVED)
    yield from (*VERDICTS, SAY_WHY, IS_TRUE)
