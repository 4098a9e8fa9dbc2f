"""Weights that the processes of a run share out among them (FSDP2, HSDP), where the launcher asks for it.

accelerate leaves its own FSDP out on CPUs without a word. Here torch's `fully_shard` is called directly, so
that what is tested on CPUs is what runs on GPUs. A sharded weight is a DTensor: each process has some rows.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, cast, runtime_checkable

from accelerate import Accelerator
from accelerate.utils import parse_flag_from_env
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer
from torch.utils._pytree import tree_map_only

from train.params import OptimisationParams, RuntimeParams

ASKS_FOR_FSDP = "ACCELERATE_USE_FSDP"
"""Set by `accelerate launch` from its configuration, like the variables whose names start with FSDP."""

ASKS_FOR_GROUPS = "ACCELERATE_USE_PARALLELISM_CONFIG"
"""Set where the configuration says of how many processes a group is."""

MEMBERS = "PARALLELISM_CONFIG_DP_SHARD_SIZE"
OTHERS = tuple(f"PARALLELISM_CONFIG_{kind}_SIZE" for kind in ("TP", "CP", "SP"))


@runtime_checkable
class Shardable(Protocol):
    """A task so large that processes share its weights out. Others are held whole by each of them."""

    def blocks(self) -> Iterable[nn.Module]:
        """Return the modules whose weights are gathered together, when one is called, and only then."""


def must_shard(task: nn.Module, accelerator: Accelerator) -> bool:
    """Whether the launcher asks for FSDP, there are processes to share among, and the task is worth it."""
    asked = parse_flag_from_env(ASKS_FOR_FSDP)
    return asked and accelerator.num_processes > 1 and isinstance(task, Shardable)


def require_shardable(params: OptimisationParams, runtime: RuntimeParams) -> None:
    """Refuse what sharded weights can't be trained with.

    Raises:
        ValueError: FSDP of version 1, with offloading, or with weights that only the first process reads;
            float16, moments in 8 bits, or tensors and sequences that are split too.
    """
    wrong = {
        "fsdp_version must be 2": os.environ.get("FSDP_VERSION", "1") != "2",
        "fsdp_offload_params must be false": parse_flag_from_env("FSDP_OFFLOAD_PARAMS"),
        "fsdp_cpu_ram_efficient_loading must be false": parse_flag_from_env("FSDP_CPU_RAM_EFFICIENT_LOADING"),
        "runtime.mixed_precision must be no or bf16": runtime.mixed_precision == "fp16",
        "optimizer must be adamw": params.optimizer != "adamw",
        "runtime.compile must be false": runtime.compile,
        "parallelism_config may only have dp sizes": any(os.environ.get(name, "1") != "1" for name in OTHERS),
    }
    if any(wrong.values()):
        must = ", ".join(rule for rule, broken in wrong.items() if broken)
        raise ValueError(f"weights can't be sharded (FSDP) like this: {must}; or launch without FSDP")


def shard(task: nn.Module, groups: list[dict[str, Any]], accelerator: Accelerator) -> list[dict[str, Any]]:
    """Share out the weights of a task's blocks, and all that requires a gradient.

    Frozen weights outside of the blocks stay whole in every process.

    Args:
        task: A `Shardable` with the same weights in all processes.
        groups: For the optimiser; their weights are emptied, for sharded ones take their place.
        accelerator: Of the run.

    Returns:
        The groups with the sharded weights.
    """
    task.to(accelerator.device)
    before = dict(task.named_parameters())
    blocks = list(cast(Shardable, task).blocks())
    inside = {weight for block in blocks for weight in block.parameters()}
    kept = {weight for weight in before.values() if not weight.requires_grad and weight not in inside}
    mesh = mesh_of(accelerator)
    for block in blocks:
        fully_shard(block, mesh=mesh)
    fully_shard(task, mesh=mesh, reshard_after_forward=True, ignored_params=kept)
    sharded = {before[name]: weight for name, weight in task.named_parameters()}
    groups = [group | {"params": [sharded[weight] for weight in group["params"]]} for group in groups]
    for weight in set(before.values()) - kept:
        weight.data = weight.new_empty(0)  # whoever holds it still shall not hold its memory
    return groups


def mesh_of(accelerator: Accelerator) -> DeviceMesh:
    """Arrange the processes of a run as `mesh_shape` says."""
    shape = mesh_shape(accelerator.num_processes)
    names = ("groups", "members")[-len(shape) :]
    return init_device_mesh(accelerator.device.type, shape, mesh_dim_names=names)


def mesh_shape(num_processes: int) -> tuple[int, ...]:
    """Return how the processes stand: as one group, or (HSDP) as groups that each share out all weights.

    A group should be a machine: weights are gathered within it, and only gradients are summed over groups.
    Their number is what the processes make up: a run that lost a machine goes on with a group less.

    Raises:
        ValueError: The processes don't fill their groups.
    """
    members = int(os.environ.get(MEMBERS, "1"))
    if members == 1:
        return (num_processes,)
    if num_processes % members:
        raise ValueError(
            f"parallelism_config_dp_shard_size must divide the {num_processes} processes, got {members}"
        )
    return (num_processes,) if members == num_processes else (num_processes // members, members)


def whole(tensor: Tensor) -> Tensor:
    """Return a tensor with all its rows; every process must ask."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def like(tensor: Tensor, weight: Tensor) -> Tensor:
    """Return `tensor`, of which every process has all, sharded like `weight`, or whole if that is whole."""
    if not isinstance(weight, DTensor):
        return tensor
    tensor = tensor.to(weight.device)
    return distribute_tensor(tensor, weight.device_mesh, weight.placements, src_data_rank=None)


@contextmanager
def gathered(task: nn.Module) -> Iterator[None]:
    """Within the block every process has all weights of the task, and may call what it likes of it alone."""
    parts = [module for module in task.modules() if isinstance(module, FSDPModule)]
    for part in parts:
        part.set_reshard_after_forward(False, recurse=False)
        part.unshard()
    yield
    for part in parts:
        part.reshard()
        part.set_reshard_after_forward(True, recurse=False)


def make_whole(task: nn.Module) -> None:
    """Give every process all weights of a task that was trained to its end, to be saved."""
    for module in task.modules():
        if isinstance(module, FSDPModule):
            module.__class__ = type(module).__bases__[1]  # `fully_shard` put one in front that wants DTensors
        for name, weight in module.named_parameters(recurse=False):
            if isinstance(weight, DTensor):
                full = nn.Parameter(whole(weight.detach()), requires_grad=weight.requires_grad)
                setattr(module, name, full)


def save_whole_moments(optimizer: Optimizer) -> None:
    """Let the state of an optimiser of sharded weights be whole: to be saved, and read by other processes."""

    def joined(_: Optimizer, state: dict[str, Any]) -> dict[str, Any]:
        return tree_map_only(Tensor, lambda moment: whole(moment).cpu(), state)

    def dealt(optimizer: Optimizer, state: dict[str, Any]) -> dict[str, Any]:
        weights = [weight for group in optimizer.param_groups for weight in group["params"]]
        moments = {
            number: {
                name: like(value, weights[number]) if value.shape == weights[number].shape else value
                for name, value in of_weight.items()
            }
            for number, of_weight in state["state"].items()
        }
        return state | {"state": moments}

    optimizer.register_state_dict_post_hook(joined)
    optimizer.register_load_state_dict_pre_hook(dealt)
