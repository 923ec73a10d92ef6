"""`ptune adapt`: LM adaptation of a checkpoint. The same loop as `ptune pretrain`."""

from prompt_tuning.commands import pretrain
from prompt_tuning.pretraining.schema import PretrainConfig

check = pretrain.check
folder_of = pretrain.folder_of


def run(config: PretrainConfig) -> None:
    """Adapts, unless the same run is done: then its checkpoint stands."""
    pretrain.run(config, command="adapt")
