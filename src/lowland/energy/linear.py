"""x Wᵀ + b, by the faster of the two libraries that torch holds.

Torch's matrix products of float32 on a CPU go to MKL, which takes its slower AVX2 path on processors that are not Intel's. On
an AMD EPYC with AVX-512 it makes 113 GFLOP a second on one core; oneDNN, which torch brings along for compiled networks,
makes 240, with the same numbers, forwards and backwards. Where it doesn't apply (other devices and dtypes, processors of Intel's, on
which MKL is a quarter faster) this is `F.linear`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def _wide_vectors() -> bool:
    if not (torch.backends.mkldnn.is_available() and torch.backends.cpu.get_cpu_capability() == "AVX512"):
        return False
    return hasattr(torch.ops.mkldnn, "_linear_pointwise")


def _intel() -> bool:
    """Whether the processor is one on which MKL takes its fastest path."""
    try:
        with Path("/proc/cpuinfo").open() as told:
            return "GenuineIntel" in told.read(200)
    except OSError:
        return False


#: Whether `linear` may use oneDNN here.
ONEDNN = _wide_vectors() and not _intel()
#: Multiplications below which oneDNN's call, ten microseconds dearer, does not pay.
SMALL = 200_000


def linear(
    x: Float[Tensor, "N D"], weight: Float[Tensor, "K D"], bias: Float[Tensor, " K"] | None = None
) -> Float[Tensor, "N K"]:
    """``x @ weight.T + bias``; carries a graph where gradients are enabled and asked for.

    Args:
        x: One row for each sample.
        weight: One row for each output.
        bias: Added to every row.
    """
    inputs = (x, weight) if bias is None else (x, weight, bias)
    if len(x) * weight.numel() < SMALL:
        return F.linear(x, weight, bias)
    plain = all(one.dtype == torch.float32 and one.device.type == "cpu" for one in inputs)
    if not ONEDNN or not plain or torch.is_autocast_enabled("cpu") or watched():
        return F.linear(x, weight, bias)
    if torch.is_grad_enabled() and any(one.requires_grad for one in inputs):
        return _Product.apply(x, weight, bias)  # type: ignore[return-value]
    return _product(x, weight, bias)


def batched_linear(
    x: Float[Tensor, "*B D"], weight: Float[Tensor, "K D"], bias: Float[Tensor, " K"] | None = None
) -> Float[Tensor, "*B K"]:
    """`linear` for any number of leading dimensions."""
    rows = x.reshape(-1, x.shape[-1])
    return linear(rows, weight, bias).reshape(*x.shape[:-1], len(weight))


def _product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


class _Product(torch.autograd.Function):
    """oneDNN's product has no gradient of its own; it is two more products, which have theirs."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _product(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        (grad,) = grads
        x, weight = ctx.saved_tensors
        to_x, to_weight, to_bias = ctx.needs_input_grad
        slope = None
        if (
            to_weight
        ):  # laid out as the weight is, which may be a transposed parameter: the optimiser adds it entry by entry
            slope = linear(x.T, grad.T).T if weight.T.is_contiguous() else linear(grad.T, x.T)
        return linear(grad, weight.T) if to_x else None, slope, grad.sum(0) if to_bias else None


def watched() -> bool:
    """Whether somebody reads or transforms the operations (a compiler, a tracer, vmap, jvp) and should meet only usual ones."""
    return (
        torch.compiler.is_compiling()
        or torch._C._functorch.peek_interpreter_stack() is not None  # pyright: ignore[reportAttributeAccessIssue]
        or torch._C._len_torch_dispatch_stack() > 0
    )
