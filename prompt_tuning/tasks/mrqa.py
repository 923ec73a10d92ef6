"""Out-of-domain question answering in SQuAD's format: MRQA's six sets (Fisch et al., 2019), Quoref.

The paper evaluates on them what was trained on SQuAD (section 5).
"""

from dataclasses import replace

from prompt_tuning.tasks.base import Origin
from prompt_tuning.tasks.benchmarks import mrqa
from prompt_tuning.tasks.squad import SQUAD

# Source: Dasigi et al. (2019).
QUOREF = replace(
    SQUAD,
    name="quoref",
    about="Quoref: the answer to a question that needs coreference; evaluation only",
    origin=Origin(files={"validation": ("Quoref/quoref-dev-v0.1.json",)}),
)

MRQA = tuple(
    replace(
        SQUAD,
        name=f"mrqa_{name}",
        about=f"{subset.partition('.')[0]}: out-of-domain QA of MRQA, {about}; evaluation only",
        origin=mrqa(subset),
    )
    for name, subset, about in (
        ("bioasq", "BioASQ", "biomedical abstracts"),
        ("drop", "DROP", "discrete reasoning"),
        ("duorc", "DuoRC.ParaphraseRC", "film plots"),
        ("race", "RACE", "school exams"),
        ("re", "RelationExtraction", "Wikipedia"),
        ("textbookqa", "TextbookQA", "school books"),
    )
)
