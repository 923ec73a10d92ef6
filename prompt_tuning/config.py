"""The configuration's names, types and units; its values are in conf/, only there.

`train_config` and `evaluate_config` turn what Hydra composed into plain objects, or say everything
that is wrong with it. Nothing here imports torch: a mistake is reported within a second.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from omegaconf import DictConfig

from prompt_tuning.config_checks import (
    evaluate_problems,
    inspect_problems,
    train_problems,
)
from prompt_tuning.config_ranges import range_problems
from prompt_tuning.config_reading import build, fill
from prompt_tuning.devices import resolved_dtype
from prompt_tuning.errors import UserError, raise_all

T = TypeVar("T")


@dataclass(frozen=True)
class ModelConfig:
    """Which frozen T5; `path` wins over the rest."""

    name: str
    source: str  # hub | embedded | prompt (the one a prompt names; evaluate only)
    checkpoints: dict[int, str]  # steps of LM adaptation -> hub id or embedded name
    lm_adapt_steps: int  # of its LM adaptation as a whole: what variant=lm_adapted means
    revision: str | None  # of the hub's repository; None: its newest
    hidden_size: int | None  # H; None: known once the model is read
    path: str | None  # a folder in the hub's layout


@dataclass(frozen=True)
class VariantConfig:
    """Which pre-training the frozen model has had (figures 3c and 3d)."""

    name: str
    lm_adapt_steps: int  # steps of LM adaptation, a key of model.checkpoints
    target_sentinel: bool  # <extra_id_0> in front of every target
    random_weights: bool  # the model's shape and vocabulary only: a control


@dataclass(frozen=True)
class TaskConfig:
    """Which task or mixture; what it is made of is in prompt_tuning/tasks/."""

    name: str
    report_split: str | None  # labelled, and free of choices: recipe=mini reports it; None: none


@dataclass(frozen=True)
class InitConfig:
    """How the prompt's values start (figure 3b)."""

    # random_uniform | sampled_vocab | class_label | from_file | from_text; None: no prompt
    strategy: str | None
    uniform_range: float  # random_uniform: bound of the draw
    uniform_signed: bool  # True: U[-range, range); False: U[0, range)
    vocab_sample_size: int  # sample among this many of the most frequent tokens
    words: list[str] | None  # class_label; None: the task's own
    path: str | None  # from_file: .safetensors or .npy
    text: str | None  # from_text


@dataclass(frozen=True)
class PromptConfig:
    length: int | None  # P, positions in front of the input (figure 3a); None: no soft prompt
    num_shots: int | None  # K, solved examples in front of the input (prompt design); None: none
    template: str | None  # flan: FLAN's words (prompt design); None: the task's own format


@dataclass(frozen=True)
class TrainingConfig:
    num_steps: int  # updates
    batch_size: int  # examples an update
    dropout: float  # rate inside the model; off in evaluation
    z_loss: float  # weight of log(Z)^2
    max_input_tokens: int | None  # with EOS, without the prompt; None: no cut
    max_target_tokens: int | None  # with EOS; None: no cut
    num_train_examples: int | None  # the first ones of each task; None: all


@dataclass(frozen=True)
class OptimizerConfig:
    """Adafactor as in T5X."""

    learning_rate: float  # constant
    decay_rate: float  # exponent of the second moment's decay
    step_offset: int  # subtracted from the step in the second moment's decay
    initial_step: int  # the step that the clock starts at
    weight_decay: float  # per step, not multiplied by the learning rate
    clipping_threshold: float  # RMS of an update before the learning rate
    epsilon1: float  # added to the squared gradient
    min_dim_size_to_factor: int  # factored where P and H are both at least this
    multiply_by_parameter_scale: bool


@dataclass(frozen=True)
class DecodingConfig:
    """How much of a split is decoded."""

    num_examples: int | None  # the first ones of each task; None: all
    max_target_tokens: int | None  # with EOS; None: the split's longest target
    rank: str | None  # labels: the likeliest class label answers; None: what is decoded greedily


@dataclass(frozen=True)
class EvaluationConfig(DecodingConfig):
    """When a training run is evaluated, and on what."""

    every_steps: int
    split: str  # train | held_out | validation | test; chooses the best step
    report_split: str | None  # the best prompt is scored on it at the end; None: on none
    num_report_examples: int | None  # of the reported split, the first ones; None: all
    report_at_every_step: bool | None  # at every evaluation too: what choosing by it would give
    before_training: bool | None  # True: what is not trained yet is scored too, at step 0
    transfer_tasks: list[str] | None  # answered by the best step too, zero-shot; None: none


@dataclass(frozen=True)
class FolderConfig:
    dir: str | None  # folder of official files


@dataclass(frozen=True)
class DataConfig(FolderConfig):
    """Where the examples come from."""

    source: str  # auto | hub | local | embedded
    train_file: str | None  # relative to dir; None: the official name
    validation_file: str | None
    test_file: str | None
    num_held_out: int | None  # training rows kept apart as split held_out, a fifth at most
    cache_dir: str | None  # of tokenised splits; None: no cache


@dataclass(frozen=True)
class MachineConfig:
    """What a run may use; all but dtype change the order of floating-point sums alone."""

    device: str  # auto | cpu | cuda
    dtype: str  # of the model's forward pass: auto | float32 | bfloat16
    max_tokens_per_micro_batch: int  # tokens, prompt included, in one forward pass
    num_threads: int | None  # None: torch's choice


@dataclass(frozen=True)
class FrozenMachineConfig(MachineConfig):
    """What a run with a frozen model may use."""

    compile: str | None  # a mode of torch.compile: default | reduce-overhead; None: eager


@dataclass(frozen=True)
class TrackingConfig:
    name: str  # wandb | none
    project: str
    entity: str | None  # None: the account's own
    group: str | None  # None: the experiment
    tags: list[str]  # on top of the axes


@dataclass(frozen=True)
class TrainConfig:
    """`ptune train`: one run."""

    model: ModelConfig
    variant: VariantConfig
    task: TaskConfig
    init: InitConfig
    prompt: PromptConfig
    training: TrainingConfig
    optimizer: OptimizerConfig
    evaluation: EvaluationConfig
    data: DataConfig
    machine: FrozenMachineConfig
    tracking: TrackingConfig
    method: str  # prompt_tuning | model_tuning | multitask_model_tuning | prompt_design
    recipe: str  # name of the file in conf/recipe that set the values
    experiment: str | None  # name of the file in conf/experiment, if any
    seed: int  # of initialisation, order of examples and dropout
    output_dir: str  # the run's folder is made inside
    rerun: bool  # True: repeat a finished run


@dataclass(frozen=True)
class EvaluateConfig:
    """`ptune evaluate`: a saved prompt on a task and split."""

    prompt: str  # .safetensors, or .npy with model and variant given
    split: str  # train | validation | test
    model: ModelConfig
    variant: VariantConfig | None  # None: as the prompt was trained
    task: TaskConfig
    evaluation: DecodingConfig
    data: DataConfig
    machine: FrozenMachineConfig
    tracking: TrackingConfig
    output_dir: str
    rerun: bool


@dataclass(frozen=True)
class InspectConfig:
    """`ptune inspect`: what a prompt looks like among the vocabulary."""

    prompt: str | None  # .safetensors, or .npy with model given; None: those of an experiment
    of: str | None  # given as experiment=<name>: the prompts of all its runs
    train: list[str]  # overrides of those runs, beside their experiment's
    top_k: int  # neighbours a row
    control_tokens: bool  # True: pad, eos, unk and sentinels may be neighbours too
    num_random_draws: int  # of as many random vectors as the prompt has rows
    seed: int  # of the random vectors
    show_rows: int | None  # on the terminal; None: all
    model: ModelConfig
    variant: VariantConfig | None  # None: as the prompt was trained
    task: TaskConfig | None  # None: the one that the prompt was trained on
    data: DataConfig
    tracking: TrackingConfig
    output_dir: str
    rerun: bool


@dataclass(frozen=True)
class EnsembleConfig:
    """`ptune ensemble`: prompts of one task that vote."""

    prompts: list[str] | None  # .safetensors
    of: str | None  # given as experiment=<name>: its runs' prompts, instead of files
    train: list[str]  # overrides of those runs, beside those of their experiment
    num_prompts: int  # of an experiment: seeds of one ensemble
    tie: str  # first | best
    split: str  # train | validation | test
    model: ModelConfig
    variant: VariantConfig | None  # None: as the prompts were trained
    task: TaskConfig | None  # None: an experiment's runs say
    evaluation: DecodingConfig
    data: DataConfig
    machine: FrozenMachineConfig
    tracking: TrackingConfig
    output_dir: str  # of an experiment: of its training runs too
    rerun: bool


@dataclass(frozen=True)
class PredictConfig:
    """`ptune predict`: rows of mixed tasks, each under its own prompt."""

    prompts: dict[str, str] | None  # name -> .safetensors
    library: str | None  # folder of <name>.safetensors
    input: str  # a .jsonl file; -: standard input
    output: str  # a .jsonl file
    model: ModelConfig
    variant: VariantConfig | None  # None: as the prompts were trained
    max_target_tokens: int
    rows_in_memory: int
    cache_dir: str
    machine: FrozenMachineConfig


@dataclass(frozen=True)
class ShowConfig:
    """`ptune show`: what the model sees."""

    task: TaskConfig
    rows: str  # a .jsonl file of raw rows; -: standard input
    format: str  # taskless | t5 (with T5's task name in front)
    split: str  # validation | train (as training sees the row)


@dataclass(frozen=True)
class ScoreConfig:
    """`ptune score`: metrics of predictions from anywhere."""

    task: TaskConfig
    rows: str  # a .jsonl file of {"row": ..., "prediction": ...}; -: standard input


@dataclass(frozen=True)
class ListConfig:
    what: str | None  # a group of conf/, or runs; None: all groups
    of: str | None  # runs: those of this experiment, one by one; None: counts for every experiment
    train: list[str]  # runs: overrides that they were started with
    output_dir: str  # runs: where their folders are


@dataclass(frozen=True)
class DoctorConfig:
    """`ptune doctor`: what this machine has and what is missing."""

    data: FolderConfig
    timeout_s: float  # seconds to wait for the hub


@dataclass(frozen=True)
class ReportConfig:
    """`ptune report`: what was measured beside what was published."""

    artefact: str | None  # given as experiment=<name>; None: all
    runs: str  # folder of `ptune train`
    output_dir: str
    train: list[str]  # overrides of the runs, beside those of their experiment
    commit_records: bool  # True: copy what was used into <output_dir>/runs
    wandb: bool  # True: make a W&B report
    wandb_project: str
    wandb_entity: str | None  # None: the account's own


# What does not change a result, or only names it: the same run under another experiment is the
# same run. What `machine.dtype` comes to is in the hash: rounding of that size is part of a result.
NOT_IN_HASH = (
    "experiment",
    "recipe",
    "output_dir",
    "rerun",
    "show_rows",
    "task.report_split",
    "data.cache_dir",
    "corpus.cache_dir",
    "machine.compile",
    "machine.device",
    "machine.max_tokens_per_micro_batch",
    "machine.num_threads",
    "tracking",
)

# Keys that came later: where they are null, a run has the hash that it had before they were there.
NOT_IN_HASH_IF_NULL = (
    "data.num_held_out",
    "evaluation.before_training",
    "evaluation.num_report_examples",
    "evaluation.rank",
    "evaluation.report_at_every_step",
    "evaluation.transfer_tasks",
    "prompt.num_shots",
    "prompt.template",
)


def train_config(cfg: DictConfig) -> TrainConfig:
    """The run that `cfg` describes.

    Raises:
        UserError: everything that is wrong with it, found without loading a model or data.
    """
    return _checked(TrainConfig, cfg, train_problems)


def evaluate_config(cfg: DictConfig) -> EvaluateConfig:
    """The evaluation that `cfg` describes; raises as `train_config`."""
    return _checked(EvaluateConfig, cfg, evaluate_problems)


def inspect_config(cfg: DictConfig) -> InspectConfig:
    """The inspection that `cfg` describes; raises as `train_config`."""
    return _checked(InspectConfig, cfg, inspect_problems)


def typed(schema: type[T], cfg: DictConfig) -> T:
    """`cfg` as a `schema` object without further checks; raises as `train_config`."""
    return _checked(schema, cfg, lambda _: [])


def config_hash(config: Any) -> str:
    """8 hexadecimal digits that name a configuration (a dataclass): what its result follows from.

    It promises that two runs with one hash compute the same numbers up to the order in which
    floating-point numbers are summed: device, threads, micro-batch budget and compilation change
    that order and nothing else. It does not promise the same score: a seed that sits on an edge can
    fall either way (results/LOG.md: 71.6 against 47.4 under two budgets). Nor does it see inside
    files: their hashes are in the record.
    """
    values = asdict(config)
    for key in (*NOT_IN_HASH, *NOT_IN_HASH_IF_NULL):
        *sections, name = key.split(".")
        section = values
        for part in sections:
            section = section.get(part, {})
        if not isinstance(section, dict):  # evaluate's `prompt` is a file
            continue
        if key in NOT_IN_HASH or section.get(name) is None:
            section.pop(name, None)
    if "dir" in values.get("data", {}):
        values["data"]["dir"] = None  # where the files are is not what is in them: records say that
    machine = getattr(config, "machine", None)
    if isinstance(machine, FrozenMachineConfig):  # pre-training has float32 alone
        dtype = resolved_dtype(machine.dtype, machine.device)
        # float32 is "auto" here: that is what it meant where the first results were made, on CPUs.
        values["machine"]["dtype"] = "auto" if dtype == "float32" else dtype
    canonical = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:8]


def run_name(config: TrainConfig) -> str:
    """The run's folder, such as rte-small-lm_adapted-class_label-P20-s0-3f2a91c0.

    A run without a prompt has its method there: rte-small-span_corruption-model_tuning-s0-f00dcafe.
    """
    model = Path(config.model.path).resolve().name if config.model.path else config.model.name
    axes = (config.task.name, model, config.variant.name, *method_axes(config))
    return "-".join((*axes, f"s{config.seed}", config_hash(config)))


def method_axes(config: TrainConfig) -> tuple[str, ...]:
    """Initialisation and length of the prompt; of a run without one, its method and shots."""
    if config.prompt.num_shots is not None:
        words = (config.prompt.template,) if config.prompt.template else ()
        return (config.method, *words, f"K{config.prompt.num_shots}")
    if config.init.strategy is None:
        return (config.method,)
    return (config.init.strategy, f"P{config.prompt.length}")


def _checked(schema: type[T], cfg: DictConfig, check: Callable[[T], list[UserError]]) -> T:
    """Structure and ranges first, all at once; cross-field checks need both to hold."""
    values, problems = fill(schema, cfg)
    raise_all([*problems, *range_problems(values)])
    config = build(schema, values)
    raise_all(check(config))
    return config
