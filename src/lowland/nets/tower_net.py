"""A convolutional net that looks at a tower: whether it falls, and where its blocks will lie.

    trunk    convolutions and pooling: a picture → maps of an eighth of its side
    outcome  two layers of units → log odds of the answers
    map      two layers of units and z → maps, doubled twice, and those of the first scale → log odds of what lies at each place

The second half is PhysNet's: a net for what is seen, and one that draws what will be, from all of the picture at once, for blocks fall far.

Source: Lerer, Gross & Fergus, Learning Physical Intuition of Block Towers by Example, ICML 2016, section 4.1, there on ResNet-34.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, one_hot


def _block(channels_in: int, channels: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Convolution, normalisation, rectifier."""
    layer = nn.Conv2d(channels_in, channels, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(channels), nn.ReLU())


def _units(dim: int, hidden: int) -> list[nn.Module]:
    """A layer of units, normalisation, rectifier: without normalisation rectifiers die at the rates that convolutions want."""
    return [nn.Linear(dim, hidden, bias=False), nn.BatchNorm1d(hidden), nn.ReLU()]


def _doubled(channels: int) -> list[nn.Module]:
    """Maps of twice the side."""
    return [nn.ConvTranspose2d(channels, channels, 4, 2, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()]


class TowerTrunk(nn.Module):
    """``(N, 3, S, S)`` in [0, 1] → ``(N, C, S/8, S/8)``.

    Args:
        channels: Maps of the three scales.
    """

    def __init__(self, channels: tuple[int, int, int] = (24, 48, 64)) -> None:
        super().__init__()
        first, second, third = channels
        self.layers = nn.Sequential(
            _block(3, first, 5, 2),
            _block(first, second, 3),
            nn.MaxPool2d(2),
            _block(second, third, 3),
            _block(third, third, 3),
            nn.MaxPool2d(2),
        )

    def scales(self, x: Float[Tensor, "N 3 S S"]) -> tuple[Float[Tensor, "N F t t"], Float[Tensor, "N C s s"]]:
        """The maps of the first scale, half the picture's side, and those of the last."""
        fine = self.layers[0]((x - 0.5) * 4)
        return fine, self.layers[1:](fine)

    def forward(self, x: Float[Tensor, "N 3 S S"]) -> Float[Tensor, "N C s s"]:
        return self.scales(x)[1]


class OutcomeHead(nn.Module):
    """Log odds of K answers, from the trunk's maps: ``(N, C, s, s) → (N, K)``.

    Args:
        dim: How many numbers the maps have.
        answers: K.
        hidden: Units of the layer between.
        dropout: Probability that a number of the maps is hidden in a step of training.
    """

    def __init__(self, dim: int, answers: int = 2, hidden: int = 128, dropout: float = 0.3) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(dim, hidden, bias=False),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Linear(hidden, answers),
        )

    def forward(self, maps: Float[Tensor, "N C s s"]) -> Float[Tensor, "N K"]:
        return self.layers(maps)


class MapHead(nn.Module):
    """Log odds of K labels at each place of half the picture's side, from the trunk's maps and z.

    Args:
        channels: F, maps of the trunk's first scale, and C, of its last.
        side: s, of the last scale; the first is four times as large.
        labels: K.
        z: Z, how many numbers decide that are not seen; 0 for none.
        hidden: Units of the layers that see everything at once.
        drawn: Maps that they draw.
    """

    def __init__(
        self, channels: tuple[int, int], side: int, labels: int, z: int = 0, hidden: int = 256, drawn: int = 32
    ) -> None:
        super().__init__()
        fine, coarse = channels
        self.side = side
        self.code = nn.Sequential(nn.Flatten(), *_units(coarse * side * side, hidden))
        self.mixed = nn.Sequential(*_units(hidden + z, hidden), *_units(hidden, drawn * side * side))
        self.larger = nn.Sequential(*_doubled(drawn), *_doubled(drawn))
        self.labels = nn.Sequential(_block(fine + drawn + z, drawn, 5), nn.Conv2d(drawn, labels, 3, padding=1))

    def forward(
        self,
        fine: Float[Tensor, "N F t t"],
        coarse: Float[Tensor, "N C s s"],
        z: Float[Tensor, "N Z"] | None = None,
    ) -> Float[Tensor, "N K t t"]:
        code = self.code(coarse)
        mixed = self.mixed(code if z is None else torch.cat([code, z.to(code.dtype)], 1))
        larger = self.larger(mixed.unflatten(-1, (-1, self.side, self.side)))
        parts = [fine, larger]
        if z is not None:  # z is heard at each place, too
            parts.append(z[..., None, None].expand(-1, -1, *fine.shape[2:]).to(fine.dtype))
        return self.labels(torch.cat(parts, 1))


class TowerMap(nn.Module):
    """A trunk, and a head that draws what will lie where.

    Args:
        trunk: The trunk, which others may share.
        head: The head.
    """

    def __init__(self, trunk: TowerTrunk, head: MapHead) -> None:
        super().__init__()
        self.trunk, self.head = trunk, head

    def forward(self, s: Float[Tensor, "N 3 S S"], z: Float[Tensor, "N Z"] | None = None) -> Float[Tensor, "N K h w"]:
        return self.head(*self.trunk.scales(s), z)


class MapGuess(nn.Module):
    """What it believes of z who has seen a tower and what lies where afterwards: ``(N, 3, 2S, 2S), (N, S, S) → (N, 2·Z)``.

    Args:
        labels: How many labels a map has.
        side: S, of the map.
        z: Z.
    """

    def __init__(self, labels: int, side: int, z: int) -> None:
        super().__init__()
        self.labels = labels
        self.layers = nn.Sequential(
            _block(3 + labels, 32, 5, 2),
            _block(32, 32, 5, 2),
            nn.Flatten(),
            *_units(32 * (side // 4) ** 2, 128),
            nn.Linear(128, 2 * z),
        )

    def forward(self, s: Float[Tensor, "N 3 H W"], y: Int64[Tensor, "N S S"]) -> Float[Tensor, "N Z2"]:
        lies = one_hot(y, self.labels).movedim(-1, 1).to(s.dtype)
        return self.layers(torch.cat([(avg_pool2d(s, 2) - 0.5) * 4, lies], 1)).float()
