"""Where the benchmarks' data sets are: official files below `data.dir`, and the Hugging Face hub.

A revision is one that public projects pin. The layout is tested with local folders; that the hub
itself answers so is unverified.
"""

from prompt_tuning.tasks.base import HubDataset, Origin

_ALL_SPLITS = {"train": "train", "validation": "validation", "test": "test"}


def superglue(folder: str, config: str) -> Origin:
    """A task of SuperGLUE: the folder of its files, and its configuration on the hub."""
    names = {"train": "train", "validation": "val", "test": "test"}
    revision = "3de24cf8022e94f4ee4b9d55a6f539891524d646"
    return Origin(
        files={split: (f"{folder}/{name}.jsonl",) for split, name in names.items()},
        hub=HubDataset("aps/super_glue", config, revision, _ALL_SPLITS),
    )


def glue(folder: str, config: str) -> Origin:
    """A task of GLUE; its folder may lie in one named GLUE."""
    names = {"train": "train", "validation": "dev", "test": "test"}
    revision = "bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c"
    return Origin(
        files={
            split: (f"GLUE/{folder}/{name}.tsv", f"{folder}/{name}.tsv")
            for split, name in names.items()
        },
        hub=HubDataset("nyu-mll/glue", config, revision, _ALL_SPLITS),
    )


def mrqa(subset: str) -> Origin:
    """An out-of-domain set of MRQA; those are the hub's test split."""
    revision = "f3178d9888471dfb2b67c93de14f0ddf499a8d9f"
    hub_splits = {"validation": "test"}
    return Origin(
        files={"validation": (f"MRQA/{subset}.jsonl", f"MRQA/{subset}.jsonl.gz")},
        hub=HubDataset("mrqa-workshop/mrqa", "plain_text", revision, hub_splits, subset),
    )
