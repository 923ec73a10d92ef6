"""How the ladder's models came to be: the records of their pre-training, which ship with them."""

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from prompt_tuning.ladder.running_text import CHANCE
from prompt_tuning.ladder.shipped_models import EMBEDDED_MODELS
from prompt_tuning.report.artefact import LADDER, Artefact
from prompt_tuning.report.paper import NOTHING
from prompt_tuning.report.tables import Table

HEADER = (
    *("run", "parameters", "from", "objective", "steps", "learning rate", "tokens"),
    *("held-out loss", *CHANCE, "seconds"),
)


class LadderModels(Artefact):
    """Every pre-training run of the ladder."""

    @cached_property
    def table(self) -> Table:
        """Smallest model first, in the order of its chain."""
        paths = EMBEDDED_MODELS.glob("*/training.json")
        chains = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
        chains.sort(key=lambda chain: next(iter(chain.values()))["num_parameters"])
        rows = [row_of(record) for chain in chains for record in chain.values()]
        chance = ", ".join(f"{kind} {share:.2f}" for kind, share in CHANCE.items())
        note = (
            "Loss on held-out text; by kind of question, the share that the model answers by "
            f"itself, without a prompt (chance: {chance}). Taken from the records beside the "
            "weights."
        )
        return Table(HEADER, rows, (note,))


def row_of(record: Mapping[str, Any]) -> list[str]:
    """The record of a pre-training run under HEADER."""
    config, result = record["config"], record["result"]
    probes = result.get("probes", {})
    before = Path(config["checkpoint"]).name.rpartition("-")[0] if config["checkpoint"] else None
    return [
        config["name"],
        f"{record['num_parameters']:,}",
        before or "random weights",
        config["objective"]["name"],
        f"{config['pretraining']['num_steps']:,}",
        str(config["pretraining"]["learning_rate"]),
        f"{result['num_tokens']:,}",
        f"{result['held_out_loss']:.4f}",
        *(f"{probes[kind]:.2f}" if kind in probes else NOTHING for kind in CHANCE),
        f"{record['duration_s']:.0f}",
    ]


LADDER_MODELS = LadderModels("ladder_models", "The ladder's models and their pre-training", LADDER)
