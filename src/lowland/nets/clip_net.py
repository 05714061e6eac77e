"""A net that imagines how a short clip goes on: what stays, what may stand before it, and one thing that moves.

    p[t], v[t]     where the thing is and how fast; at first as it is seen
    v[t+1]         = v[t] + g(p[t], v[t], scene)
    p[t+1]         = p[t] + v[t+1]
    x[t]           = still + seen · α[t] · (colour − still)       α[t]: its shape, set down at p[t]; seen: no screen stands there

What stays, the shape, the colour and a code of the scene are found once a clip, from the frames that are given. A thing behind a
screen is still at p: what is not seen goes on. Nobody says what a thing is: given frames are drawn, too, and can only be drawn well
if it is found.

Sources: Wang & Adelson, Representing Moving Images with Layers, IEEE Trans. Image Processing 3 (1994); Kossen et al., Structured
Object-Aware Physics Prediction for Video Modeling and Planning, ICLR 2020, for places and speeds of what is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, pad

#: Pixels a side of the shape of what moves.
WIDE = 9


class ClipEyes(nn.Module):
    """Frames ``(N, T, 3, S, S)`` → ``(N, hidden)``: all frames at once, halved three times."""

    def __init__(self, frames: int, hidden: int, side: int = 32, channels: int = 16) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3 * frames, channels, 4, 2, 1),
            nn.ReLU(),
            nn.Conv2d(channels, 2 * channels, 4, 2, 1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(2 * channels * (side // 4) ** 2, hidden),
            nn.ReLU(),
        )

    def forward(self, frames: Float[Tensor, "N T 3 S S"]) -> Float[Tensor, "N H"]:
        return self.layers((frames.flatten(1, 2) - 0.5) * 4)


class ClipNet(nn.Module):
    """How a clip goes on; the frames that are given are drawn, too.

    Args:
        given: Frames that are seen.
        ahead: Frames that are imagined.
        side: Pixels a side.
        hidden: Units of each layer that is no convolution.
        channels: Maps of the convolutions that see what stays and where the thing is.
    """

    def __init__(self, given: int = 3, ahead: int = 9, side: int = 32, hidden: int = 128, channels: int = 12) -> None:
        super().__init__()
        self.ahead, self.side = ahead, side
        self.eyes = ClipEyes(given, hidden, side)
        self.maps = nn.Sequential(
            nn.Conv2d(3 * given, channels, 5, padding=2),
            nn.ReLU(),
            nn.Conv2d(channels, 4, 5, padding=2),
        )
        self.look = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 1, 5, padding=2))
        self.thing = nn.Linear(hidden, WIDE * WIDE + 1)
        away = torch.arange(WIDE) - WIDE // 2
        with torch.no_grad():  # at first a small disc that is there
            self.thing.bias[: WIDE * WIDE] = 2 * (3 - away.square().add(away[:, None].square()).sqrt()).flatten().clamp(
                -1, 1
            )
            self.thing.bias[-1] = 2
        self.begin = nn.Linear(2 * given + hidden, 4)
        self.step = nn.Sequential(
            nn.Linear(4 + hidden, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 3)
        )
        for sequence in (self.step, self.maps, self.look, [self.begin]):  # at first nothing is corrected
            for parameter in nn.ModuleList(sequence)[-1].parameters():
                nn.init.zeros_(parameter)

    def forward(self, s: Float[Tensor, "N T 3 S S"], later: Sequence[int] | None = None) -> Float[Tensor, "N A 3 S S"]:
        later = range(self.ahead) if later is None else later
        code = self.eyes(s)
        thing = self.thing(code).float().sigmoid()
        shape = thing[:, :-1].unflatten(-1, (WIDE, WIDE)) * thing[:, -1:, None]
        rows, columns, colour = self._places(s, code, later)
        alpha = torch.einsum("naiy,naix->nayx", rows, torch.einsum("nij,najx->naix", shape, columns)).unsqueeze(2)
        corrected, seen = self.maps((s.flatten(1, 2) - 0.5) * 4).float().split([3, 1], 1)
        cover = alpha * (seen + 2).sigmoid()[:, None]
        still = (_behind(s, cover[:, : s.shape[1]]) + corrected)[:, None]
        return still + cover * (colour - still)

    def _places(
        self, s: Tensor, code: Tensor, later: Sequence[int]
    ) -> tuple[Float[Tensor, "N A K S"], Float[Tensor, "N A K S"], Float[Tensor, "N 1 3 1 1"]]:
        """How likely the thing is in each row and column, for each row and column of its shape; and the colour where it is."""
        given = s.shape[1]
        looked = self.look((s - s.mean((3, 4), keepdim=True)).flatten(0, 1) * 4).float()
        heat = (looked.reshape(-1, given, self.side, self.side) + _moving(s)).flatten(2).softmax(-1)
        heat = heat.unflatten(-1, (self.side, self.side))
        colour = torch.einsum("ntyx,ntcyx->nc", heat, s)[:, None, :, None, None] / given
        first = torch.stack([heat.sum(-2), heat.sum(-1)], 2)  # (N, T, 2, S), to the right and down
        where, spread = self._onward(first @ torch.arange(self.side, dtype=first.dtype), code, max(later) + 1)
        edge = WIDE // 2
        away = torch.arange(-edge, self.side + edge) - where[:, list(later), :, None]
        bells = (-0.5 * (away / spread[:, list(later), None, None]).square()).softmax(-1)
        columns, rows = torch.cat([pad(first, (edge, edge)), bells], 1).unfold(-1, self.side, 1).unbind(2)
        return rows, columns, colour

    def _onward(
        self, places: Float[Tensor, "N T 2"], code: Tensor, ahead: int
    ) -> tuple[Float[Tensor, "N A 2"], Float[Tensor, "N A"]]:
        """Where it will be, and how unsure that is, in pixels."""
        unit = self.side / 2
        corrected = self.begin(torch.cat([places.flatten(1) / unit - 1, code], 1)).float()
        v = (places[:, -1] - places[:, 0]) / (places.shape[1] - 1) + corrected[:, :2]
        p = places[:, -1] + corrected[:, 2:]
        found, spread = [], []
        for _ in range(ahead):
            told = self.step(torch.cat([p / unit - 1, v, code], 1)).float()
            v = v + told[:, :2]
            p = p + v
            found.append(p)
            spread.append(0.4 + told[:, 2].sigmoid())
        return torch.stack(found, 1), torch.stack(spread, 1)


def _behind(s: Float[Tensor, "N T 3 S S"], cover: Float[Tensor, "N T 1 S S"]) -> Float[Tensor, "N 3 S S"]:
    """What is behind the thing: what is there in frames where it is elsewhere, or else what is beside it in the same row."""
    bare = (1 - cover).relu() ** 4  # an edge is as good as covered
    there, often = (bare * s).sum(1), bare.sum(1)
    near = [avg_pool2d(part, (1, 11), 1, (0, 5), count_include_pad=False) for part in (there, often)]
    return (there + 0.1 * near[0] / near[1].clamp_min(0.1)) / (often + 0.1)


def _moving(s: Float[Tensor, "N T 3 S S"]) -> Float[Tensor, "N T S S"]:
    """Where to look first: what differs from all other given frames, 8 where it does most, and half as much what differs at all."""
    apart = (s[:, :, None] - s[:, None]).abs().sum(3)  # (N, T, T, S, S)
    apart = apart + 1e6 * torch.eye(s.shape[1])[:, :, None, None]
    change = avg_pool2d(torch.cat([apart.amin(2), (s[:, -1:] - s[:, :1]).abs().sum(2)], 1), 5, 1, 2)
    change = change / change.amax((2, 3), keepdim=True).clamp_min(1e-6)
    return 8 * change[:, :-1] + 4 * change[:, -1:]


class Glimpses(nn.Module):
    """The frames that are given, and some of those that a net imagines: the others are not drawn, which is most of the work.

    Args:
        network: The net, which is shared, not copied.
        later: Which of the frames ahead, from 0, in their order.
    """

    def __init__(self, network: ClipNet, later: Sequence[int]) -> None:
        super().__init__()
        self.network, self.later = network, later

    def forward(self, s: Float[Tensor, "N T 3 S S"]) -> Float[Tensor, "N A 3 S S"]:
        return self.network(s, self.later)
