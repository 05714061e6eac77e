"""Compiled energies: value, or value and gradient, as one ``torch.compile``d function, its matrix products the fastest there are.

Torch sends float32 products on a CPU to MKL, which takes its slower AVX2 path on processors that are not Intel's; on those the
compiled graph's large products are handed to oneDNN instead (`lowland.energy.linear` says what that gains). Only the graphs compiled
here change, nothing else in the process.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

from ..energy import Conditioned, Energy, Network, linear
from ..energy.linear import ONEDNN

#: Multiplications below which calling oneDNN costs more than it saves.
SMALL = 4_000_000


class Compiled(Energy):
    """An energy of one variable whose value and slope are compiled; everything else is asked of the original.

    Args:
        energy: The energy, everything known already given.
    """

    def __init__(self, energy: Energy) -> None:
        super().__init__(**energy.spaces)
        self.energy = energy
        self._whole, self._known = (energy.energy, energy.observed) if isinstance(energy, Conditioned) else (energy, {})

    @classmethod
    def example(cls) -> Energy:
        """What would be compiled: compiling takes seconds, and the checks ask for nothing that is compiled."""
        return Network.example()

    @property
    def batch_shape(self) -> torch.Size:
        return self.energy.batch_shape

    def forward(self, **values: Any) -> Tensor:
        return (
            self.energy(**values)
            if torch.is_grad_enabled()
            else self._kept(_value, dynamic=False)({**self._known, **values})
        )

    def value_and_gradient(self, value: Tensor, name: str | None = None, **rest: Any) -> tuple[Tensor, Tensor]:
        return self._kept(_slope)(value, self.variable, self._known)

    def _kept(self, make: Callable[[Energy], Callable[..., Any]], dynamic: bool | None = None) -> Callable[..., Any]:
        """What is known goes in beside the value, so that an energy is compiled once and not for each thing that it is given."""
        kept = self._whole.__dict__.setdefault("_compiled", {})
        if make not in kept:
            kept[make] = torch.compile(make(self._whole), options=_options(self._whole.device), dynamic=dynamic)
        return kept[make]

    def prox(self, value: Tensor, step: float | Tensor) -> Tensor:
        return self.energy.prox(value, step)

    @property
    def smooth(self) -> bool:
        return self.energy.smooth

    def composite(self) -> tuple[Energy, Energy | None]:
        smooth, rough = self.energy.composite()
        return Compiled(smooth), rough

    def quadratic_form(self, name: str | None = None, **rest: Any) -> Any:
        return self.energy.quadratic_form(name, **rest)

    def select(self, rows: Tensor) -> Energy:
        return self.energy.select(rows)


def _options(device: torch.device) -> dict[str, Any]:
    """On a CPU a rollout is hundreds of small kernels: what calls them is compiled, too."""
    options: dict[str, Any] = {"post_grad_custom_post_pass": _to_onednn} if ONEDNN else {}
    return options | {"cpp_wrapper": True} if device.type == "cpu" else options


def _value(energy: Energy) -> Callable[[dict[str, Any]], Tensor]:
    def value(values: dict[str, Any]) -> Tensor:
        return energy(**values)

    return value


def _slope(energy: Energy) -> Callable[[Tensor, str, dict[str, Any]], tuple[Tensor, Tensor]]:
    def total(value: Tensor, name: str, known: dict[str, Any]) -> tuple[Tensor, Tensor]:
        energies = energy(**known, **{name: value})
        return energies.sum(), energies

    slope = torch.func.grad(total, has_aux=True)

    def value_and_gradient(value: Tensor, name: str, known: dict[str, Any]) -> tuple[Tensor, Tensor]:
        gradient, energies = slope(value, name, known)
        return energies, gradient

    return value_and_gradient


@cache
def _operator() -> Callable[..., Tensor]:
    """`linear` as an operator that the compiler takes as it is."""
    library = torch.library.Library("lowland", "FRAGMENT")
    library.define("linear(Tensor x, Tensor weight, Tensor? bias) -> Tensor")
    library.impl("linear", linear, "CPU")
    library.impl("linear", lambda x, weight, bias: x.new_empty(x.shape[0], weight.shape[0]), "Meta")
    _libraries.append(library)  # an operator lives as long as its library
    return torch.ops.lowland.linear.default


_libraries: list[torch.library.Library] = []


def _to_onednn(graph: torch.fx.Graph) -> None:
    """Replace each large product of float32 matrices on the CPU, with or without a bias, by `linear`."""
    aten = torch.ops.aten
    for node in list(graph.nodes):
        if node.target is aten.mm.default:
            (x, weight), bias = node.args, None
        elif node.target is aten.addmm.default and not node.kwargs and node.args[0].meta["val"].ndim == 1:
            bias, x, weight = node.args
        else:
            continue
        result = node.meta["val"]
        if result.dtype != torch.float32 or result.device.type != "cpu":
            continue
        if result.numel() * weight.meta["val"].shape[0] < SMALL:
            continue
        with graph.inserting_before(node):
            transposed = graph.call_function(aten.permute.default, (weight, [1, 0]))
            transposed.meta["val"] = weight.meta["val"].permute(1, 0)
            faster = graph.call_function(_operator(), (x, transposed, bias))
            faster.meta.update(node.meta)
        node.replace_all_uses_with(faster)
        graph.erase_node(node)
