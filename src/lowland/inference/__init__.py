"""How to find an energy's low points.

Names, listed in the stub beside this file, come with their module when they are asked for.
"""

from collections.abc import Mapping
from typing import Any

import lazy_loader
from torch import Tensor

from ..energy.elimination import set_search
from ..energy.energy import Energy

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def _search(
    energy: Energy, solver: Any, differentiate: str, options: Mapping[str, Any], known: Mapping[str, Any]
) -> Tensor:
    from .adjoint import minimiser

    return minimiser(energy, solver, differentiate, options, known)


set_search(_search)
