"""Where a model's files are, by the name that prompts and records have of it."""

from prompt_tuning.ladder.shipped_models import embedded_folder, is_embedded
from prompt_tuning.models.packaged import imported_folder, is_packaged


def located(source: str) -> str:
    """The folder of an embedded or packaged model; any other source, hub id or folder, as it is.

    Raises:
        UserError: this version of ptune has no such model, or its package is not installed.
    """
    if is_embedded(source):
        return str(embedded_folder(source))
    if is_packaged(source):
        return str(imported_folder(source))
    return source
