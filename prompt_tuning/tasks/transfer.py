"""Answers of one task read as another's: what a prompt that never saw a task says about it."""

from prompt_tuning.tasks.base import Task

# Source: google-research/prompt-tuning data/postprocessors.py: within the word for "not" as well.
_OTHER_WORDS = {
    ("qqp", "mrpc"): ("duplicate", "equivalent"),
    ("mrpc", "qqp"): ("equivalent", "duplicate"),
}


def can_transfer(source: Task, target: Task) -> bool:
    """Whether answers of `source` can be read as answers of `target`."""
    return source.verbalizers == target.verbalizers or _pair(source, target) in _OTHER_WORDS


def in_other_words(source: Task | None, target: Task | None) -> Task | None:
    """`source` if its answers have to be rewritten for `target`, else None."""
    return source if _pair(source, target) in _OTHER_WORDS else None


def as_answer_of(target: Task | None, prediction: str, source: Task | None) -> str:
    """Rewrites a prediction from the words of `source` into those of `target`.

    Without a `source` it stays as it is.
    """
    said, meant = _OTHER_WORDS.get(_pair(source, target), ("", ""))
    return prediction.replace(said, meant) if said else prediction


def _pair(source: Task | None, target: Task | None) -> tuple[str, str]:
    return (source.name, target.name) if source and target else ("", "")
