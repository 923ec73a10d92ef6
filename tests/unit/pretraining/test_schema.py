"""What is wrong with a run of pre-training is said before anything is read."""

import numpy as np
import pytest

from prompt_tuning.pretraining.objectives import noise_mask, span_corruption_lengths
from prompt_tuning.pretraining.schema import ObjectiveConfig, _objective_problems


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        (["objective.inputs_length=2048"], "segments of 114 spans"),
        (["objective.noise_density=0.5"], "segments of 128 spans"),
        (["objective.noise_density=0.6", "objective.mean_span_length=1"], "too few tokens between"),
        (["objective.noise_density=0.5", "objective.mean_span_length=1"], "too few tokens between"),
        (["objective.max_target_tokens=5"], "max_target_tokens=5 does nothing"),
        (["machine.dtype=bfloat16"], "machine.dtype=bfloat16"),
        (["machine.dtype=auto"], "machine.dtype=auto"),
        (["pretraining.betas=[0.9]"], "betas=[0.9] are no rates"),
        (["pretraining.betas=[0.9,1.0]"], "betas=[0.9, 1.0] are no rates"),
        (["pretraining.save_at_steps=[0,1,-3]"], "save_at_steps=[0, -3] is no step"),
        (["pretraining.save_at_steps=[10001]"], "save_at_steps=[10001] is no step"),
    ],
    ids=str,
)
def test_a_value_that_cannot_be_is_named(ptune, overrides, problem):
    length = ["objective.inputs_length=48"] if "mean_span" in str(overrides) else []
    assert problem in ptune("pretrain", "corpus.text=none", *length, *overrides, status=2).err


@pytest.mark.parametrize("inputs_length", [10, 24, 48, 49])
@pytest.mark.parametrize("mean_span", [1.0, 2.0, 3.5])
def test_segments_are_refused_that_cannot_be_laid_out(inputs_length, mean_span):
    rng, verdicts = np.random.default_rng(0), []
    for density in (0.15, 0.4, 0.5, 0.6, 0.9):
        longest, _ = span_corruption_lengths(inputs_length, density, mean_span)
        refused = [
            *_objective_problems(
                ObjectiveConfig("span_corruption", inputs_length, None, density, mean_span)
            )
        ]
        try:
            for length in range(1, longest + 1):
                noise_mask(length, rng, density, mean_span)
        except AssertionError:
            verdicts.append(bool(refused))
        else:
            verdicts.append(not refused)
    assert all(verdicts), verdicts
