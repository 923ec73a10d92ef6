"""The six out-of-domain sets of the MRQA 2019 shared task (Fisch et al., 2019), in SQuAD's format.

The paper evaluates on them what was trained on SQuAD (section 5).
"""

from dataclasses import replace

from prompt_tuning.tasks.squad import SQUAD

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
