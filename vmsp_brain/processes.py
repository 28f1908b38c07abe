"""Talk between the processes of a training; in a single process every function is the identity."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

import torch
from speechbrain.utils.distributed import ddp_init_group
from speechbrain.utils.logger import get_logger
from speechbrain.utils.run_opts import RunOptions
from torch import Tensor, nn
from torch._utils import _flatten_dense_tensors, _take_tensors, _unflatten_dense_tensors
from torch.nn import Parameter

logger = get_logger(__name__)

BUCKET_BYTES = 25 * 2**20
"""Of gradients that are sent together, as DistributedDataParallel has it: so much is copied."""

Item = TypeVar("Item")


def join_group(run_opts: RunOptions) -> RunOptions:
    """Let the processes that ``torchrun`` started know of each other; alone, do nothing.

    Without a GPU they talk by gloo, unless ``--distributed_backend`` says otherwise.

    Returns
    -------
    RunOptions
        With the backend that was chosen.
    """
    given = "distributed_backend" in run_opts.overridden_args
    if given or (torch.cuda.is_available() and run_opts.device != "cpu"):
        ddp_init_group(run_opts)
        return run_opts
    run_opts = replace(run_opts, distributed_backend="gloo")
    ddp_init_group(run_opts)
    if number() > 1:
        logger.warning("Without GPUs, the processes talk by --distributed_backend=gloo.")
    return run_opts


def number() -> int:
    """How many processes train together."""
    return torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1


def rank() -> int:
    """Which of them this one is, from 0."""
    return torch.distributed.get_rank() if torch.distributed.is_initialized() else 0


def share_weights(module: nn.Module) -> None:
    """Give all processes the parameters and buffers of the first, in place."""
    if number() > 1:
        for tensor in module.state_dict().values():
            torch.distributed.broadcast(tensor, src=0)


def mean(tensors: Sequence[Tensor], device: torch.device) -> list[Tensor]:
    """The mean over the processes of each tensor, on the CPU.

    Arguments
    ---------
    tensors : list of Tensor
        Of equal shapes in all processes.
    device : device
        Which the processes' backend sends from.
    """
    if number() == 1 or not tensors:
        return list(tensors)
    flat = torch.cat([tensor.flatten() for tensor in tensors]).to(device)
    torch.distributed.all_reduce(flat)
    parts = (flat.cpu() / number()).split([tensor.numel() for tensor in tensors])
    return [part.view_as(tensor) for part, tensor in zip(parts, tensors, strict=True)]


def average_gradients(parameters: Iterable[Parameter]) -> None:
    """Let every ``.grad`` be the mean over the processes, a bucket of them at a time.

    None counts as zero, but stays None if it is so in all processes: an optimizer leaves such a
    parameter alone.
    """
    if number() == 1:
        return
    parameters = list(parameters)
    flags = [float(p.grad is not None) for p in parameters]
    reached = torch.tensor(flags, device=parameters[0].device)
    torch.distributed.all_reduce(reached)
    gradients = []
    for parameter, share in zip(parameters, reached.tolist(), strict=True):
        if share:
            parameter.grad = (
                torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            )
            gradients.append(parameter.grad)
    for bucket in _take_tensors(gradients, BUCKET_BYTES):
        flat = _flatten_dense_tensors(bucket)
        torch.distributed.all_reduce(flat)
        flat /= number()
        torch._foreach_copy_(bucket, _unflatten_dense_tensors(flat, bucket))


def gather(item: Item) -> list[Item]:
    """Every process's item, by rank."""
    if number() == 1:
        return [item]
    items: list[Item] = [item] * number()
    torch.distributed.all_gather_object(items, item)
    return items


def any_of(condition: bool, device: torch.device) -> bool:
    """Whether the condition holds in any process."""
    if number() == 1:
        return condition
    flag = torch.tensor(float(condition), device=device)
    torch.distributed.all_reduce(flag)
    return bool(flag)
