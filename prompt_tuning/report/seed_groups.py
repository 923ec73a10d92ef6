"""Which runs of a plan are repetitions of one configuration, and which of those vote together."""

import json
from collections.abc import Mapping, Sequence
from typing import Any


def repetitions(configs: Sequence[Mapping[str, Any]]) -> list[list[int]]:
    """Indices of the configs that differ in nothing but `seed`, lowest seed first.

    Configurations are in the order of the plan; a run that it names twice counts once.
    """
    found: dict[str, dict[int, int]] = {}
    for index, config in enumerate(configs):
        rest = json.dumps({**config, "seed": None}, sort_keys=True)
        found.setdefault(rest, {}).setdefault(config["seed"], index)
    return [[places[seed] for seed in sorted(places)] for places in found.values()]


def seed_groups(configs: Sequence[Mapping[str, Any]], size: int) -> list[list[int]]:
    """Groups repetitions, `size` at a time: disjoint ensembles. Seeds left over are in none."""
    return [
        places[first : first + size]
        for places in repetitions(configs)
        for first in range(0, len(places) - size + 1, size)
    ]
