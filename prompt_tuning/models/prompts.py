"""The soft prompt: the one trained tensor of a run."""

from torch import Tensor, nn


class SoftPrompt(nn.Module):
    """A trainable prompt, prepended to the embedded input of a frozen model.

    P * H parameters, kept in float32 whatever the model's weights are: an update of 0.01 on a value
    of 10 is lost in bfloat16. Source: Lester et al. (2021), section 2.
    """

    def __init__(self, init: Tensor) -> None:
        """Copies `init`, [P, H]; see `initializers.py` for how it is chosen."""
        super().__init__()
        self.weight = nn.Parameter(init.detach().float().clone())

    @property
    def length(self) -> int:
        """P, the number of prompt positions."""
        return self.weight.shape[0]
