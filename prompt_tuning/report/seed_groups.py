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
    return [[of[seed] for seed in sorted(of)] for of in found.values()]


def seed_groups(configs: Sequence[Mapping[str, Any]], size: int) -> list[list[int]]:
    """Those repetitions, `size` at a time: disjoint ensembles. Seeds left over are in none."""
    return [
        of[first : first + size]
        for of in repetitions(configs)
        for first in range(0, len(of) - size + 1, size)
    ]
