"""What a score on a mini task stands beside: its floor, a random model's score, the next runs."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prompt_tuning.data.sources import Split
from prompt_tuning.ladder.shipped_models import EMBEDDED_MODELS
from prompt_tuning.tasks import Task

FLOORS = Path(__file__).with_name("floors.json")  # by task and split


def floor_of(task: Task, scored: Split) -> dict[str, Any] | None:
    """Scores, in percent, that need no fact of the world: the majority's and the best shortcut's.

    They are accuracies; an answer of the mini SQuADs is one word, so that theirs are F1 as well.
    None where there is none on exactly these items: of no mini task, only the first of a split, or
    training items, which shortcuts are fitted on. Measured by scripts/ladder_floors.py.
    """
    facts = scored.provenance
    if not task.is_embedded or facts["num_examples"] != facts["num_rows"]:
        return None
    floors: dict[str, dict[str, Any]] = json.loads(FLOORS.read_text(encoding="utf-8"))[task.name]
    return floors.get(facts["split"])


def random_control(model: str, task: str) -> float | None:
    """The test score, in percent, of a prompt on a frozen model of this shape with random weights.

    Measured when the embedded models were made (recipe mini, the mean over seeds); None if it was
    not, or if the model is no embedded one.
    """
    path = EMBEDDED_MODELS / model / "controls.json"
    if not path.exists():
        return None
    scores: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))
    return scores.get(task)


def floor_line(floor: Mapping[str, Any], control: float | None) -> str:
    """What a score has to beat, in a line."""
    return (
        f"floor: majority {floor['majority']:.2f}, best shortcut {floor['shortcut']:.2f} "
        f"({floor['shortcut_name']})"
        + ("" if control is None else f", a random frozen model {control:.2f}")
    )


def next_commands(task: Task, model: str) -> list[str]:
    """Runs to try after one on a mini task: another task, the prompt's length, no LM adaptation."""
    other = "mini_sst2" if task.name == "mini_rte" else "mini_rte"
    same = f"model={model} task={task.name}" + ("" if task.init_words else " init=sampled_vocab")
    return [
        f"ptune train model={model} task={other}",
        f"ptune train -m {same} prompt.length=1,5,20,100",
        f"ptune train -m {same} variant=lm_adapted,span_corruption",
    ]
