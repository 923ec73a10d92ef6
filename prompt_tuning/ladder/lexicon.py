"""The words and frames of the invented world, as `lexicon.toml` has them."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_FILE: dict[str, Any] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))

KINDS: Mapping[str, list[str]] = _FILE["kinds"]  # by class
CLASS_OF = {kind: name for name, kinds in KINDS.items() for kind in kinds}
POLARITY_OF = {mood: name for name, moods in _FILE["moods"].items() for mood in moods}
TOPICS: Mapping[str, list[str]] = {topic: cues.split() for topic, cues in _FILE["topics"].items()}
PHRASES: Mapping[str, str] = _FILE["phrases"]
NEUTRAL: Mapping[str, list[str]] = _FILE["neutral"]  # by domain
FRAMES: Mapping[str, list[str]] = _FILE["documents"] | _FILE["tasks"]
JUDGED: Mapping[str, list[list[str]]] = _FILE["judged"]  # pairs of a claim and its question


@dataclass(frozen=True)
class Attribute:
    """One sort of fact: its values, and the frames in which documents and tasks speak of it."""

    name: str
    states: list[str]  # statements of documents
    asks: list[str]  # questions of documents, answered by the value
    claims: list[str]  # clauses that documents judge
    checks: list[str]  # yes-no questions of documents
    task_asks: list[str]  # questions of squad and squad_b: in no document
    task_checks: list[str]  # questions of boolq and boolq_b: in no document
    values: list[str]


_GROUPED = {"kind": [*CLASS_OF], "mood": [*POLARITY_OF]}  # values that have a group each
ATTRIBUTES = {  # engines share none with creatures, which carry most tasks
    domain: tuple(
        Attribute(**{"values": _GROUPED.get(each["name"]), **each}) for each in _FILE[domain]
    )
    for domain in ("creatures", "engines")
}


def known_words() -> set[str]:
    """Every word that a text may hold beside invented names, which must equal none of them."""
    texts = [*_texts(_FILE), *KINDS, *TOPICS]
    return {word for text in texts for word in re.findall(r"[A-Za-z]\w*", text)}


def _texts(value: Any) -> Iterator[str]:
    """All strings inside, but for attributes' own names: no text says those."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
    else:
        for key, each in value.items():
            yield from () if key == "name" else _texts(each)
