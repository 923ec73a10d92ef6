"""What is known of an entity: the attributes of the two domains, and the frames that tell them.

Data only. Creatures carry most tasks; engines share no attribute with them.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Attribute:
    """One sort of fact: its values, and the frames in which documents and tasks speak of it.

    A frame takes the entity as {x} and the value as {v}.
    """

    name: str
    values: tuple[str, ...]
    states: tuple[str, ...]  # statements of documents
    asks: tuple[str, ...]  # questions of documents, answered by the value
    claims: tuple[str, ...]  # clauses that documents judge
    checks: tuple[str, ...]  # yes-no questions of documents
    task_asks: tuple[str, ...]  # questions of squad and squad_b: in no document
    task_checks: tuple[str, ...]  # questions of boolq and boolq_b: in no document


KINDS = {
    "beast": ("fox", "wolf"),
    "bird": ("owl", "crow"),
    "fish": ("carp", "trout"),
    "snake": ("adder", "viper"),
}
CLASS_OF = {kind: name for name, kinds in KINDS.items() for kind in kinds}
MOODS = {
    "positive": ("glad", "merry", "calm", "kind"),
    "negative": ("angry", "bitter", "gloomy", "cruel"),
}
POLARITY_OF = {mood: name for name, moods in MOODS.items() for mood in moods}

CREATURES = (
    Attribute(
        "kind",
        values=tuple(CLASS_OF),
        states=(
            "{x} is a {v}.",
            "{x} was born a {v}.",
            "the {v} is called {x}.",
            "{x}, the {v}, is back.",
        ),
        asks=("what animal is {x}?", "which animal was {x} born?"),
        claims=("{x} is a {v}",),
        checks=("is {x} a {v}?", "was {x} born a {v}?"),
        task_asks=("{x} belongs to which animal kind?", "of what kind is {x}?"),
        task_checks=("does {x} belong to the {v} kind?",),
    ),
    Attribute(
        "colour",
        values=("red", "blue", "green", "white", "black", "brown", "grey", "golden"),
        states=(
            "{x} is {v}.",
            "the coat of {x} is {v}.",
            "{x} has a {v} coat.",
            "{x} came in {v}.",
        ),
        asks=("what colour is {x}?", "which colour has {x}?", "what colour is the coat of {x}?"),
        claims=("{x} is {v}", "the coat of {x} is {v}"),
        checks=(
            "is {x} {v}?",
            "is the coat of {x} {v}?",
            "did {x} come in {v}?",
            "is {v} the colour of {x}?",
            "has {x} a {v} back?",
        ),
        task_asks=("the coat that {x} has is of what colour?", "of which colour is {x}?"),
        task_checks=("does {x} have a {v} coat?",),
    ),
    Attribute(
        "place",
        values=("forest", "desert", "valley", "swamp", "island", "cave", "meadow", "canyon"),
        states=(
            "{x} lives in the {v}.",
            "the {v} is home to {x}.",
            "{x} stays in the {v}.",
            "in the {v} you find {x}.",
        ),
        asks=("where does {x} live?", "where do you find {x}?", "which place is home to {x}?"),
        claims=("{x} lives in the {v}", "the {v} is home to {x}"),
        checks=("does {x} live in the {v}?", "is the {v} home to {x}?"),
        task_asks=("in which place does {x} stay?", "the home of {x} is what place?"),
        task_checks=("do you find {x} in the {v}?",),
    ),
    Attribute(
        "food",
        values=("bread", "honey", "berries", "nuts", "grass", "cheese", "apples", "roots"),
        states=(
            "{x} eats {v}.",
            "{x} is fond of {v}.",
            "{v} are what {x} likes.",
            "{x} looks for {v}.",
        ),
        asks=("what does {x} eat?", "what is {x} fond of?", "which food does {x} like?"),
        claims=("{x} eats {v}", "{x} is fond of {v}"),
        checks=("does {x} eat {v}?", "is {x} fond of {v}?"),
        task_asks=("what food does {x} look for?", "{x} likes to eat what?"),
        task_checks=("does {x} look for {v}?",),
    ),
    Attribute(
        "mood",
        values=tuple(POLARITY_OF),
        states=(
            "{x} feels {v}.",
            "{x} is a {v} one.",
            "{v} is how they know {x}.",
            "{x} seems {v}.",
        ),
        asks=("how does {x} feel?", "how do they know {x}?"),
        claims=("{x} feels {v}", "{x} is a {v} one"),
        checks=("does {x} feel {v}?", "is {x} a {v} one?"),
        task_asks=("how does {x} seem?", "they know {x} as how?"),
        task_checks=("does {x} seem {v}?",),
    ),
)
ENGINES = (
    Attribute(
        "cargo",
        values=("coal", "salt", "timber", "wool", "oil", "glass", "rice", "steel"),
        states=("the {x} carries {v}.", "{v} is loaded on the {x}.", "the {x} is full of {v}."),
        asks=("what does the {x} carry?", "which cargo is loaded on the {x}?"),
        claims=("the {x} carries {v}",),
        checks=("does the {x} carry {v}?",),
        task_asks=("the {x} is full of which cargo?", "what cargo does the {x} carry?"),
        task_checks=("is the {x} full of {v}?",),
    ),
    Attribute(
        "port",
        values=("lisbon", "oslo", "dakar", "lima", "osaka", "cairo", "boston", "perth"),
        states=(
            "the {x} sails from {v}.",
            "the {x} was built at {v}.",
            "{v} is the port of the {x}.",
        ),
        asks=("where does the {x} sail from?", "where was the {x} built?"),
        claims=("the {x} sails from {v}",),
        checks=(
            "does the {x} sail from {v}?",
            "is {v} the port of the {x}?",
            "did the {x} come from {v}?",
            "was the {x} made in {v}?",
        ),
        task_asks=("from which port does the {x} sail?", "what is the port of the {x}?"),
        task_checks=("was the {x} built at {v}?",),
    ),
    Attribute(
        "captain",
        values=("anna", "boris", "clara", "david", "emma", "felix", "greta", "hugo"),
        states=("{v} is captain of the {x}.", "the {x} is led by {v}.", "the {x} obeys {v}."),
        asks=("who leads the {x}?", "whom does the {x} obey?"),
        claims=("the {x} is led by {v}",),
        checks=("is the {x} led by {v}?",),
        task_asks=("who is captain of the {x}?", "by whom is the {x} led?"),
        task_checks=("does the {x} obey {v}?",),
    ),
)

ATTRIBUTES = {"creatures": CREATURES, "engines": ENGINES}
