"""The processes of one training run, as torchrun starts them: which one this is, what they say.

Rank 0 does what a run in one process does, and it alone reads data, writes files and prints; the
others follow it (`training/follower.py`) and add up gradients. Torch is imported where they meet.
"""

import io
import os
import re
import signal
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from prompt_tuning.devices import has_cuda
from prompt_tuning.errors import UserError
from prompt_tuning.interrupts import Interrupted, StopRequests

if TYPE_CHECKING:
    from torch import Tensor
    from torch.distributed import ProcessGroup

VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")  # torchrun's
TO_MEET = timedelta(minutes=5)  # until all processes have started
TO_WAIT = timedelta(hours=2)  # for each other: the longest evaluation, which rank 0 makes alone
TO_PART = timedelta(minutes=1)  # until all know how rank 0 has ended
STOPS = (signal.SIGINT, signal.SIGTERM)


class LostProcess(UserError):
    """Another process of the run has ended, or does not answer: this one cannot go on."""

    exit_status = 1

    def __init__(self, reason: object) -> None:
        """`reason` is what torch says, in one line or several."""
        said = " ".join(str(reason).split())
        super().__init__(
            f"another process of this run has ended or does not answer: {said}",
            fix="look for its own error; the same command goes on from the last resume point",
        )


@dataclass(eq=False)
class Ranks:
    """This process among those of its run; here the only one. `Several` is one of many."""

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes, prints and evaluates."""
        return self.rank == 0

    def broadcast(self, value: Any = None) -> Any:
        """Rank 0's value, in every process, its tensors on the CPU; rank 0 gets its own back."""
        return value

    def add_up(self, loss: float, tensors: Iterable["Tensor"], stop: StopRequests) -> float:
        """Adds up what the processes have computed: gradients in place, and the loss.

        Args:
            loss: this process's share.
            tensors: each with its share of the gradient, None where that is nothing; those that are
                spread have added theirs up.
            stop: what this process was asked, which all learn here.
        """
        return loss

    def check(self, stop: StopRequests) -> None:
        """Raises `Interrupted` if the run was asked to stop, in all processes at the same step."""
        stop.check()

    @property
    def group(self) -> "ProcessGroup":
        """The group of all processes, for torch."""
        raise AssertionError("a process that trains alone has no group")

    def lost(self) -> AbstractContextManager[None]:
        """Around what waits for other processes by itself; raises `LostProcess` as the rest."""
        return nullcontext()


ALONE = Ranks()
HERE: ContextVar[Ranks] = ContextVar("ranks", default=ALONE)


def here() -> Ranks:
    """This process among those of its run."""
    return HERE.get()


def refuse_several(what: str) -> None:
    """Raises a UserError if torchrun has started several processes for what one does."""
    if (size := here().size) > 1:
        raise UserError(
            f"{what} runs in one process, and torchrun has started {size}",
            allowed="ptune train with method=prompt_tuning or model_tuning, without -m",
            fix="start it without torchrun",
        )


class Several(Ranks):
    """One of the processes of a run: gloo between CPUs, NCCL between GPUs."""

    def __init__(self) -> None:
        """Waits until all have started; raises a UserError if they do not."""
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # `LostProcess` says what is lost
        from torch import distributed
        from torch.distributed.rendezvous import rendezvous

        self._torch, self._stop = distributed, 0
        try:
            self._store, rank, size = next(rendezvous("env://", timeout=TO_MEET))
            distributed.init_process_group(
                "cpu:gloo,cuda:nccl" if has_cuda() else "gloo",
                store=self._store,
                rank=rank,
                world_size=size,
                timeout=TO_WAIT,
            )
            # A group of our own: modules that are imported from now on keep the default one alive.
            self._group = distributed.new_group(timeout=TO_WAIT)
            # Who left while another still connects would leave it waiting.
            self._store.set(f"met {rank}", "")
            self._store.wait([f"met {each}" for each in range(size)], TO_MEET)
        except (RuntimeError, ValueError) as error:
            raise UserError(
                f"the processes of this run have not met: {str(error).partition(chr(10))[0]}",
                fix="start all of them at once, with torchrun",
            ) from error
        super().__init__(rank, size)

    @property
    def group(self) -> "ProcessGroup":
        return self._group

    def lost(self) -> AbstractContextManager[None]:
        """Says as `Ranks.lost` that a process is gone; other troubles pass through."""
        return _lost(of_messages=True)

    def broadcast(self, value: Any = None) -> Any:
        import torch

        packed = io.BytesIO()
        if self.is_first:
            torch.save(value, packed)
        message = [packed.getvalue()]
        with _lost():
            self._torch.broadcast_object_list(message, group=self._group)
        if self.is_first:
            return value
        # Rank 0 of this very run has written it: it may hold any object.
        return torch.load(io.BytesIO(message[0]), map_location="cpu", weights_only=False)

    def add_up(self, loss: float, tensors: Iterable["Tensor"], stop: StopRequests) -> float:
        """Adds up as `Ranks.add_up`, in one message."""
        import torch

        tensors = [each for each in tensors if not hasattr(each, "full_tensor")]
        grads = [torch.zeros_like(each) if each.grad is None else each.grad for each in tensors]
        asked = [float(stop.requested == number) for number in STOPS]
        tail = grads[0].new_tensor([loss, *asked])
        flat = torch.cat([*(grad.flatten() for grad in grads), tail])
        with _lost():
            self._torch.all_reduce(flat, group=self._group)
            *summed, tail = flat.split([*(grad.numel() for grad in grads), len(tail)])
            loss, *counts = tail.tolist()
        for tensor, grad in zip(tensors, summed, strict=True):
            tensor.grad = grad.view_as(tensor)
        self._stop = next((int(n) for n, times in zip(STOPS, counts, strict=True) if times), 0)
        return loss

    def check(self, stop: StopRequests) -> None:
        """Raises `Interrupted` if, by the last `add_up`, any process was asked to stop."""
        if self._stop:
            raise Interrupted(self._stop)

    def end(self, status: int) -> None:
        """Tells the others rank 0's exit status, and leaves them."""
        if self.is_first:
            with suppress(RuntimeError):
                self._store.set("status", str(status))
        # Who waits for this process learns that it is gone.
        self._torch.destroy_process_group(self._group)
        del self._group
        if self.is_first and status != LostProcess.exit_status:  # which the others assume
            with suppress(RuntimeError):  # one has died meanwhile
                self._store.wait([f"told {rank}" for rank in range(1, self.size)], TO_PART)

    def status_of_first(self, patience: timedelta) -> int:
        """The exit status of rank 0, once it has ended; 1 if it died, or does not end in time."""
        try:
            self._store.wait(["status"], patience)
            status = int(self._store.get("status"))
            self._store.set(f"told {self.rank}", "")
        except RuntimeError:
            return LostProcess.exit_status
        return status


@contextmanager
def _lost(*, of_messages: bool = False) -> Iterator[None]:
    """Torch reports every trouble between processes as a RuntimeError.

    With `of_messages` only those about messages count: what is around them has troubles of its own.
    """
    try:
        yield
    except RuntimeError as error:
        if of_messages and not re.search("gloo|NCCL|[Cc]onnection", str(error)):
            raise
        raise LostProcess(error) from error


def join() -> Several | None:
    """Meets the other processes of the run; None where torchrun has started none."""
    if any(name not in os.environ for name in VARIABLES) or os.environ["WORLD_SIZE"] == "1":
        return None
    ranks = Several()
    HERE.set(ranks)
    return ranks


def local_rank() -> int:
    """The number of this process on its machine."""
    return int(os.environ["LOCAL_RANK"])
