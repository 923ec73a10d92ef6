"""Every key of the configuration, one line each: type, meaning, what it may be, is it hashed.

The values are in conf/, only there. `typed` turns what Hydra composed into the objects below, or
says everything that is wrong with it; `config_hash` names a run. What must hold between keys is in
config_checks.py. Nothing here imports torch: a mistake is reported within a second.
"""

import hashlib
import json
import math
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from prompt_tuning.devices import TOKENS_ON_CPU, resolved_device, resolved_dtype
from prompt_tuning.errors import UserError, closest, did_you_mean, raise_all
from prompt_tuning.task_registry import CHOICES
from prompt_tuning.tasks import SPLITS

T = TypeVar("T")

CHOOSING_SPLITS = ("train", "held_out", "validation", "test")
METHODS = ("prompt_tuning", "model_tuning", "multitask_model_tuning", "prompt_design")
FROZEN = ("prompt_tuning", "prompt_design")  # methods that change no weight of the model
ON_ONE_TASK = ("prompt_tuning", "model_tuning")  # methods that train on a single task
INITS = ("random_uniform", "sampled_vocab", "class_label", "from_file", "from_text")
MODEL_SOURCES = ("hub", "embedded", "packaged", "prompt")
DATA_SOURCES = ("auto", "hub", "local", "embedded")
DTYPES = ("auto", "float32", "bfloat16")
COMPILE_MODES = ("default", "reduce-overhead")
RANKS = ("labels", "labels_per_token")  # by their likelihood, or its mean over their tokens
GONE = ("model.recipe",)  # a key of earlier configs that moved no result
OWN_TASK = "own"  # task=own: everything about it is on the command line

# No machine takes more: beyond them a typing error would be a crash, or a run without end.
LARGEST = 2**53  # of any integer; what JSON of other programs holds exactly
LARGEST_SEED = 2**32 - 1  # a step's dropout has seed * 2**32 + step, of 64 bits
LARGEST_BATCH = 2**20
LARGEST_PROMPT = 2**14
MOST_THREADS = 1024


# Is a key's value part of a run's identity?
ALWAYS = "always"
NEVER = "never"  # it does not change a result, or only names it
IF_SET = "if set"  # the key came later; runs where it is null keep their hash
AS_NULL = "as null"  # what the value stands for has a hash of its own in the record
# It changes nothing else, which is enough to make another run of the same question; those with the
# order that a CPU has by itself keep their hash.
ORDER_OF_SUMS = "order of sums"

# What a number may be held to: in words, and as a test.
LIMITS: dict[str, tuple[str, Callable[[float, float], bool]]] = {
    "at_least": ("{} or more", operator.ge),
    "above": ("more than {}", operator.gt),
    "below": ("less than {}", operator.lt),
    "at_most": ("at most {}", operator.le),
}


@dataclass(frozen=True)
class Key:
    """What a field says of its key beside the type."""

    meaning: str  # with its unit; what null means
    one_of: Sequence[str] = ()  # the texts that are allowed; null is too where the type says so
    or_pattern: str | None = None  # what a text may match instead
    hashed: str = ALWAYS  # or NEVER, IF_SET, AS_NULL, ORDER_OF_SUMS
    hash_name: str | None = None  # the name that it had when runs were first recorded
    limits: Mapping[str, float] = field(default_factory=dict)  # of a number, as in `LIMITS`

    @property
    def range(self) -> str:
        """What a number may be, in words; empty: anything."""
        return ", ".join(LIMITS[name][0].format(bound) for name, bound in self.limits.items())

    def holds(self, value: Any) -> bool:
        return all(LIMITS[name][1](value, bound) for name, bound in self.limits.items())


def key(meaning: str, *, may_be_absent: bool = False, **about: Any) -> Any:
    """A field for a key of the configuration; its value is in conf/, so that it has no default.

    Args:
        meaning: as in `Key`.
        may_be_absent: a file of conf/ need not have it; null then.
        about: the other fields of `Key`, and limits by their names in `LIMITS`.
    """
    limits = {name: about.pop(name) for name in LIMITS if name in about}
    metadata = {"key": Key(meaning, limits=limits, **about)}
    return field(default=None, metadata=metadata) if may_be_absent else field(metadata=metadata)


def of_own_task(meaning: str) -> Any:
    """A field for a key of a task that a user defines; those of ptune do not have it."""
    return key(meaning, hashed=IF_SET, may_be_absent=True)


# Sections: the groups of keys that commands share, which say what each is for.


@dataclass(frozen=True)
class ModelConfig:
    name: str = key("its file in conf/model")
    source: str = key("where its weights are; prompt: where a prompt says", one_of=MODEL_SOURCES)
    checkpoints: dict[int, str] = key("steps of LM adaptation -> hub id, embedded or packaged name")
    lm_adapt_steps: int = key("steps that variant=lm_adapted means", at_least=0)
    revision: str | None = key("of the hub's repository; null: its newest")
    hidden_size: int | None = key("H; null: known once the model is read", at_least=1)
    path: str | None = key("a folder in the hub's layout, or a hub id, instead of all these")

    def checkpoint_of(self, variant: "VariantConfig") -> str:
        """The checkpoint that the variant means; random weights take any one's shape."""
        if variant.random_weights and variant.lm_adapt_steps not in self.checkpoints:
            return next(iter(self.checkpoints.values()))
        return self.checkpoints[variant.lm_adapt_steps]


@dataclass(frozen=True)
class VariantConfig:
    name: str = key("its file in conf/variant")
    lm_adapt_steps: int = key("steps of LM adaptation, one of model.checkpoints", at_least=0)
    target_sentinel: bool = key("true: <extra_id_0> in front of every target")
    random_weights: bool = key("true: the model's shape and vocabulary only, as a control")


@dataclass(frozen=True)
class TaskConfig:
    """Which task or mixture: one of prompt_tuning/tasks/, or one that a user defines here."""

    name: str = key("its file in conf/task; of a task of your own, any name")
    report_split: str | None = key(
        "labelled; recipe=mini reports it", one_of=SPLITS, hashed=NEVER, may_be_absent=True
    )
    inputs: str | None = of_own_task("what the model reads: a text with {column}s in it")
    label: str | None = of_own_task("the column of class labels")
    labels: dict[str, str] | None = of_own_task("label -> word; null: as the training data has it")
    target: str | None = of_own_task("the column of free text, instead of label")
    metrics: list[str] | None = of_own_task("null: accuracy; of free text squad")
    files: dict[str, str] | None = of_own_task("split -> file, below data.dir or this folder")
    hub: str | None = of_own_task("id of a data set, instead of files")
    hub_config: str | None = of_own_task("its configuration; null: the only one")
    hub_splits: dict[str, str] | None = of_own_task("split -> its name there; null: the same")

    @property
    def is_own(self) -> bool:
        """Whether a user defines it."""
        own = (each for each in fields(self) if each.name not in ("name", "report_split"))
        return self.name == OWN_TASK or any(getattr(self, each.name) is not None for each in own)


@dataclass(frozen=True)
class NamedConfig:
    """A file of conf/ that is only named, not taken into the config: experiment=<name>."""

    name: str = key("of the file")


@dataclass(frozen=True)
class InitConfig:
    strategy: str | None = key("the init file's; null: no prompt", one_of=INITS)
    uniform_range: float = key("random_uniform: bound of the draw", above=0)
    uniform_signed: bool = key("random_uniform: true: U[-range, range), false: U[0, range)")
    vocab_sample_size: int = key("sampled from this many of the most frequent tokens", at_least=1)
    words: list[str] | None = key("class_label; null: the task's own")
    path: str | None = key("from_file: .safetensors or .npy")
    text: str | None = key("from_text: one position for each sub-token")


@dataclass(frozen=True)
class PromptConfig:
    length: int | None = key(
        "P, positions (figure 3a); null: no soft prompt", at_least=1, at_most=LARGEST_PROMPT
    )
    num_shots: int | None = key("K, solved examples of prompt_design", at_least=0, hashed=IF_SET)
    template: str | None = key(
        "words of prompt_design; null: ours", one_of=("flan",), hashed=IF_SET
    )


@dataclass(frozen=True)
class TrainingConfig:
    num_steps: int = key("updates", at_least=1)
    batch_size: int = key("examples an update", at_least=1, at_most=LARGEST_BATCH)
    dropout: float = key("rate inside the model; off in evaluation", at_least=0, below=1)
    z_loss: float = key("weight of log(Z)^2", at_least=0)
    max_input_tokens: int | None = key("with EOS, without the prompt; null: no cut", at_least=1)
    max_target_tokens: int | None = key("with EOS; null: no cut", at_least=1)
    num_train_examples: int | None = key("the first ones of each task; null: all", at_least=1)
    patience: int | None = key(
        "evaluations without a new best, then the run ends; null: never", at_least=1, hashed=IF_SET
    )


@dataclass(frozen=True)
class OptimizerConfig:
    learning_rate: float = key("constant", above=0)
    decay_rate: float = key("exponent of the second moment's decay", above=0)
    step_offset: int = key("subtracted from the step in that decay", at_least=0)
    initial_step: int = key("the step that the clock starts at", at_least=0)
    weight_decay: float = key("per step, not multiplied by the learning rate", at_least=0)
    clipping_threshold: float = key("RMS of an update before the learning rate", above=0)
    epsilon1: float = key("added to the squared gradient", above=0)
    min_dim_size_to_factor: int = key("factored where P and H are this at least", at_least=1)
    multiply_by_parameter_scale: bool = key("true: the learning rate is relative to each weight")


@dataclass(frozen=True)
class DecodingConfig:
    num_examples: int | None = key("the first ones of each task; null: all", at_least=1)
    max_target_tokens: int | None = key(
        "with EOS; null: the longest label or answer, 62 if one is unknown", at_least=1
    )
    rank: str | None = key("the likeliest class label; null: greedy", one_of=RANKS, hashed=IF_SET)


@dataclass(frozen=True)
class EvaluationConfig(DecodingConfig):
    every_steps: int = key("updates between two evaluations", at_least=1)
    split: str = key("chooses the best step; held_out: see data", one_of=CHOOSING_SPLITS)
    report_split: str | None = key("the best step is scored on it too; null: none", one_of=SPLITS)
    num_report_examples: int | None = key("of report_split; null: all", at_least=1, hashed=IF_SET)
    report_at_every_step: bool | None = key("true: report_split is scored each time", hashed=IF_SET)
    before_training: bool | None = key("true: step 0, untrained, is scored too", hashed=IF_SET)
    transfer_tasks: list[str] | None = key("answered by the best step; null: none", hashed=IF_SET)


@dataclass(frozen=True)
class FolderConfig:
    # The files' own hashes are in the record; where they lie does not matter.
    dir: str | None = key("folder of official files (BoolQ/, GLUE/SST-2/, ...)", hashed=AS_NULL)


@dataclass(frozen=True)
class DataConfig(FolderConfig):
    source: str = key("auto: dir if given, else the hub; mini_*: embedded", one_of=DATA_SOURCES)
    train_file: str | None = key("relative to data.dir; null: the official name")
    validation_file: str | None = key("likewise")
    test_file: str | None = key("likewise")
    num_held_out: int | None = key("training rows of split held_out", at_least=1, hashed=IF_SET)
    cache_dir: str | None = key("of tokenised splits; null: tokenise every time", hashed=NEVER)


@dataclass(frozen=True)
class MachineConfig:
    """What a run may use; all but dtype change the order of floating-point sums alone."""

    device: str = key(
        "auto: cuda if there is one; cuda:1: that GPU",
        one_of=("auto", "cpu", "cuda"),
        or_pattern=r"cuda:\d+",
        hashed=NEVER,
    )
    dtype: str = key("auto: bfloat16 on cuda, else float32", one_of=DTYPES)
    max_tokens_per_micro_batch: int | None = key(
        f"in one pass, prompt included; null: {TOKENS_ON_CPU} on a CPU, what fits on a GPU",
        at_least=1,
        hashed=ORDER_OF_SUMS,
    )
    num_threads: int | None = key(
        "of the CPU; null: torch's choice", at_least=1, at_most=MOST_THREADS, hashed=NEVER
    )


@dataclass(frozen=True)
class FrozenMachineConfig(MachineConfig):
    compile: str | None = key(
        "of torch.compile; null: off", one_of=COMPILE_MODES, hashed=ORDER_OF_SUMS
    )


@dataclass(frozen=True)
class TrainMachineConfig(FrozenMachineConfig):
    spread_weights: bool = key("over torchrun's processes, each a share (FSDP2)", hashed=NEVER)


@dataclass(frozen=True)
class TrackingConfig:
    name: str = key("wandb: online with a key, else offline", one_of=("wandb", "none"))
    project: str = key("of W&B")
    entity: str | None = key("null: the account's own")
    group: str | None = key("null: the experiment")
    tags: list[str] = key("on top of the axes (task, model, init, ...)")


@dataclass(frozen=True)
class RecordConfig:
    """What every command has that leaves a folder with a record."""

    tracking: TrackingConfig = key("where curves go, beside metrics.jsonl", hashed=NEVER)
    output_dir: str = key("one folder per run inside, named by axes and hash", hashed=NEVER)
    rerun: bool = key("true: repeat a finished run", hashed=NEVER)


# What follows `ptune <command>`: commands/__init__.py says what each does. Those of pretrain, adapt
# and bench are in pretraining/schema.py and bench/settings.py.


@dataclass(frozen=True)
class TrainConfig(RecordConfig):
    model: ModelConfig = key("the frozen T5")
    variant: VariantConfig = key("its pre-training (figures 3c and 3d)")
    task: TaskConfig = key("what is learned")
    init: InitConfig = key("how the prompt starts (figure 3b)")
    prompt: PromptConfig = key("what stands in front of the input")
    training: TrainingConfig = key("the loop")
    optimizer: OptimizerConfig = key("Adafactor as in T5X")
    evaluation: EvaluationConfig = key("when, and on what")
    data: DataConfig = key("where examples come from")
    machine: TrainMachineConfig = key("what the run may use")
    method: str = key("what is trained, if anything", one_of=METHODS)
    recipe: str = key("the file in conf/recipe that set the values", hashed=NEVER)
    experiment: str | None = key("the file in conf/experiment, if any", hashed=NEVER)
    seed: int = key(
        "of initialisation, order of examples and dropout", at_least=0, at_most=LARGEST_SEED
    )


@dataclass(frozen=True)
class EvaluateConfig(RecordConfig):
    prompt: str = key("a run's folder, .safetensors, or .npy with model= and variant=")
    split: str = key("what is answered", one_of=SPLITS)
    model: ModelConfig = key("as_trained: the one that the prompt names")
    variant: VariantConfig | None = key("null: as the prompt was trained")
    task: TaskConfig | None = key("any task; null: the one that the prompt was trained on")
    evaluation: DecodingConfig = key("how much of the split")
    data: DataConfig = key("where examples come from")
    machine: FrozenMachineConfig = key("what the command may use")


@dataclass(frozen=True)
class InspectConfig(RecordConfig):
    prompt: str | None = key("a run's folder, .safetensors, or .npy with model= or model.path=")
    experiment: NamedConfig | None = key("all prompts of its runs, instead", hash_name="of")
    train: list[str] = key("experiment=: overrides that its runs were started with")
    top_k: int = key("neighbours a row; tightness is of pairs", at_least=2)
    control_tokens: bool = key("true: pad, eos, unk and sentinels may be neighbours too")
    num_random_draws: int = key("each of as many random vectors as the prompt has rows", at_least=1)
    seed: int = key("of the random vectors", at_least=0, at_most=LARGEST_SEED)
    show_rows: int | None = key("on the terminal; null: all", at_least=1, hashed=NEVER)
    model: ModelConfig = key("as_trained: the one that the prompt names")
    variant: VariantConfig | None = key("null: as the prompt was trained")
    task: TaskConfig | None = key("for its labels and texts; null: as the prompt was trained")
    data: DataConfig = key("where texts come from")


@dataclass(frozen=True)
class EnsembleConfig(RecordConfig):
    prompts: list[str] | None = key("two or more, each as evaluate's prompt; needs task=")
    experiment: NamedConfig | None = key("its runs' prompts, instead", hash_name="of")
    train: list[str] = key("experiment=: overrides of its runs")
    num_prompts: int = key("experiment=: seeds of one ensemble, lowest first", at_least=2)
    tie: str = key("which prompt's group wins: the first, or the best", one_of=("first", "best"))
    split: str = key("prompts=: what they vote on", one_of=SPLITS)
    model: ModelConfig = key("as_trained: the one that the prompts name")
    variant: VariantConfig | None = key("null: as the prompts were trained")
    task: TaskConfig | None = key("prompts=: what they vote on")
    evaluation: DecodingConfig = key("prompts=: how much of the split")
    data: DataConfig = key("prompts=: where examples come from")
    machine: FrozenMachineConfig = key("what the command may use")


@dataclass(frozen=True)
class PredictConfig:
    prompt: str | None = key("a file or a run's folder, for every row")
    prompts: dict[str, str] | None = key("name -> file or run's folder, for rows that name them")
    library: str | None = key("a folder of <name>.safetensors and <run>/prompt.safetensors")
    input: str = key(".jsonl, .csv, .tsv, .json or .parquet; -: JSON lines on standard input")
    output: str = key("a .jsonl file, continued if it exists; a new .csv file; or /dev/stdout")
    model: ModelConfig = key("as_trained: the one that the prompts name")
    variant: VariantConfig | None = key("null: as the prompts were trained")
    rank: str | None = key("the likeliest class label; null: greedy", one_of=RANKS)
    probabilities: bool = key("of each class label, among the labels; needs rank=labels")
    max_input_tokens: int = key("a longer row is an error in its line", at_least=1)
    max_target_tokens: int = key("where an answer is cut", at_least=1)
    rows_in_memory: int = key("read ahead, so that rows of like length go together", at_least=1)
    cache_dir: str = key("of a model that is made on demand")
    machine: FrozenMachineConfig = key("what the command may use")


@dataclass(frozen=True)
class ExportConfig:
    prompt: str = key("a run's folder or a prompt file")
    format: str = key("of which program", one_of=("peft", "npy", "safetensors"))
    output: str = key("a new folder")
    num_transformer_submodules: int = key("peft: prompts in the file", at_least=1, at_most=2)
    push: str | None = key("upload the folder to the hub: <owner>/<name>; null: do not")


@dataclass(frozen=True)
class ShowConfig:
    task: TaskConfig = key("whose text format")
    rows: str | None = key("raw rows: .jsonl or a table, - standard input; null: the task's data")
    format: str = key("t5: with T5's task name in front", one_of=("taskless", "t5"))
    split: str = key("rows=: train: as training sees the row", one_of=SPLITS)
    data: DataConfig = key("where examples come from")
    model: ModelConfig = key("whose tokens are counted")
    variant: VariantConfig = key("of the model")
    max_input_tokens: int | None = key("a longer input of training is cut; null: none", at_least=1)


@dataclass(frozen=True)
class ScoreConfig:
    task: TaskConfig = key("whose metrics")
    rows: str = key('a .jsonl file of {"row": ..., "prediction": ...}; -: standard input')
    data: DataConfig = key("where the labels of a task of your own are, if it names none")


@dataclass(frozen=True)
class ListConfig:
    what: str | None = key("a group of conf/, runs or prompts; null: all groups")
    experiment: NamedConfig | None = key("what=runs: its runs, one by one")
    train: list[str] = key("what=runs: overrides that they were started with")
    output_dir: str = key("what=runs, what=prompts: where to look")


@dataclass(frozen=True)
class CompareConfig:
    runs: list[str] = key("their folders; on the command line without runs=")
    picture: str | None = key("of the curves: .png, .svg or .pdf; null: none")


@dataclass(frozen=True)
class DoctorConfig:
    data: FolderConfig = key("where examples come from")
    timeout_s: float = key("seconds to wait for the hub", above=0)
    model: NamedConfig | None = key("small to xxl, flan_*: its needs; null: looks at this machine")
    experiment: NamedConfig | None = key("GPU hours of its runs; null: none's")
    prompt_length: int = key("model=: P, positions", at_least=1, at_most=LARGEST_PROMPT)
    dtype: str = key("model=: of the weights", one_of=("float32", "bfloat16"))
    peak_tflops: float = key("model=: 10^12 operations a second that a GPU can do", above=0)
    utilization: float = key("model=: the share of them that a run does", above=0, at_most=1)


@dataclass(frozen=True)
class ReportConfig:
    experiment: NamedConfig | None = key("fig1, fig3a_ladder, table4, ...; null: all")
    runs: str = key("output_dir of the training runs")
    output_dir: str = key("where tables, figures and the page go")
    train: list[str] = key("overrides that the runs were started with")
    commit_records: bool = key("true: copy the records that were used into <output_dir>/runs")
    wandb: bool = key("true: make a W&B report too")
    wandb_project: str = key("of that report")
    wandb_entity: str | None = key("null: the account's own")


# The identity of a run.


def config_hash(config: Any) -> str:
    """8 hexadecimal digits that name a configuration (a dataclass): what its result follows from.

    It holds what is asked, and of the order of sums what a run keeps wherever it goes: on a CPU the
    micro-batch budget, on any device dtype and compilation. A GPU's budget is what its memory
    allows, and stands as that whatever was typed: a run on a GPU and one on a CPU are always two,
    and one that ran out of memory goes on under a smaller budget. Pre-training has float32 alone,
    and neither budget nor device in its hash.

    It does not hold what the machine and the code bring along: processor, threads, processes and
    how these share the weights, versions of libraries, the commit. They change the order in which
    numbers are summed, and training multiplies that: on the ladder two runs that differ in the
    last digit at step 1 have nothing in common after 30 steps (results/LOG.md, 2026-11-27). One
    seed under another of them is another draw, as another seed is. The record has them all, and
    the hashes of its files.
    """
    values = _hashed_values(config)
    machine = getattr(config, "machine", None)
    if isinstance(machine, FrozenMachineConfig):  # pre-training has float32 alone
        dtype = resolved_dtype(machine.dtype, machine.device)
        # float32 is "auto" here: that is what it meant where the first results were made, on CPUs.
        values["machine"]["dtype"] = "auto" if dtype == "float32" else dtype
        if resolved_device(machine.device) != "cpu":
            values["machine"]["max_tokens_per_micro_batch"] = "what fits"
    canonical = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:8]


def _hashed_values(config: Any) -> dict[str, Any]:
    """A config's values by section and name, without those that their `Key` leaves out."""
    values = {}
    for each in fields(config):
        about, value = each.metadata["key"], getattr(config, each.name)
        if about.hashed == NEVER or (about.hashed == IF_SET and value is None):
            continue
        if about.hashed == ORDER_OF_SUMS and value in (None, TOKENS_ON_CPU):
            continue
        if is_dataclass(value):
            value = _hashed_values(value)
        elif isinstance(value, Mapping) and [*value] != sorted(value):
            value = [*value.items()]  # labels: their order says which class is which
        values[about.hash_name or each.name] = None if about.hashed == AS_NULL else value
    return values


def _ignored_keys(schema: type, prefix: str = "") -> Iterator[str]:
    """The keys and sections that are no part of what is asked, dotted."""
    hints = get_type_hints(schema)
    for each in fields(schema):
        section = _section(hints[each.name])
        if each.metadata["key"].hashed in (NEVER, ORDER_OF_SUMS):
            yield f"{prefix}{each.name}"
        elif section is not None:
            yield from _ignored_keys(section, f"{prefix}{each.name}.")


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


def quoted(value: object) -> str:
    """A value as an override has it: a text in quotes, its letters as they are."""
    return json.dumps(value, ensure_ascii=False)


# The files of conf/.


@cache
def config_dir() -> Path:
    """conf/: inside an installed package, or at the top of a checkout."""
    package = Path(__file__).resolve().parent
    packaged = package / "_conf"
    return packaged if packaged.is_dir() else package.parent / "conf"


def choices(group: str) -> tuple[str, ...]:
    """The names in a group: its files in conf/, and all tasks; none if there is no such group."""
    folder = config_dir() / group
    names = _names_in(folder, folder.stat().st_mtime_ns) if folder.is_dir() else ()
    return tuple(sorted((*names, *(CHOICES if group == "task" else ()))))


@cache  # asked for every override of every run of a sweep
def _names_in(folder: Path, changed_at: int) -> tuple[str, ...]:
    return tuple(path.stem for path in folder.glob("*.yaml"))


def file_of(group: str, name: str) -> DictConfig:
    """What one of those files says."""
    return cast(DictConfig, OmegaConf.load(config_dir() / group / f"{name}.yaml"))


def models_of_width(hidden_size: int) -> list[str]:
    """The models of conf/ that are known to be as wide."""
    return [name for name in choices("model") if file_of("model", name).hidden_size == hidden_size]


# From what Hydra composed to objects of the classes above. OmegaConf's own would stop at the first
# value that does not fit; here all of them are reported, with their full keys.


def typed(schema: type[T], cfg: DictConfig) -> T:
    """`cfg` as a `schema` object.

    Raises:
        UserError: every key that is unknown, missing, of the wrong type or out of range.
    """
    try:
        values = cast(dict[str, Any], OmegaConf.to_container(cfg, resolve=True))
    except OmegaConfBaseException as error:
        problem = f"{error.full_key}: {str(error).splitlines()[0]}"
        raise UserError(problem, fix="write a plain value, or escape it: \\${...}") from error
    problems: list[UserError] = []
    config = _read(schema, values, "", problems)
    raise_all(problems)
    return config


def described(
    schema: type, values: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, str, str]]:
    """Three texts a key, for help: `key=value`, what may be given, and what it means."""
    hints = get_type_hints(schema)
    shared = {each.name for base in schema.__bases__ if is_dataclass(base) for each in fields(base)}
    for each in sorted(fields(schema), key=lambda each: each.name in shared):
        name, value, about = f"{prefix}{each.name}", values.get(each.name), each.metadata["key"]
        hint, section = hints[each.name], _section(hints[each.name])
        if section is not None and isinstance(value, Mapping):
            yield from described(section, value, f"{name}.")
            continue
        if section is not None:
            words = f"ptune list what={name}" if choices(name) else "a section"
        else:
            words = ", ".join(about.one_of) or _WORDS[_without_null(hint)]
        or_null = "or null" if NoneType in get_args(hint) else ""
        is_word = value is None or isinstance(value, bool)
        shown = f"{name}={json.dumps(value) if is_word else value}"
        yield shown, ", ".join(filter(None, (words, about.range, or_null))), about.meaning


def unknown_key(name: str, known: Iterable[str]) -> UserError:
    """The error for a key that no config has; the closest may be in another section."""
    known = list(known)
    by_name = {known_key.rpartition(".")[2]: known_key for known_key in known}
    near = closest(name, known) or by_name.get(closest(name.rpartition(".")[2], by_name) or "")
    fix = f"did you mean {near}?" if near else "see every key with ptune <command> --help"
    return UserError(f"{name} is not a key of the configuration", fix=fix)


_hints = cache(get_type_hints)


def _read(schema: type[T], values: Mapping[str, Any], prefix: str, problems: list[UserError]) -> T:
    """The object; where a value does not fit there is None instead, and a problem more."""
    hints, parts = _hints(cast(Any, schema)), {}
    known = [f"{prefix}{name}" for name in hints]
    problems += [unknown_key(f"{prefix}{name}", known) for name in values if name not in hints]
    for each in fields(cast(Any, schema)):
        name, hint = f"{prefix}{each.name}", hints[each.name]
        value, section = values.get(each.name, MISSING), _section(hint)
        read: Any = None
        if value == MISSING and each.default is None:
            pass  # it has `may_be_absent`, and is null
        elif value == MISSING:
            options = ", ".join(choices(name)) or None
            fix = f"add {name}=<value>"
            problems.append(UserError(f"{name} is missing", allowed=options, fix=fix))
        elif section is not None and isinstance(value, Mapping):
            read = _read(section, value, f"{name}.", problems)
        else:
            try:
                read = _converted(value, hint)
                problems += _out_of_range(name, read, each.metadata["key"])
            except (TypeError, OverflowError):
                problems.append(_wrong_type(name, value, hint))
        parts[each.name] = read
    return schema(**parts)


def _converted(value: Any, hint: Any) -> Any:
    """The value as `hint` has it: a number given for a text, and an integer for a number, are fine.

    Raises:
        TypeError: it is something else.
    """
    if value is None and NoneType in get_args(hint):
        return None
    kind = _without_null(hint)
    parts = get_args(kind)
    if get_origin(kind) is list and isinstance(value, list):
        return [_converted(item, parts[0]) for item in value]
    if get_origin(kind) is dict and isinstance(value, dict):
        return {_converted(k, parts[0]): _converted(v, parts[1]) for k, v in value.items()}
    if type(value) is not kind and not (type(value) is int and kind in (str, float)):
        raise TypeError
    if isinstance(value, str) and re.search("[\0\ud800-\udfff]", value):
        raise TypeError  # no file and no file's name can hold it
    return kind(value)


def _section(hint: Any) -> type | None:
    """The dataclass in a field's type, which may be optional."""
    kind = _without_null(hint)
    return kind if isinstance(kind, type) and is_dataclass(kind) else None


_WORDS: dict[Any, str] = {
    int: "an integer",
    float: "a number",
    bool: "true or false",
    str: "a text",
    list[int]: "a list of integers: '[1,2]'",
    list[float]: "a list of numbers: '[0.1,0.2]'",
    list[str]: "a list of texts: '[a,b]'",
    dict[int, str]: "texts by integers: '{0:a,1:b}'",
    dict[str, str]: "texts by names: '{a:b,c:d}'",
}


def _without_null(hint: Any) -> Any:
    return get_args(hint)[0] if isinstance(hint, UnionType) else hint


def _wrong_type(name: str, value: Any, hint: Any) -> UserError:
    section = _section(hint)
    if section is not None:
        allowed = ", ".join(f"{name}.{each.name}" for each in fields(section))
        fix = "set one of its keys"
        if choices(name):
            fix += f", or choose a file: ptune list what={name}"
        return UserError(f"{name}={value}: {name} is a section", allowed=allowed, fix=fix)
    allowed = _WORDS[_without_null(hint)] + (", or null" if NoneType in get_args(hint) else "")
    fix = f"correct {name}, or leave it out for its default"
    if isinstance(value, dict) and any(isinstance(v, bool) for v in (*value, *value.values())):
        fix = 'quote a word that YAML takes for true or false: "yes", "no", "on", "off"'
    return UserError(f"{name}={value} has the wrong type", allowed=allowed, fix=fix)


def _out_of_range(name: str, value: Any, about: Key) -> Iterator[UserError]:
    """What is wrong with a value of the right type: one problem at most."""
    if value is None:
        return
    fix = f"correct {name}, or leave it out for its default"
    matches = about.or_pattern is not None and re.fullmatch(about.or_pattern, str(value))
    if about.one_of and value not in about.one_of and not matches:
        is_half = value in ("float16", "fp16", "half")
        reason = ": float16 overflows inside T5 (huggingface/transformers#14189)" if is_half else ""
        yield UserError(
            f"{name}={value} is not possible{reason}",
            allowed=", ".join(about.one_of),
            fix=did_you_mean(value, about.one_of) or f"correct {name}, or leave it out",
        )
    elif isinstance(value, str) and not value.strip():
        yield UserError(f"{name}= is empty", allowed="a text", fix=fix)
    elif isinstance(value, list) and not all(str(each).strip() for each in value):
        yield UserError(f"{name}={value} has an empty text", fix="leave the empty one out")
    elif isinstance(value, int) and not -LARGEST <= value <= LARGEST:
        yield UserError(f"{name} is a number of {len(bin(value)) - 2} bits", fix=fix)
    elif not about.holds(value) or (isinstance(value, float) and not math.isfinite(value)):
        allowed = about.range or "a finite number"
        yield UserError(f"{name}={value} is out of range", allowed=allowed, fix=fix)


IGNORED_KEYS = (*_ignored_keys(TrainConfig), *GONE)
