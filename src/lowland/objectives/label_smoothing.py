"""Label smoothing: of every symbol that comes next, some of the pull goes to all symbols alike.

    L = (1 − ε) · mean −log p(y_t | y_<t, x)  +  ε · mean −log p(v | y_<t, x)          means over places t, and over symbols v

Pushes down what the data say, and by a little everything else that might have come there: a symbol's energy is lowest at a finite
distance below the others, so that nothing is gained by more certainty than the data warrant.

Sources: Szegedy, Vanhoucke, Ioffe, Shlens & Wojna, CVPR 2016, section 7; Vaswani et al., NIPS 2017, section 5.4, for sequences (ε = 0.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch.nn.functional import cross_entropy

from ..energy import Autoregressive, Energy
from ..errors import StructureError
from ..spaces import NOTHING
from .objective import Loss, Objective, observed


class LabelSmoothing(Objective):
    """The mean cost of a symbol, in nats, smoothed; the end of a sequence is a symbol, too.

    Args:
        share: ε in [0, 1): how much of the pull goes to all symbols alike. 0 is maximum likelihood.

    Raises:
        StructureError: If the share is not one.
    """

    no_collapse = "The probabilities of all symbols add up to 1 at every place: lowering some raises others."
    tried_on: ClassVar[str] = "sequences"

    def __init__(self, share: float = 0.1) -> None:
        if not 0 <= share < 1:
            raise StructureError(f"LabelSmoothing: wanted a share of at least 0 and below 1, got {share}.")
        self.share = share

    def __call__(self, energy: Energy, batch: Mapping[str, Any]) -> Loss:
        values = observed(energy, batch)
        if not isinstance(energy, Autoregressive):
            raise StructureError(
                f"LabelSmoothing: {type(energy).__name__} does not say what comes next at each place; wanted an Autoregressive energy."
            )
        logits, wanted = energy.predicted(values["y"], energy.context(values.get("x")))
        logits, wanted = logits.flatten(0, 1), wanted.flatten()
        value = cross_entropy(logits, wanted, ignore_index=NOTHING, label_smoothing=self.share)
        return Loss(value, {"smoothed": value.detach()})
