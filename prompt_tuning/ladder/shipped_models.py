"""The models that come with the package, under names that hold wherever it is installed."""

from pathlib import Path

from prompt_tuning.errors import UserError

EMBEDDED_MODELS = Path(__file__).parent / "weights"
EMBEDDED = "embedded:"  # begins their sources, such as embedded:ladder_400k/6000


def embedded_folder(source: str) -> Path:
    """The folder of an embedded model.

    Raises:
        UserError: this version of ptune has no such model.
    """
    folder = EMBEDDED_MODELS / source.removeprefix(EMBEDDED)
    if not (folder.is_dir() and folder.resolve().is_relative_to(EMBEDDED_MODELS.resolve())):
        configs = EMBEDDED_MODELS.glob("*/*/config.json")
        known = sorted(str(path.parent.relative_to(EMBEDDED_MODELS)) for path in configs)
        raise UserError(
            f"this version of ptune has no model {source}",
            allowed=", ".join(f"{EMBEDDED}{name}" for name in known),
            fix="give its folder with model.path=<folder>",
        )
    return folder
