"""T5 v1.1, mT5 and umT5: loading from the hub or a folder in its layout, checking, saving.

What transformers can silently get wrong is asserted here, once, before a prompt is trained on it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
)
from transformers.utils.hub import cached_file, extract_commit_hash

from prompt_tuning.data.tokenization import encode_texts
from prompt_tuning.errors import UserError
from prompt_tuning.made_from import ENDS, fingerprints
from prompt_tuning.models.checkpoint_files import (
    ADAPTER,
    architecture_problem,
    check_folder,
    check_vocabulary,
    located,
    reading,
    stored_file,
)
from prompt_tuning.models.frozen_t5 import FamilyConfig, FamilyModel, FrozenT5, PackedT5
from prompt_tuning.models.packaged import provenance
from prompt_tuning.models.random_checkpoint import random_weights, save_weights
from prompt_tuning.shapes import Shape

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

DESCRIPTION_FILES = (
    "added_tokens.json",  # of transformers before 4.34
    "config.json",
    "spiece.model",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
)
EXPECTED_SPECIAL_IDS = {"<pad>": (0,), "</s>": (1,), "<unk>": (2, 3)}  # 2 is umT5's <s>
SENTINELS = ("<extra_id_0>", "\u2581<extra_id_0>")  # the second is a piece of mT5's vocabulary
MIN_PIECES = 26  # an alphabet; the tokenizer that transformers makes of nothing has one


@dataclass(frozen=True)
class Checkpoint:
    """A model with its tokenizer and its identity.

    `source` is a hub id, a folder or `embedded:<name>`, `revision` the commit of a hub id, and
    `fingerprints` name the weights themselves: a prompt trained on them works on no others.
    """

    model: PackedT5
    tokenizer: PreTrainedTokenizerFast
    source: str
    revision: str | None
    fingerprints: Mapping[str, str]
    num_parameters: int
    provenance: Mapping[str, Any] | None = None  # of an imported model: package, files, a note

    def encode_text(self, text: str) -> list[int]:
        """Token ids of a text, without EOS."""
        (ids,) = encode_texts([text], self.tokenizer)
        return ids

    @property
    def sentinel_id(self) -> int:
        """The id of `<extra_id_0>`: 32099 in T5's vocabulary, 250099 in mT5's."""
        return sentinel_id(self.tokenizer)

    @property
    def dtype(self) -> str:
        """The numbers that it computes in, by their name in a config."""
        return str(self.model.dtype).removeprefix("torch.")

    def facts(self) -> dict[str, Any]:
        """What a record says of it: where it is from, which weights, how it ran."""
        return {
            "source": self.source,
            "revision": self.revision,
            **self.fingerprints,
            "num_parameters": self.num_parameters,
            "hidden_size": self.model.hidden_size,
            "dtype": self.dtype,
            "device": str(self.model.device),
            **({"provenance": dict(self.provenance)} if self.provenance else {}),
        }


def load_checkpoint(
    source: str,
    *,
    revision: str | None,
    dtype: torch.dtype,
    device: torch.device,
    group: "ProcessGroup | None" = None,
) -> Checkpoint:
    """Loads, checks and fuses a checkpoint.

    Args:
        source: a hub id such as google/t5-small-lm-adapt, a folder with config.json, weights and
            tokenizer files, or `embedded:<name>`.
        revision: of the hub repository; None for a folder or for the hub's main branch.
        dtype: float32 or bfloat16.
        device: where the model will run.
        group: its processes share the weights of every layer; None: all are here.

    Raises:
        UserError: the checkpoint cannot be read, or is no T5 v1.1, mT5 or umT5.
    """
    model, tokenizer = load_hugging_face(source, revision=revision, dtype=dtype)
    return Checkpoint(
        FrozenT5(model.requires_grad_(False), device, group),
        tokenizer,
        *identity_of(source, revision),
        weights_fingerprints(dict(model.named_parameters())),
        num_parameters=sum(parameter.numel() for parameter in model.parameters()),
        provenance=provenance(Path(located(source))),
    )


def identity_of(source: str, revision: str | None) -> tuple[str, str | None]:
    """Source and revision as a record has them: a folder's whole path, the commit of a hub id.

    A path in the hub's cache tells the commit: transformers 5.24 drops it from the config.
    """
    place = located(source)
    if Path(place).is_dir():
        return str(Path(source).resolve()) if place == source else source, None
    config = cached_file(place, "config.json", revision=revision or "main")
    return source, extract_commit_hash(config, None)


def load_description(
    source: str, *, revision: str | None = None
) -> tuple[FamilyConfig, PreTrainedTokenizerFast]:
    """Config and tokenizer of a checkpoint, checked; raises as `load_checkpoint`."""
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    place, revision = located(source), revision or "main"
    check_folder(place)
    with reading(source):
        found, _ = PreTrainedConfig.get_config_dict(place, revision=revision)
        if problem := architecture_problem(f"the checkpoint {source}", found):
            raise problem
        config = AutoConfig.from_pretrained(place, revision=revision)
        check_vocabulary(place)
        tokenizer = AutoTokenizer.from_pretrained(place, revision=revision)
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise UserError(
            f"the tokenizer of {source} is a {type(tokenizer).__name__}; a T5 v1.1 has T5Tokenizer",
            fix="give the folder the tokenizer of the checkpoint that the model began as",
        )
    refuse_unclean(source, _tokenizer_problems(tokenizer))
    return config, tokenizer


def load_hugging_face(
    source: str, *, revision: str | None, dtype: torch.dtype = torch.float32
) -> tuple[FamilyModel, PreTrainedTokenizerFast]:
    """Model as transformers has it, and tokenizer, checked; raises as `load_checkpoint`."""
    assert dtype is not torch.float16, "T5 overflows in float16"
    config, tokenizer = load_description(source, revision=revision)
    with reading(source):
        try:
            loaded: Any = AutoModelForSeq2SeqLM.from_pretrained(
                located(source),
                config=config,
                revision=revision or "main",
                dtype=dtype,
                ignore_mismatched_sizes=True,  # `_problems` names them
                output_loading_info=True,
            )
        except NotImplementedError:  # transformers compares both ends, one of them not there
            size = f"{config.vocab_size} x {config.d_model}"
            refuse_unclean(source, [f"an embedding or lm_head that is not {size}, as its config"])
            raise
    model, report = loaded
    ends = ends_problems(tokenizer, model.shared.weight, model.lm_head.weight)
    refuse_unclean(source, [*_problems(model, report), *ends])
    return model, tokenizer


def load_weights(
    source: str, *, device: torch.device, revision: str | None = None
) -> tuple[dict[str, Tensor], FamilyConfig]:
    """The float32 weights of a checkpoint by name, each requiring a gradient, and its config.

    Raises as `load_checkpoint`.
    """
    model, _ = load_hugging_face(source, revision=revision)
    weights = {
        name: weight.detach().to(device).clone().requires_grad_()
        for name, weight in model.state_dict().items()
        if not name.endswith("embed_tokens.weight")  # shared.weight under other names
    }
    return weights, model.config


def save_checkpoint(
    folder: Path,
    weights: Mapping[str, Tensor],
    like: str,
    *,
    dtype: torch.dtype,
    revision: str | None = None,
) -> None:
    """Writes weights, last, beside the config and the tokenizer of `like`, a folder or hub id.

    `revision` is of a hub id, None the newest. The folder gets the hub's layout, the file `dtype`:
    it is loaded as the run asks for.
    """
    folder.mkdir(parents=True, exist_ok=True)
    place = located(like)
    for name in DESCRIPTION_FILES:
        if (path := stored_file(place, name, revision)) is not None:
            (folder / name).write_bytes(path.read_bytes())
    stored = {name: weight.detach().to(dtype).cpu() for name, weight in weights.items()}
    save_weights(folder, stored)


def write_untrained_checkpoint(folder: Path, source: str, *, revision: str | None = None) -> None:
    """Writes a checkpoint of the shape and with the tokenizer of another, its weights random.

    They are drawn as transformers draws them, with seed 0: the control of what pre-training gives.
    """
    config, _ = load_description(source, revision=revision)
    weights = random_weights(
        Shape.of(config), config.vocab_size, seed=0, model_type=config.model_type
    )
    save_checkpoint(folder, weights, source, dtype=torch.float32, revision=revision)


def weights_fingerprints(weights: Mapping[str, Tensor]) -> dict[str, str]:
    """The `fingerprints` of weights by their names."""

    def read(name: str, part: slice) -> bytes:
        numbers = weights[name].detach().flatten()[part].to(device="cpu", dtype=torch.bfloat16)
        return numbers.view(torch.uint8).numpy().tobytes()

    return fingerprints(weights, read)


def _problems(model: FamilyModel, report: dict[str, object]) -> list[str]:
    """What transformers may have done to the weights without saying so (each was seen)."""
    embedding = model.shared.weight
    unused = report["unexpected_keys"]
    checks = {
        f"missing weights {report['missing_keys']}": not report["missing_keys"],
        f"weights that its config does not use {unused}": not unused,
        f"weights of another shape {report['mismatched_keys']}": not report["mismatched_keys"],
        f"an adapter ({ADAPTER})": not getattr(model, "_hf_peft_config_loaded", False),
        "the encoder has its own embedding": model.encoder.embed_tokens.weight is embedding,
        "the decoder has its own embedding": model.decoder.embed_tokens.weight is embedding,
        f"the weights are {embedding.dtype}": embedding.dtype is not torch.float16,
    }
    problems = [problem for problem, passed in checks.items() if not passed]
    inner = {name: w for name, w in model.named_parameters() if name not in ENDS}
    return problems + _not_finite(inner)


def _tokenizer_problems(tokenizer: PreTrainedTokenizerFast) -> list[str]:
    if (kind := type(tokenizer.backend_tokenizer.model).__name__) != "Unigram":
        return [f"the tokenizer is a {kind}, T5's a Unigram"]
    ids = {token: _token_id(tokenizer, token) for token in EXPECTED_SPECIAL_IDS}
    problems = [
        f"the tokenizer gives {token} the id {ids[token]}, not {expected[0]}"
        for token, expected in EXPECTED_SPECIAL_IDS.items()
        if ids[token] not in expected
    ]
    if sentinel_id(tokenizer) == ids["<unk>"]:
        problems.append("the tokenizer has no <extra_id_0>")
    num_pieces = len(tokenizer) - len(tokenizer.all_special_ids)
    if num_pieces < MIN_PIECES:
        problems.append(f"the tokenizer has {num_pieces} pieces of text: its vocabulary is missing")
    return problems


def ends_problems(
    tokenizer: PreTrainedTokenizerFast, embedding: Tensor, lm_head: Tensor
) -> list[str]:
    """What is wrong with both ends of a model, beside its tokenizer."""
    highest, num_rows = max(tokenizer.get_vocab().values()), len(embedding)
    problems = []
    if highest >= num_rows:
        problems.append(f"its tokenizer has ids up to {highest}, its embedding {num_rows} rows")
    if torch.equal(lm_head, embedding):
        problems.append("its lm_head is the embedding, as in T5 1.0")
    return problems + _not_finite(dict(zip(ENDS, (embedding, lm_head), strict=True)))


def _not_finite(weights: Mapping[str, Tensor]) -> list[str]:
    names = [name for name, weight in weights.items() if not weight.isfinite().all()]
    return [f"numbers that are not finite in {', '.join(names[:3])}"] if names else []


def refuse_unclean(source: str, problems: list[str]) -> None:
    """Raises a `UserError` that names the problems, if there are any."""
    if problems:
        raise UserError(
            f"the checkpoint {source} did not load cleanly: {'; '.join(problems)}",
            fix="give a model with the config and the tokenizer that its weights were made with",
        )


def sentinel_id(tokenizer: PreTrainedTokenizerFast) -> int:
    """The id of `<extra_id_0>`, that of `<unk>` where there is none."""
    of_unknown, *ids = (_token_id(tokenizer, token) for token in ("<unk>", *SENTINELS))
    return next((token_id for token_id in ids if token_id != of_unknown), of_unknown)


def _token_id(tokenizer: PreTrainedTokenizerFast, token: str) -> int:
    token_id = tokenizer.convert_tokens_to_ids(token)
    assert isinstance(token_id, int), token_id
    return token_id
