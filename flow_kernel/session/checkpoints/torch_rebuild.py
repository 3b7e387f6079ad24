"""Puts torch's tensors together again; named in what was saved, so these names stay.

Called by the unpickler of `loading`.
"""

import importlib
from typing import Any


def tensor(  # noqa: PLR0913, PLR0917 - called by an unpickler
    kind: Any,
    storage: Any,
    dtype: Any,
    offset: int,
    size: tuple[int, ...],
    stride: tuple[int, ...],
    requires_grad: bool,
    is_conj: bool,
    is_neg: bool,
) -> Any:
    """A tensor on memory that others may be on."""
    torch: Any = importlib.import_module("torch")
    made = torch.empty(0, dtype=dtype).set_(storage, offset, size, stride)
    if is_conj:
        made = torch.conj(made)
    if is_neg:
        made = torch._neg_view(made)
    if kind is torch.nn.Parameter:
        return torch.nn.Parameter(made, requires_grad)
    return made.requires_grad_() if requires_grad else made


def set_tensor(value: Any, state: tuple[Any, dict[str, Any]]) -> None:
    """Gradient and attributes."""
    grad, attributes = state
    if grad is not None:
        value.grad = grad
    if attributes:
        vars(value).update(attributes)


def storage(data: Any, nbytes: int) -> Any:
    """Memory of tensors."""
    torch: Any = importlib.import_module("torch")
    made = torch.UntypedStorage(nbytes)
    if nbytes:
        flat = torch.empty(0, dtype=torch.uint8).set_(made)
        flat.copy_(torch.frombuffer(bytearray(data), dtype=torch.uint8))
    return made


def default_generator() -> Any:
    """The generator of the session."""
    torch: Any = importlib.import_module("torch")
    return torch.default_generator


def generator(device: str, state: Any) -> Any:
    """Another."""
    torch: Any = importlib.import_module("torch")
    return torch.Generator(device).set_state(state)
