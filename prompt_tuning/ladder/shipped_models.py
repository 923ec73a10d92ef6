"""The models that come with the package, under names that hold wherever it is installed."""

from pathlib import Path

from prompt_tuning.errors import UserError

EMBEDDED_MODELS = Path(__file__).parent / "weights"
_PREFIX = "embedded:"


def embedded_source(checkpoint: str) -> str:
    """The source of a checkpoint such as ladder_400k/6000, as prompts and records name it."""
    return _PREFIX + checkpoint


def is_embedded(source: str) -> bool:
    """Whether a source names an embedded model."""
    return source.startswith(_PREFIX)


def embedded_folder(source: str) -> Path:
    """The folder of an embedded model.

    Raises:
        UserError: this version of ptune has no such model.
    """
    folder = EMBEDDED_MODELS / source.removeprefix(_PREFIX)
    if not (folder.is_dir() and folder.resolve().is_relative_to(EMBEDDED_MODELS.resolve())):
        configs = EMBEDDED_MODELS.glob("*/*/config.json")
        known = sorted(str(path.parent.relative_to(EMBEDDED_MODELS)) for path in configs)
        raise UserError(
            f"this version of ptune has no model {source}",
            allowed=", ".join(map(embedded_source, known)),
            fix="give its folder with model.path=<folder>",
        )
    return folder
