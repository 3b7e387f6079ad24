"""How torch's tensors are taken apart: tensors that share memory go on sharing it.

Called by the pickler of `saving`; what puts them together again is in `torch_rebuild`.

Torch writes a copy of the memory with each tensor, and forgets gradients.
"""

import pickle
import sys
from typing import Any

from flow_kernel.session.checkpoints import torch_rebuild as rebuild
from flow_kernel.session.checkpoints.refusals import Unsaveable

Reduced = tuple[Any, ...]


def tensor(value: Any) -> Reduced | None:
    """A tensor as a place in its memory; None where torch's own way is right.

    Raises:
        Unsaveable: It is part of a computation, or has hooks.
    """
    torch = sys.modules["torch"]
    if not value.is_leaf:
        raise Unsaveable("a tensor that is part of a computation; without: tensor.detach()")
    if value._backward_hooks or getattr(value, "_post_accumulate_grad_hooks", None):
        raise Unsaveable("a tensor with hooks")
    is_ours = type(value) in (torch.Tensor, torch.nn.Parameter)
    if not is_ours or not _is_plain(value, torch):
        if value.grad is not None:
            raise Unsaveable("the gradient of a tensor of this kind is lost")
        return None
    storage = value.untyped_storage()
    flags = (value.requires_grad, value.is_conj(), value.is_neg())
    place = (value.dtype, value.storage_offset(), tuple(value.size()), value.stride())
    made = (type(value), storage, *place, *flags)
    return rebuild.tensor, made, (value.grad, vars(value)), None, None, rebuild.set_tensor


def storage(value: Any) -> Reduced | None:
    """The memory of tensors, out of band; None where torch's own way is right."""
    torch = sys.modules["torch"]
    if value.device.type != "cpu":
        return None
    flat = torch.empty(0, dtype=torch.uint8).set_(value)
    return rebuild.storage, (pickle.PickleBuffer(flat.numpy()), value.nbytes())


def generator(value: Any) -> Reduced:
    """A generator of random numbers: that of the session by its name, others by their state."""
    torch = sys.modules["torch"]
    if value is torch.default_generator:
        return rebuild.default_generator, ()
    return rebuild.generator, (str(value.device), value.get_state())


def _is_plain(value: Any, torch: Any) -> bool:
    return value.device.type == "cpu" and value.layout is torch.strided and not value.is_quantized
