"""WSC: does the pronoun refer to the given phrase? (Levesque et al., 2012)

Cast by T5 as "write what the pronoun refers to": trained on the rows whose phrase is the referent,
scored by whether the prediction names it. Source: T5's `wsc_simple`; that an empty prediction is
wrong whatever the label is as in t5 0.9.4 (2023), before which it was "not the referent".
"""

from prompt_tuning.tasks.base import Example, Row, RowError, Task, class_id, require, with_class_id
from prompt_tuning.tasks.benchmarks import superglue

CLASSES = ("False", "True")
# fmt: off
DETERMINERS = frozenset({
    "a", "an", "few", "her", "his", "each", "every", "many", "much", "my", "our", "some", "that",
    "the", "their", "these", "this", "those", "which", "whose", "your",
})
# fmt: on

# T5 blanks the pronoun of two sentences by hand, since span2_index does not point at it.
PONY = (
    "The boy continued to whip the pony , and eventually the pony threw him over. "
    'John laughed out quite loud. "Good for him," he said. '
)
PEBBLE = (
    "When they had eventually calmed down a bit , and had gotten home, Mr. Farley put the magic "
    "pebble in an iron safe . Some day they might want to use it , but really for now, what more "
    "could they wish for?"
)
BLANKED_BY_HAND = {
    PONY: PONY.replace("for him,", "for X ,").removesuffix(" "),
    PEBBLE: PEBBLE.replace("use it ,", "use X ,"),
}

# Nothing in their sentence can be quoted for these two phrases.
NOT_IN_TEXT = ("Kamenev and Zinoviev", "Kamenev, Zinoviev, and Stalin")


def to_examples(row: Row, training: bool) -> list[Example]:
    """The sentence with its pronoun marked; the target is the phrase, be it the referent or not."""
    label = class_id(row, CLASSES)
    if training and label != 1:
        return []
    phrase = require(row, "span1_text", str)
    return [Example(mark_pronoun(row), phrase, idx=row.get("idx"), label=label)]


def mark_pronoun(row: Row) -> str:
    """The text with ` *pronoun* ` in place of word `span2_index`; a last one leaves a space."""
    text, pronoun = require(row, "text", str), require(row, "span2_text", str)
    blanked = BLANKED_BY_HAND.get(text)
    if blanked is None:
        words, index = text.split(" "), require(row, "span2_index", int)
        if not 0 < index < len(words):
            raise RowError(f"span2_index {index} is not in 1..{len(words) - 1}")
        if words[index] != pronoun:
            raise RowError(f"word {index} is {words[index]!r}, not span2_text {pronoun!r}")
        blanked = f"{' '.join(words[:index])} X {' '.join(words[index + 1 :])}"
    return blanked.replace(" X ", f" *{pronoun}* ")


def parse(prediction: str, example: Example) -> int | None:
    """1 if the prediction names the example's phrase, in part or with more words; else 0."""
    if not (predicted := clean(prediction)):
        return None
    referent = clean(example.targets)
    if ("'" in predicted) != ("'" in referent):  # "Bob" is not "Bob's hat"
        return 0
    predicted_words, referent_words = set(predicted.split(" ")), set(referent.split(" "))
    return int(predicted_words <= referent_words or referent_words <= predicted_words)


def clean(phrase: str) -> str:
    """The phrase in lower case without determiners."""
    words = phrase.strip().lower().split(" ")
    return " ".join(word for word in words if word not in DETERMINERS)


def flatten(record: Row) -> list[Row]:
    """The row of an official record, both its spans made quotes of the text, as in `wsc.fixed`.

    Source: TFDS `super_glue/wsc.fixed`.
    """
    if "target" not in record:
        return [with_class_id(record, CLASSES)]
    row = {**record, **require(record, "target", dict)}
    del row["target"]
    text = require(row, "text", str)
    for span in ("span1", "span2"):
        quote, index = require(row, f"{span}_text", str), require(row, f"{span}_index", int)
        if quote in text or quote in NOT_IN_TEXT:
            continue
        if "theyscold" in quote:
            row["span2_index"] = 10
        words = text.split()
        if not 0 <= index < len(words):
            raise RowError(f"{span}_index {index} is not in 0..{len(words) - 1}")
        first = quote[0].lower() if words[index][0].islower() else quote[0].upper()
        quote = (first + quote[1:]).rstrip(".").replace("\n", " ")
        if quote not in text:
            raise RowError(f"{span}_text {quote!r} is not in the text")
        row[f"{span}_text"] = quote
    return [with_class_id(row, CLASSES)]


WSC = Task(
    "wsc",
    __doc__,
    origin=superglue("WSC", "wsc.fixed"),
    t5_prefix="wsc:",
    metrics=("accuracy",),
    to_examples=to_examples,
    parse=parse,
    flatten=flatten,
    init_words=("commonsense", "pronoun", "resolution"),  # the paper's footnote 7
    dropped_because="WSC: not the referent (training uses label 1 only)",
)
