"""The models that come with the package, under names that hold wherever it is installed."""

from pathlib import Path

from prompt_tuning.errors import UserError

EMBEDDED_MODELS = Path(__file__).parent / "embedded_models"
_PREFIX = "embedded:"


def embedded_source(checkpoint: str) -> str:
    """The source of a checkpoint such as ladder_400k/6000, as prompts and records name it."""
    return _PREFIX + checkpoint


def is_embedded(source: str) -> bool:
    """Whether a source names an embedded checkpoint."""
    return source.startswith(_PREFIX)


def embedded_folder(source: str) -> Path:
    """The folder of an embedded checkpoint.

    Raises:
        UserError: this version of the package has no such checkpoint.
    """
    folder = EMBEDDED_MODELS / source.removeprefix(_PREFIX)
    if not folder.is_dir():
        known = sorted(str(path.parent.relative_to(EMBEDDED_MODELS)) for path in _configs())
        raise UserError(
            f"this version of ptune has no model {source}",
            allowed=", ".join(embedded_source(name) for name in known),
            fix="give its folder with model.path=<folder>",
        )
    return folder


def _configs() -> list[Path]:
    return list(EMBEDDED_MODELS.glob("*/*/config.json"))
