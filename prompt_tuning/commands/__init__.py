"""The commands of `ptune`, a module each: `check` (config in, problems out) and `run`.

Those that leave records hand `_load`, `_changed` and `_describe` to `protocol.do_once`. Those that
train have `folder_of`: a sweep of theirs is told of by the runs' folders. `POSITIONAL` names the
key of bare words. `answers.py` and `hub_access.py` are shared by some.
"""

COMMANDS = {
    "train": "train a prompt: one run, or a sweep with -m",
    "evaluate": "evaluate a saved prompt on any task and split",
    "predict": "answer rows of mixed tasks, each under its own prompt",
    "export": "write a prompt for PEFT, for JAX or for the hub",
    "inspect": "look at a prompt among the vocabulary: neighbours, clusters, labels",
    "ensemble": "let several prompts of a task vote, in one pass",
    "pretrain": "pre-train a T5 v1.1 from text: span corruption",
    "adapt": "adapt a checkpoint to the LM objective (prefix LM)",
    "show": "show what the model sees of raw rows, or of a task's data",
    "score": "score predictions from anywhere against raw rows",
    "report": "say whether the paper is reproduced: tables, figures, a page",
    "compare": "show any runs side by side: configs, scores, curves",
    "list": "list models, tasks, inits, experiments ..., and how far runs are",
    "bench": "measure speed and memory against PEFT and Hugging Face",
    "doctor": "say what works on this machine and what is missing",
}
