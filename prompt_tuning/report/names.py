"""What a person calls the values of a config."""

import re

NAMES = {
    "prompt_tuning": "prompt tuning",
    "model_tuning": "model tuning",
    "multitask_model_tuning": "multi-task model tuning",
    "prompt_design": "prompt design",
    "gpt3_few_shot": "GPT-3, few-shot",
    "lm_adapted": "LM-adapted",
    "span_corruption": "span corruption",
    "span_corruption_sentinel": "span corruption + sentinel",
    "random_weights": "random weights",
    "class_label": "class label",
    "sampled_vocab": "sampled vocab",
    "random_uniform": "random uniform",
    "labels": "labels ranked",
    "labels_per_token": "labels ranked per token",
    "flan": "in FLAN's words",
    "flan_small_int8": "the real T5 Small",
    "small": "Small",
    "base": "Base",
    "large": "Large",
    "xl": "XL",
    "xxl": "XXL",
    "sst2": "SST-2",
    "boolq": "BoolQ",
    "cb": "CB",
    "copa": "COPA",
    "multirc": "MultiRC",
    "record": "ReCoRD",
    "rte": "RTE",
    "wic": "WiC",
    "wsc": "WSC",
    "squad": "SQuAD",
    "squad_b": "SQuAD of the other domain",
    "boolq_b": "BoolQ of the other domain",
    "race": "RACE",
    "drop": "DROP",
    "quoref": "Quoref",
    "qqp": "QQP",
    "mrpc": "MRPC",
    "prefix_tuning_train": "prefix tuning, while training",
    "prefix_tuning_infer": "prefix tuning, in use",
    "warp": "WARP",
    "variant.name": "pre-training",
    "init.strategy": "initialisation",
    "prompt.length": "prompt length",
    "prompt.num_shots": "examples shown",
    "prompt.template": "words",
    "evaluation.rank": "answer",
    "training.num_steps": "steps",
    "variant.lm_adapt_steps": "steps of LM adaptation",
}


def human(text: str) -> str:
    """A series, a model or a task: its parts by their names."""
    return ", ".join(map(_part, text.split(", ")))


def _part(text: str) -> str:
    text = re.sub("^(ladder|mrqa)_", "", text)
    name = text.removeprefix("mini_")  # a miniature of that task
    return ("mini " if name != text else "") + NAMES.get(name, name)
