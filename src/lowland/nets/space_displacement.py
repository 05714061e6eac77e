"""A convolutional network slid over a string: one answer for each place, for hardly more work than one place costs.

Every layer is a convolution, so on a wider image each just goes on; neighbouring windows share all they have in common.

Sources: Matan, Burges, LeCun & Denker, Multi-Digit Recognition Using a Space Displacement Neural Network, NIPS (1992); LeCun,
Bottou, Bengio & Haffner, Proc. IEEE 86 (1998), section VII.
"""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor, channels_last, nn
from torch.nn.functional import pad

STRIDE = 2
"""Columns of the image between two frames."""
MARGIN = 18
"""Columns of a window on either side of its frame's own two."""
WINDOW = 2 * MARGIN + STRIDE
"""Columns that a frame sees."""


class SpaceDisplacementNet(nn.Module):
    """A code for each window of 38 columns, every second column: ``(N, 28, W) → (N, W / 2, code)``, ink in [0, 1], W even.

    The image is set in paper, so that the first and the last window have their middle on it. C1 and S2 are those of a LeNet; S4
    pools rows only, to keep places apart; C5 leaves one row; C6 and C7 look along the string, each map by itself, and then mix.

    Args:
        maps: After C1, after C3, and from C5 on.
        code: Length of a code.
    """

    def __init__(self, maps: tuple[int, int, int] = (12, 32, 96), code: int = 32) -> None:
        super().__init__()
        first, second, third = maps
        along = [nn.Sequential(nn.Conv2d(third, third, (1, 6), groups=third, bias=False),
                               nn.Conv2d(third, third, 1, bias=False), nn.BatchNorm2d(third), nn.ReLU()) for _ in range(2)]  # fmt: skip
        self.layers = nn.ModuleDict(
            {
                "C1": nn.Conv2d(1, first, 5, bias=False),
                "S2": nn.Sequential(nn.MaxPool2d(2), nn.BatchNorm2d(first), nn.ReLU()),
                "C3": nn.Conv2d(first, second, 5, bias=False),
                "S4": nn.Sequential(nn.MaxPool2d((2, 1)), nn.BatchNorm2d(second), nn.ReLU()),
                "C5": nn.Sequential(nn.Conv2d(second, third, (4, 3), bias=False), nn.BatchNorm2d(third), nn.ReLU()),
                "C6": along[0],
                "C7": along[1],
                "output": nn.Conv2d(third, code, 1),
            }
        )
        self.to(memory_format=channels_last)  # type: ignore[call-overload]  # half the time of the other layout on a CPU, maps being few

    def forward(self, x: Float[Tensor, "N 28 W"]) -> Float[Tensor, "N T code"]:
        return self.windows(pad(x, (MARGIN, MARGIN)))

    def windows(self, x: Float[Tensor, "N 28 w"]) -> Float[Tensor, "N t code"]:
        """The code of every window that lies inside the image: t = (w − 38) / 2 + 1."""
        maps = 1.275 * x.unsqueeze(1) - 0.1
        for layer in self.layers.values():
            maps = layer(maps)
        return maps.squeeze(2).mT


def multiply_adds(network: nn.Module, answer: Callable[[], object]) -> int:
    """How many products the convolutions of a network add up while something is answered with it."""
    found, hooks = [0], []

    def count(layer: nn.Module, _: object, y: Tensor) -> None:
        found[0] += y.numel() * layer.weight[0].numel()  # type: ignore[index, union-attr]

    try:
        hooks = [layer.register_forward_hook(count) for layer in network.modules() if isinstance(layer, nn.Conv2d)]
        answer()
    finally:
        for hook in hooks:
            hook.remove()
    return found[0]
