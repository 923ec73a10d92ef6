"""A seeded world of invented facts: its documents, and mini tasks that only its facts answer."""

from prompt_tuning.world.documents import FACTS_MIX, FULL_MIX, documents
from prompt_tuning.world.facts import SPLITS, World, WorldConfig
from prompt_tuning.world.floors import Floor, floor
from prompt_tuning.world.items import TASKS, Item, task_items
from prompt_tuning.world.probes import Probe, probes

__all__ = [
    "FACTS_MIX",
    "FULL_MIX",
    "LADDER_WORLD",
    "SPLITS",
    "TASKS",
    "VERSION",
    "Floor",
    "Item",
    "Probe",
    "World",
    "WorldConfig",
    "documents",
    "floor",
    "probes",
    "task_items",
]

VERSION = 1  # of the generator: raised when the same world gives other text or items
LADDER_WORLD = WorldConfig()  # that the shipped models read about, and the mini tasks ask about
