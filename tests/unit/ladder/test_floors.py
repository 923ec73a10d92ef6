"""Floors: near chance on every task, and able to see a shortcut where there is one."""

import pytest

from prompt_tuning.ladder.floors import floor
from prompt_tuning.ladder.items import ITEM_MAKERS, Item, task_items


@pytest.mark.parametrize("task", ITEM_MAKERS)
@pytest.mark.parametrize("split", ["dev", "test"])
def test_no_shortcut_is_far_above_chance(world, task, split):
    """A score above the floor then shows that the model knows the world."""
    found = floor(task_items(world, task, "train", 2000), task_items(world, task, split, 800))
    if task.startswith("squad"):
        assert found.majority < 0.15 and found.shortcut < 0.25
    else:
        assert found.majority == 0.5 and found.shortcut <= 0.60


def test_a_planted_shortcut_is_found():
    """A floor that sees nothing would call every task hard."""
    items = [
        Item((("passage", text), ("question", "is it?")), target)
        for text, target in [("mostly so.", "True"), ("never so.", "False")] * 10
    ]
    found = floor(items, items)
    assert (found.majority, found.shortcut, found.shortcut_name) == (0.5, 1.0, "bag")
