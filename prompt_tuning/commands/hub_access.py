"""What a run needs of the Hugging Face hub: asked for once, and named together where it is missing.

Left to themselves, its client and `datasets` try each file for minutes. Imports no torch.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from prompt_tuning.config import ModelConfig, VariantConfig
from prompt_tuning.errors import UserError
from prompt_tuning.files import flat
from prompt_tuning.network import problem_with
from prompt_tuning.terminal import say


def check_hub(model: str | None, data: Mapping[str, Any]) -> None:
    """Makes the hub's client use its cache alone where the hub does not answer.

    `model` is the hub id of a run's model, None if it is elsewhere; `data` are the run's, by
    content, and name their hub repository.

    Raises:
        UserError: names all that is neither on a hub that answers nor in the cache.
    """
    repos = sorted({value for place, value in flat(data) if place.split(".")[-1] == "hub"})
    wanted = [*([model] if model else []), *repos]
    if not wanted:
        return
    from huggingface_hub import constants

    if not constants.HF_HUB_OFFLINE:
        say(f"asking {constants.ENDPOINT} for {', '.join(wanted)}")
        if problem_with(constants.ENDPOINT) is None:
            return
        os.environ["HF_HUB_OFFLINE"] = "1"  # for libraries that are imported from now on
        constants.HF_HUB_OFFLINE = True
    missing = [name for name in wanted if not any(_cached(name, name in repos))]
    if missing:
        raise UserError(
            f"without {constants.ENDPOINT}, which does not answer, there is no "
            f"{' and no '.join(missing)}: they are not in the cache {constants.HF_HUB_CACHE}",
            fix="connect to the hub, or give model.path=<folder> and data.dir=<folder>; "
            "HF_HUB_OFFLINE=1 uses the cache without asking",
        )


def hub_model(model: ModelConfig, variant: VariantConfig | None) -> str | None:
    """The hub id of the model that the config names; None if it is elsewhere."""
    if model.path is not None:
        return None if Path(model.path).is_dir() else model.path
    if model.source != "hub" or variant is None:
        return None
    return model.checkpoint_of(variant)


def _cached(name: str, is_data: bool) -> Iterable[bool]:
    """Whether each place in which the hub's libraries keep a repository has this one."""
    from huggingface_hub import constants

    kind = "datasets" if is_data else "models"
    yield Path(name).exists()  # a folder in the hub's layout
    yield Path(constants.HF_HUB_CACHE, f"{kind}--{name.replace('/', '--')}", "snapshots").exists()
    made = os.environ.get("HF_DATASETS_CACHE", Path(constants.HF_HOME, "datasets"))
    yield is_data and Path(made, name.replace("/", "___")).exists()
