"""`ptune export`: a trained prompt for other programs, with a card that says what it is."""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from prompt_tuning.config import ExportConfig, typed
from prompt_tuning.config_checks import HUB_ID
from prompt_tuning.data.tokenization import SENTINEL
from prompt_tuning.errors import UserError
from prompt_tuning.files import filled_in, made_once
from prompt_tuning.models.checkpoint_files import located
from prompt_tuning.prompt_files import (
    RUN_FILE,
    PromptFile,
    load_prompt,
    prompt_file,
    save_array,
    save_peft,
    save_prompt,
)
from prompt_tuning.run_folder import RunFolder, scores_by_split


def check(cfg: DictConfig) -> ExportConfig:
    config = typed(ExportConfig, cfg)
    prompt = load_prompt(prompt_file(Path(config.prompt)))
    output = Path(config.output)
    is_free = output.is_dir() and output.name and not any(output.iterdir())  # "." has no name
    if output.exists() and not is_free:
        problem = f"output={output} is there and not an empty folder"
        raise UserError(problem, fix="name another one")
    if config.format == "peft" and "source" not in prompt.metadata:
        problem = f"prompt={config.prompt} does not say which model it belongs to"
        raise UserError(problem, fix="export it as npy or safetensors")
    if config.format != "peft" and config.num_transformer_submodules != 1:
        problem = f"num_transformer_submodules={config.num_transformer_submodules} is PEFT's"
        raise UserError(problem, fix="add format=peft, or leave it out")
    if config.push is not None and not HUB_ID.fullmatch(config.push):
        raise UserError(f"push={config.push} is no repository", allowed="<owner>/<name>")
    return config


def run(config: ExportConfig) -> None:
    """Writes the folder, and uploads it if that is asked for."""
    path = prompt_file(Path(config.prompt))
    prompt, output = load_prompt(path), Path(config.output)
    record = RunFolder(path.parent).record() if path.name == RUN_FILE else None
    if record and prompt.metadata.get("config_hash") not in (None, record.get("config_hash")):
        record = None  # a wrong copy: of another run
    made_once(output, partial(_write, config, prompt, record))
    print(f"{output}: {', '.join(sorted(each.name for each in output.iterdir()))}")
    if config.push is not None:
        print(_pushed(output, config.push))


def _write(
    config: ExportConfig, prompt: PromptFile, record: Mapping[str, Any] | None, output: Path
) -> None:
    """Makes the folder with the prompt and its card."""
    output.mkdir()
    if config.format == "peft":
        save_peft(output, prompt, located_base(prompt), config.num_transformer_submodules)
    elif config.format == "npy":
        save_array(output / "prompt.npy", prompt)
    else:
        save_prompt(output / RUN_FILE, prompt.weight, prompt.metadata, prompt.init)
    (output / "README.md").write_text(_card(config, prompt, record), encoding="utf-8")


def located_base(prompt: PromptFile) -> str:
    """Hub id or folder of the model that a prompt belongs to."""
    return located(prompt.metadata.get("source", "unknown"))


def _card(config: ExportConfig, prompt: PromptFile, record: Mapping[str, Any] | None) -> str:
    """The model card, card.md.jinja filled in."""
    source = prompt.metadata.get("source", "unknown")
    return filled_in(
        Path(__file__).with_name("card.md.jinja"),
        json=partial(json.dumps, ensure_ascii=False),
        format=config.format,
        prompt=prompt,
        metadata=prompt.metadata,
        source=source,
        is_hub_id=HUB_ID.fullmatch(source),
        base=located_base(prompt),
        sentinel=SENTINEL,
        scored=scores_by_split(record["result"]) if record else [],
    )


def _pushed(folder: Path, repository: str) -> str:
    """Uploads a folder to the hub; where it is then.

    Unverified against the hub itself: this has only been run against a stand-in for it.

    Raises:
        UserError: whatever the network or the hub says.
    """
    from huggingface_hub import HfApi

    try:
        hub = HfApi()
        hub.create_repo(repository, exist_ok=True)
        hub.upload_folder(repo_id=repository, folder_path=folder)
    except Exception as error:  # of the network, the hub's client, a login that is missing
        reason = str(error).partition("\n")[0]
        raise UserError(
            f"push={repository}: {type(error).__name__}: {reason}",
            fix="connect to the hub, or log in with hf auth login; the folder is whole: "
            f"hf upload {repository} {folder}",
        ) from error
    return f"https://huggingface.co/{repository}"
