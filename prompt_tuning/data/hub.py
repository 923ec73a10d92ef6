"""Rows of a data set on the Hugging Face hub, or in its cache on this machine."""

from collections.abc import Iterator

from prompt_tuning.data.tabular_files import with_class_names
from prompt_tuning.errors import UserError
from prompt_tuning.tasks import HubDataset, Row


def read_hub(dataset: HubDataset, split: str, *, named: bool) -> Iterator[tuple[int, Row]]:
    """The rows of one of our splits, each with its number on the hub.

    Where they are `named`, columns of class ids have the names of their classes instead.

    Raises:
        UserError: neither the hub nor its cache on this machine has them.
    """
    import datasets  # slow to import, and needed for the hub only

    try:
        rows = datasets.load_dataset(
            dataset.repo, dataset.config, split=dataset.splits[split], revision=dataset.revision
        )
    except Exception as error:  # whatever the network, the hub or its cache raises
        reason = str(error).partition("\n")[0]
        raise UserError(
            f"{dataset.repo} ({dataset.config or 'default'}): {type(error).__name__}: {reason}",
            fix="give data.dir=<folder of the official files>, or connect to the hub"
            " (HF_HUB_OFFLINE=1 uses its cache without trying)",
        ) from error
    for number, row in enumerate(with_class_names(rows) if named else rows):
        if dataset.subset in (None, row.get("subset")):
            yield number, row
