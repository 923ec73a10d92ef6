"""Pretrained models that a Python package holds in another form, imported on first use.

Where the model hub cannot be reached, a package registry may be: one real T5 is there.
"""

import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from prompt_tuning.errors import UserError
from prompt_tuning.files import made_once, sha256_of

PROVENANCE = "provenance.json"  # in the imported folder: where it is from, and its files' hashes
PACKAGED = "packaged:"  # begins the sources of such models


@dataclass(frozen=True)
class PackagedModel:
    """A model in a package: which files of which version, and what comes out of them."""

    distribution: str
    version: str
    files: Mapping[str, str]  # encoder, decoder, tokenizer: place in the package -> sha256
    values_sha256: str  # of the names and values of all imported tensors
    note: str  # what a reader of a score has to know, in a line


_SPAN = "traceforge_title_model/data/span"
PACKAGED_MODELS = {
    "flan_small_int8": PackagedModel(
        distribution="traceforge-title-model",
        version="0.2.0",
        files={
            f"{_SPAN}/encoder.onnx": (
                "b82bef1400cec815c3e5addd04dc451ec31491ac6598b166bbc6594656823787"
            ),
            f"{_SPAN}/decoder.onnx": (
                "76b40328b8a6bd8b8fc029d80006284c6d644d6e0938c18339bc05fb31a927bc"
            ),
            f"{_SPAN}/tokenizer.json": (
                "3550c5f922922567115f702e0543b57276366fc321cf1f088859c71491656cf6"
            ),
        },
        values_sha256="3d306fd480bef5fa0c6e0cb1f02f1550bf413e66998087ef7ff244401bc71d67",
        note="FLAN-T5 Small, tuned on to write titles, rounded to int8: it has seen FLAN's tasks, "
        "SuperGLUE among them; no score of it compares with the paper's",
    )
}


def check_installed(name: str) -> None:
    """Raises a UserError if the package is missing or of another version; reads no weights."""
    model = PACKAGED_MODELS[name]
    wanted = f"{model.distribution}=={model.version}"
    fix = "pip install 'ptune[flan]'"
    try:
        found = distribution(model.distribution).version
    except PackageNotFoundError:
        raise UserError(f"model={name} is inside the package {wanted}", fix=fix) from None
    if found != model.version:
        raise UserError(f"model={name} is inside {wanted}, and {found} is installed", fix=fix)


@cache
def imported_folder(source: str) -> Path:
    """The folder of a packaged model in the hub's layout, imported if it is not in the cache yet.

    A folder whose weights are not those that were written is imported anew, and a line says so.

    Raises:
        UserError: the package is missing, or holds other files than the known ones.
    """
    name = source.removeprefix(PACKAGED)
    if name not in PACKAGED_MODELS:
        known = ", ".join(f"{PACKAGED}{name}" for name in PACKAGED_MODELS)
        raise UserError(f"this version of ptune has no model {source}", allowed=known)
    model = PACKAGED_MODELS[name]
    folder = _cache() / f"{name}-{model.values_sha256[:16]}"
    if folder.exists() and not _is_whole(folder):
        print(f"{folder} is damaged: it is made again", file=sys.stderr)
        shutil.rmtree(folder)
    return made_once(folder, partial(_import, name))


def provenance(folder: Path) -> dict[str, Any] | None:
    """Where an imported model is from: package, version, files and their hashes, a note."""
    path = folder / PROVENANCE
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def _cache() -> Path:
    from huggingface_hub import cached_assets_path  # below HF_HOME, as all that is cached

    return cached_assets_path("ptune", namespace="models").resolve()


def _is_whole(folder: Path) -> bool:
    try:
        written = (provenance(folder) or {})["written"].items()
        return bool(written) and all(sha256_of(folder / name) == digest for name, digest in written)
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return False


def _import(name: str, folder: Path) -> None:
    """Writes the folder of a packaged model, or raises a UserError."""
    from prompt_tuning.models.onnx_import import import_onnx, values_sha256  # import torch

    check_installed(name)
    model = PACKAGED_MODELS[name]
    package = distribution(model.distribution)
    paths = [Path(str(package.locate_file(place))) for place in model.files]
    for path, digest in zip(paths, model.files.values(), strict=True):
        if not path.is_file() or sha256_of(path) != digest:
            raise UserError(
                f"{path} is not the file of {model.distribution} {model.version}",
                fix=f"pip install --force-reinstall {model.distribution}=={model.version}",
            )
    encoder, decoder, tokenizer = paths
    import_onnx(encoder, decoder, tokenizer, folder)
    found = values_sha256(folder / "model.safetensors")
    if found != model.values_sha256:
        raise UserError(f"model={name} was imported as other weights than known: {found}")
    shutil.copyfile(Path(__file__).with_name(f"{name}.md"), folder / "README.md")  # its card
    written = sorted(path for path in folder.iterdir() if path.name != "README.md")
    facts = {
        "package": model.distribution,
        "version": model.version,
        "files": dict(model.files),
        "values_sha256": found,
        "note": model.note,
        "written": {path.name: sha256_of(path) for path in written},
    }
    text = json.dumps(facts, indent=2, ensure_ascii=False) + "\n"
    (folder / PROVENANCE).write_text(text, encoding="utf-8")
