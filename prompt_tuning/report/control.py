"""The ladder's control, which the paper does not have: frozen models with random weights."""

from functools import cached_property

from matplotlib.figure import Figure

from prompt_tuning.report.artefact import LADDER, MINI_SQUAD
from prompt_tuning.report.figures import Bars, bar_figure
from prompt_tuning.report.names import human
from prompt_tuning.report.scores import LadderScores


class _Control(LadderScores):
    """Bars by task: all runs are of one model, so that a curve would be a single point."""

    @cached_property
    def figure(self) -> Figure:
        grid = self.grid
        series = []
        for place in grid.places:
            spreads = [grid.spread(place, [task]) for task in grid.tasks]
            bars = [(each.mean, each.half_width) if each else None for each in spreads]
            series.append(Bars(human(place[0]), bars))
        floors = [grid.floors(task)["shortcut"].max() for task in grid.tasks]
        return bar_figure(self.title, self.legend, [*map(human, grid.tasks)], series, floors)


CONTROL_LADDER = _Control(
    "control_ladder",
    "Control: does a prompt draw on what the ladder's pre-training put into the weights?",
    LADDER,
    (
        ("control_ladder",),
        ("control_ladder", *MINI_SQUAD),
        ("control_ladder_model_tuning",),
        ("control_ladder_model_tuning", MINI_SQUAD[0]),
    ),
    ("method", "variant.name"),
    "No claim of the paper.",
    caption="To see: where a bar of random weights stays at the dotted floor, a prompt drew on "
    "pre-training. Whiskers: 95 % intervals.",
)
