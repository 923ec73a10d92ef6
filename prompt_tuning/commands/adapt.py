"""`ptune adapt`: LM adaptation of a checkpoint. The same loop as `ptune pretrain`."""

from functools import partial

from prompt_tuning.commands import pretrain

check, folder_of = pretrain.check, pretrain.folder_of
run = partial(pretrain.run, command="adapt")
