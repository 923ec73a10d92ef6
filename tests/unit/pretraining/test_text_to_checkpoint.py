"""From the config to pre-training: every setting arrives, and what the seed decides."""

import pytest

from prompt_tuning.composition import composed
from prompt_tuning.config import typed
from prompt_tuning.interrupts import Interrupted
from prompt_tuning.loop import TrainingRun, TrainingSettings
from prompt_tuning.pretraining.schema import PretrainConfig
from prompt_tuning.pretraining.text_to_checkpoint import pretrain
from prompt_tuning.run_folder import RunFolder

GIVEN = [
    *("corpus.text=text.txt", "objective.inputs_length=24", "tracking=none", "shape.d_model=16"),
    *("shape.num_layers=1", "pretraining.num_steps=7", "pretraining.max_gradient_norm=0.5"),
    *("evaluation.every_steps=3", "machine.max_tokens_per_micro_batch=99"),
]


@pytest.fixture
def begun(tmp_path, monkeypatch, texts, vocabulary_folder):
    """A run before its first step, and what watches it."""
    monkeypatch.chdir(tmp_path)
    for name, part in (("text.txt", texts[:80]), ("held_out.txt", texts[80:])):
        (tmp_path / name).write_text("\n\n".join(part))

    def begin(*overrides):
        seen = []

        def stop(*given):
            seen.extend(given)
            raise Interrupted(15)

        monkeypatch.setattr(TrainingRun, "run", stop)
        given = [*GIVEN, f"vocabulary.path={vocabulary_folder / 'spiece.model'}", *overrides]
        config = typed(PretrainConfig, composed("pretrain", given))
        with pytest.raises(Interrupted):
            pretrain(config, RunFolder(tmp_path / "run"), "pretrain")
        training, watch, _ = seen
        return training, watch

    return begin


def numbers(examples):
    return [ids.tolist() for ids in examples.inputs]


def test_every_setting_of_the_config_arrives_in_the_loop(begun):
    training, _ = begun("seed=11")
    expected = TrainingSettings(7, 3, 99, 11, max_gradient_norm=0.5, budget_has_targets=True)
    assert training.settings == expected


def test_a_seed_decides_weights_and_rows_but_on_given_text_not_what_they_are_measured_by(begun):
    """Else the losses of two seeds could not be compared."""
    drawn = {}
    for text in ("null", "held_out.txt"):
        for seed in (0, 1):
            training, watch = begun(f"corpus.held_out_text={text}", f"seed={seed}")
            weights = {name: value.tolist() for name, value in training.method.trained.items()}
            rows = numbers(training.batch_of_step(0))
            drawn[text, seed] = weights, rows, numbers(watch.held_out_rows)
    (weights, rows, held_out), (other_weights, other_rows, same) = (
        drawn["held_out.txt", seed] for seed in (0, 1)
    )
    assert weights != other_weights and rows != other_rows and held_out == same
    assert drawn["null", 0][0] == weights  # of one seed
    assert drawn["null", 0][2] != drawn["null", 1][2]  # a share of the text is the seed's own
