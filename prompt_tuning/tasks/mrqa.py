"""Out-of-domain question answering in SQuAD's format: MRQA's six sets (Fisch et al., 2019), Quoref.

The paper evaluates on them what was trained on SQuAD (section 5).
"""

from dataclasses import replace

from prompt_tuning.tasks.squad import SQUAD

# Source: Dasigi et al. (2019): questions that need coreference, in SQuAD's format.
QUOREF = replace(SQUAD, name="quoref", title="Quoref")

MRQA = tuple(
    replace(SQUAD, name=f"mrqa_{name}", title=title)
    for name, title in (
        ("bioasq", "BioASQ"),
        ("drop", "DROP"),
        ("duorc", "DuoRC"),
        ("race", "RACE"),
        ("re", "RE"),
        ("textbookqa", "TextbookQA"),
    )
)
