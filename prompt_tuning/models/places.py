"""Where a model's files are, by the name that prompts and records have of it."""

from prompt_tuning.ladder.shipped_models import EMBEDDED, embedded_folder
from prompt_tuning.models.packaged import PACKAGED, imported_folder


def located(source: str) -> str:
    """The folder of an embedded or packaged model; any other source, hub id or folder, as it is.

    Raises:
        UserError: this version of ptune has no such model, or its package is not installed.
    """
    if source.startswith(EMBEDDED):
        return str(embedded_folder(source))
    if source.startswith(PACKAGED):
        return str(imported_folder(source))
    return source
