"""The data sets as the Hugging Face hub serves them: repository, configuration, pinned revision.

A revision is one that public projects pin; None (DPR: none found) is the newest. The layout is
tested with local folders; that the hub itself answers so is unverified.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from prompt_tuning.errors import UserError
from prompt_tuning.tasks import Row

_ALL_SPLITS = {"train": "train", "validation": "validation", "test": "test"}


@dataclass(frozen=True)
class HubSource:
    """Where on the hub the rows of a task are."""

    repo: str  # an id, or a local folder in the hub's layout
    config: str
    revision: str | None
    splits: Mapping[str, str]  # this project's names to the hub's
    subset: str | None = None  # MRQA has all its sets in one: the one to take


SUPERGLUE = HubSource("aps/super_glue", "", "3de24cf8022e94f4ee4b9d55a6f539891524d646", _ALL_SPLITS)
GLUE = HubSource("nyu-mll/glue", "", "bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c", _ALL_SPLITS)
SQUAD = HubSource(
    "rajpurkar/squad",
    "plain_text",
    "7b6d24c440a36b6815f21b70d25016731768db1f",
    {"train": "train", "validation": "validation"},
)
MRQA = HubSource(
    "mrqa-workshop/mrqa",
    "plain_text",
    "f3178d9888471dfb2b67c93de14f0ddf499a8d9f",
    {"validation": "test"},  # the out-of-domain sets are its test split
)
DPR = HubSource(
    "community-datasets/definite_pronoun_resolution",
    "plain_text",
    None,
    {"train": "train", "test": "test"},
)

HUB_SOURCES: dict[str, HubSource] = {
    "boolq": replace(SUPERGLUE, config="boolq"),
    "cb": replace(SUPERGLUE, config="cb"),
    "copa": replace(SUPERGLUE, config="copa"),
    "multirc": replace(SUPERGLUE, config="multirc"),
    "record": replace(SUPERGLUE, config="record"),
    "rte": replace(SUPERGLUE, config="rte"),
    "wic": replace(SUPERGLUE, config="wic"),
    "wsc": replace(SUPERGLUE, config="wsc.fixed"),
    "sst2": replace(GLUE, config="sst2"),
    "mrpc": replace(GLUE, config="mrpc"),
    "qqp": replace(GLUE, config="qqp"),
    "squad": SQUAD,
    "mrqa_bioasq": replace(MRQA, subset="BioASQ"),
    "mrqa_drop": replace(MRQA, subset="DROP"),
    "mrqa_duorc": replace(MRQA, subset="DuoRC.ParaphraseRC"),
    "mrqa_race": replace(MRQA, subset="RACE"),
    "mrqa_re": replace(MRQA, subset="RelationExtraction"),
    "mrqa_textbookqa": replace(MRQA, subset="TextbookQA"),
    "dpr": DPR,
}


def read_hub(source: HubSource, split: str) -> Iterator[tuple[int, Row]]:
    """The rows of a split, each with its number on the hub.

    Raises:
        UserError: neither the hub nor its cache on this machine has them.
    """
    import datasets  # slow to import, and needed for the hub only

    try:
        rows = datasets.load_dataset(
            source.repo, source.config, split=source.splits[split], revision=source.revision
        )
    except Exception as error:  # whatever the network, the hub or its cache raises
        reason = str(error).partition("\n")[0]
        raise UserError(
            f"{source.repo} ({source.config}): {type(error).__name__}: {reason}",
            fix="give data.dir=<folder of the official files>, or connect to the hub"
            " (HF_HUB_OFFLINE=1 uses its cache without trying)",
        ) from error
    for number, row in enumerate(rows):
        if source.subset in (None, row.get("subset")):
            yield number, row
