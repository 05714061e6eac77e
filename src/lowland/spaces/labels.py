"""Arrays of labels: a segmented image, one choice at every pixel."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import StructureError
from .discrete import MAX_ENUMERATION
from .integers import Integers


class Labels(Integers):
    """One of ``k`` labels at each place of an array, integers from 0 to k − 1.

    Args:
        k: How many labels, at least 1.
        *shape: Of the array: ``Labels(10, 28, 28)`` is an image of labels.
    """

    @classmethod
    def example(cls) -> Labels:
        return cls(3, 2, 2)

    @property
    def size(self) -> int | None:
        """How many arrays there are, if they can be listed."""
        count = self.k ** self.shape.numel()
        return count if count <= MAX_ENUMERATION else None

    def enumerate(self, device: torch.device | str | None = None) -> Tensor:
        if self.size is None:
            raise StructureError(
                f"{self!r} has {self.k}^{self.shape.numel()} values, more than the {MAX_ENUMERATION} that are listed: "
                "give a solver (BeliefPropagation, MeanField)."
            )
        places = self.k ** torch.arange(self.shape.numel(), device=device)
        digits = torch.arange(self.size, device=device)[:, None] // places % self.k
        return digits.reshape(self.size, *self.shape)
