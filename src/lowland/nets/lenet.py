"""LeNet-5 as published, part by part, and what the same idea looks like today.

    image 32×32 → C1 6@28×28 → S2 6@14×14 → C3 16@10×10 → S4 16@5×5 → C5 120 → F6 84 → distances to ten 7×12 bitmaps

Every layer up to F6 ends in the scaled hyperbolic tangent. Trainable numbers: 156 + 12 + 1,516 + 32 + 48,120 + 10,164 =
60,000, as the paper says. Source: LeCun, Bottou, Bengio & Haffner, Proc. IEEE 86 (1998), section II-B, table I, figure 3.

Differences from the paper:

1. Weights start from N(0, 1/fan-in) (LeCun, Bottou, Orr & Müller, Efficient BackProp, 1998, eq. 16) rather than uniform in
   ±2.4/fan-in, which gives signals that fade from layer to layer.
2. The bitmaps of figure 3 are drawn here by hand in the same 7×12 frame; the paper's own exist as a picture only.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, conv2d, pad

from ..errors import SpaceError

#: Table I: which of the six maps of S2 each of the sixteen maps of C3 sees.
CONNECTIONS = (
    (0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5),
    (0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5),
    (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5),
    (0, 1, 2, 3, 4, 5),
)  # fmt: skip

#: Ten digits of 12 rows of 7 pixels, as a line printer would set them.
BITMAPS = """
....... ....... ....... ....... ....... ....... ....... ....... ....... .......
..###.. ...##.. .#####. ####### .....#. ####### ..####. ####### .#####. .#####.
.#...#. ..###.. #.....# ......# ....##. #...... .#..... ......# #.....# #.....#
#.....# .##.#.. #.....# .....#. ...#.#. #...... #...... .....#. #.....# #.....#
#.....# ....#.. ......# ....#.. ..#..#. #...... #...... .....#. #.....# #.....#
#.....# ....#.. ....##. ..###.. .#...#. #.####. #.####. ....#.. .#####. #....##
#.....# ....#.. ..##... .....#. #....#. ##....# ##....# ....#.. #.....# .####.#
#.....# ....#.. .#..... ......# ####### ......# #.....# ...#... #.....# ......#
#.....# ....#.. #...... ......# .....#. ......# #.....# ...#... #.....# ......#
.#...#. ....#.. #...... #.....# .....#. #.....# #.....# ..#.... #.....# .....#.
..###.. ..##### ####### .#####. .....#. .#####. .#####. ..#.... .#####. .####..
....... ....... ....... ....... ....... ....... ....... ....... ....... .......
"""


def digit_bitmaps() -> Float[Tensor, "10 84"]:
    """The ten digits as codes of ±1, row after row; +1 is ink. ±1 is where the scaled tanh is most curved, not where it is flat."""
    rows = [line.split() for line in BITMAPS.split("\n") if line]
    codes = ["".join(row[digit] for row in rows) for digit in range(10)]
    return torch.tensor([[1.0 if pixel == "#" else -1.0 for pixel in code] for code in codes])


class ScaledTanh(nn.Module):
    """f(a) = 1.7159 tanh(2a/3), so that f(±1) = ±1 and the gain around 0 is near 1."""

    def forward(self, a: Tensor) -> Tensor:
        return 1.7159 * torch.tanh(2 / 3 * a)


class TrainableSubsampling(nn.Module):
    """The sum of each 2×2 block, times a coefficient, plus a bias, both trainable and one of each a map, and then the nonlinearity.

    Args:
        channels: C, how many maps; ``(N, C, H, W) → (N, C, H/2, W/2)``.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.coefficient = nn.Parameter(torch.full((channels, 1, 1), 0.25))
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))
        self.nonlinearity = ScaledTanh()

    def forward(self, x: Float[Tensor, "N C H W"]) -> Float[Tensor, "N C h w"]:
        return self.nonlinearity(4 * self.coefficient * avg_pool2d(x, 2) + self.bias)


class PartialConvolution(nn.Module):
    """A convolution whose output maps each see only some of the input maps. It has weights for the connections there are, and no others.

    Args:
        connections: For each output map, the input maps it sees.
        channels: How many input maps there are.
        size: Height and width of the kernels, in pixels.

    Raises:
        SpaceError: If a connection is to an input map that is not there.
    """

    origins: Tensor
    destinations: Tensor

    def __init__(self, connections: Sequence[Sequence[int]], channels: int, size: int) -> None:
        super().__init__()
        pairs = [(there, here) for there, seen in enumerate(connections) for here in seen]
        wrong = [here for _, here in pairs if not 0 <= here < channels]
        if wrong:
            raise SpaceError(
                f"PartialConvolution: wanted connections to input maps 0 … {channels - 1}, got {wrong[0]}."
            )
        self.shape = (len(connections), channels, size, size)
        destinations, origins = torch.tensor(pairs).T
        self.register_buffer("destinations", destinations, persistent=False)
        self.register_buffer("origins", origins, persistent=False)
        fan_in = torch.tensor([len(seen) * size * size for seen in connections])[destinations]
        self.weight = nn.Parameter(torch.randn(len(pairs), size, size) / fan_in[:, None, None].sqrt())
        self.bias = nn.Parameter(torch.zeros(len(connections)))

    @property
    def dense(self) -> Float[Tensor, "K C s s"]:
        """The kernels of an ordinary convolution, zero where there is no connection."""
        return self.weight.new_zeros(self.shape).index_put((self.destinations, self.origins), self.weight)

    def forward(self, x: Float[Tensor, "N C H W"]) -> Float[Tensor, "N K h w"]:
        return conv2d(x, self.dense, self.bias)


def _started(layer: nn.Conv2d | nn.Linear) -> nn.Module:
    """Weights from N(0, 1/fan-in), biases 0."""
    nn.init.normal_(layer.weight, std=layer.weight[0].numel() ** -0.5)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class LeNet5(nn.Module):
    """LeNet-5 up to F6: ``(N, 28, 28)`` ink in [0, 1] → ``(N, 84)`` code. What the code means is said by the prototypes it is
    compared with (`digit_bitmaps`, `lowland.energy.Prototypes`).

    The image is set into a frame of 32×32, paper becomes −0.1 and ink 1.175: mean about 0 and variance about 1.
    """

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleDict(
            {
                "C1": nn.Sequential(_started(nn.Conv2d(1, 6, 5)), ScaledTanh()),
                "S2": TrainableSubsampling(6),
                "C3": nn.Sequential(PartialConvolution(CONNECTIONS, 6, 5), ScaledTanh()),
                "S4": TrainableSubsampling(16),
                "C5": nn.Sequential(_started(nn.Conv2d(16, 120, 5)), ScaledTanh()),
                "F6": nn.Sequential(nn.Flatten(), _started(nn.Linear(120, 84)), ScaledTanh()),
            }
        )

    def maps(self, x: Float[Tensor, "N 28 28"]) -> dict[str, Tensor]:
        """What each layer answers, by its name in the paper; ``input`` is the framed image."""
        found = {"input": 1.275 * pad(x, (2, 2, 2, 2)).unsqueeze(1) - 0.1}
        for before, (name, layer) in zip(["input", *self.layers], self.layers.items(), strict=False):
            found[name] = layer(found[before])
        return found

    def forward(self, x: Float[Tensor, "N 28 28"]) -> Float[Tensor, "N 84"]:
        return self.maps(x)["F6"]


class ModernLeNet(nn.Module):
    """The same plan with what came later: rectifiers, max-pooling, all connections, batch normalisation, dropout, logits.

    Args:
        channels: Maps after the first and the second convolution.
        hidden: Units of the layer before the last.
        classes: How many labels; ``(N, 28, 28) → (N, classes)``.
        dropout: Probability that a unit before the last two layers is silent in a step of training.
    """

    def __init__(
        self, channels: tuple[int, int] = (16, 32), hidden: int = 128, classes: int = 10, dropout: float = 0.3
    ) -> None:
        super().__init__()
        first, second = channels
        # Pooling before normalising and rectifying gives a quarter of the work; max-pooling commutes with the rectifier.
        self.layers = nn.ModuleDict(
            {
                "C1": nn.Sequential(
                    nn.Conv2d(1, first, 5, bias=False), nn.MaxPool2d(2), nn.BatchNorm2d(first), nn.ReLU()
                ),
                "C2": nn.Sequential(
                    nn.Conv2d(first, second, 5, bias=False), nn.MaxPool2d(2), nn.BatchNorm2d(second), nn.ReLU()
                ),
                "F3": nn.Sequential(
                    nn.Flatten(),
                    nn.Dropout(dropout),
                    nn.Linear(16 * second, hidden, bias=False),
                    nn.BatchNorm1d(hidden),
                    nn.ReLU(),
                ),
                "output": nn.Sequential(nn.Dropout(dropout), nn.Linear(hidden, classes)),
            }
        )

    def maps(self, x: Float[Tensor, "N 28 28"]) -> dict[str, Tensor]:
        """What each layer answers; ``input`` is the rescaled image."""
        found = {"input": 1.275 * x.unsqueeze(1) - 0.1}
        for before, (name, layer) in zip(["input", *self.layers], self.layers.items(), strict=False):
            found[name] = layer(found[before])
        return found

    def forward(self, x: Float[Tensor, "N 28 28"]) -> Float[Tensor, "N K"]:
        return self.maps(x)["output"]
