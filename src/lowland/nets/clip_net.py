"""A net that follows one thing through a short clip: what stays, what may stand before it, what it looks like, where it goes.

    p̂[t+1], ŝ     = p[t] + v[t+1], and how unsure that is;    v[t+1] = v[t] + g(p[t], v[t], what is near, what it was off by)
    p[t]           where it is: as expected, and as it is seen
    x[t]           = still + seen · α(· − p[t]) · (colour − still)       α: its shape; seen: no screen stands there

What stays, the shape, the colour and a code of the scene are found once a clip, from the frames that are given; what is behind the
thing is learnt as it comes to sight. A thing behind a screen is still at p, where it was expected: what is not seen goes on. Nobody
says what a thing is: frames can only be drawn well if it is found.

Sources: Wang & Adelson, Representing Moving Images with Layers, IEEE Trans. Image Processing 3 (1994); Kossen et al., Structured
Object-Aware Physics Prediction for Video Modeling and Planning, ICLR 2020, for places and speeds of what is drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, grid_sample, pad, softplus

from ..energy import Followed, Follower
from .template_search import TemplateSearch

#: Pixels a side of the shape of what moves; half of that; how far outside of the picture it is followed.
WIDE, EDGE, FAR = 9, 4, 10
#: σ of a thing's edge, in pixels; of a pixel when a thing is looked for; least σ of a place, in pixels.
BLUR, MATCH, SURE = 0.4, 0.15, 0.1
#: Pixels between what is looked at around a thing, and how many in a row.
STRIDE, NEAR = 2.0, 7


class Glance(NamedTuple):
    """What a first look at the given frames tells."""

    code: Tensor  # (N, H), of the scene
    shape: Tensor  # (N, W·W), log odds
    there: Tensor  # (N, 1, 1), whether there is a thing at all
    heat: Tensor  # (N, T, S, S), log odds of where it is
    colour: Tensor  # (N, 3, 1, 1)
    still: Tensor  # (N, 3, S, S)
    corrected: Tensor  # (N, 3, S, S), what is added to what stays
    seen: Tensor  # (N, 1, S, S)
    features: Tensor  # (N, F, S, S)


class Scene(NamedTuple):
    """What a clip is made of, once it is known where the thing was at first."""

    code: Tensor  # (N, H)
    shape: Tensor  # (N, W, W), how much of a pixel it covers
    there: Tensor  # (N, 1, 1)
    colour: Tensor  # (N, 3, 1, 1)
    still: Tensor  # (N, 3, S, S)
    seen: Tensor  # (N, 1, S, S)
    around: Tensor  # (N, 3 + F, S, S), what it may meet


class ClipEyes(nn.Module):
    """Frames ``(N, T, 3, S, S)`` → ``(N, hidden)``: all frames at once, halved twice."""

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


class ClipNet(Follower):
    """How clips look whose thing is at places z ``(N, T, 2)``, to the right and down in pixels, and how improbable these are.

    Args:
        given: Frames that are seen before anything is foreseen.
        side: Pixels a side.
        hidden: Units of each layer that is no convolution.
        channels: Maps of the convolution that sees what stays and what is near.
        features: Maps of what is near.
        learnt: Share of what is behind the thing that is learnt in a frame, once it comes to sight.
    """

    def __init__(
        self, given: int = 3, side: int = 32, hidden: int = 128, channels: int = 12, features: int = 6, learnt: float = 0.7
    ) -> None:  # fmt: skip
        super().__init__()
        self.given, self.side, self.learnt = given, side, learnt
        self.eyes = ClipEyes(given, hidden, side)
        self.maps = nn.Sequential(
            nn.Conv2d(3 * given, channels, 5, padding=2),
            nn.ReLU(),
            nn.Conv2d(channels, 4 + features, 5, padding=2),
        )
        self.look = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 1, 5, padding=2))
        self.thing = nn.Linear(hidden, WIDE * WIDE + 1 + 3)
        self.closer = nn.Sequential(nn.Linear(WIDE * WIDE, 64), nn.ReLU(), nn.Linear(64, WIDE * WIDE))
        self.begin = nn.Linear(2 * given + hidden, 4)
        self.step = nn.Sequential(
            nn.Linear(6 + hidden + (3 + features) * NEAR**2, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, 4),
        )
        self.gain = nn.Parameter(torch.tensor(0.5))
        self._begin_plainly()

    @torch.no_grad()
    def _begin_plainly(self) -> None:
        """At first nothing is corrected, and a thing is a small disc that is there."""
        for layers in (self.step, self.look, self.closer, [self.begin]):
            for parameter in nn.ModuleList(layers)[-1].parameters():
                nn.init.zeros_(parameter)
        for parameter in self.maps[-1].parameters():
            parameter[:4] = 0
        self.thing.weight[-3:], self.thing.bias[-3:] = 0, 0
        away = torch.arange(WIDE) - EDGE
        disc = 3 - away.square().add(away[:, None].square()).sqrt()
        self.thing.bias[: WIDE * WIDE], self.thing.bias[WIDE * WIDE] = 2 * disc.flatten().clamp(-1, 1), 2

    def forward(self, y: Float[Tensor, "N T 3 S S"], z: Float[Tensor, "N T 2"]) -> Followed:
        s = y[:, : self.given]
        scene = self._scene(s, self._glance(s), z[:, : self.given])
        _, nats = self._follow(scene, z[:, : self.given], y.shape[1], lambda t, place, spread: z[:, t])
        cover = self._cover(scene.shape, z) * scene.seen[:, None]
        still, drawn = scene.still, []
        for t in range(y.shape[1]):
            drawn.append(still + cover[:, t] * (scene.colour - still))
            if t >= self.given:
                still = still + self.learnt * _bare(cover[:, t].detach()) * (y[:, t] - still)
        return Followed(torch.stack(drawn, 1), pad(nats, (self.given, 0)))

    def find(self, y: Float[Tensor, "N T 3 S S"]) -> Float[Tensor, "N T 2"]:
        """Where the thing is, frame by frame: as likely as it was expected there, and as what is seen fits."""
        s = y[:, : self.given]
        glance = self._glance(s)
        shape = glance.shape.sigmoid().unflatten(-1, (WIDE, WIDE)) * glance.there
        search = TemplateSearch(s, glance.still, glance.seen, shape, glance.colour, FAR, MATCH)
        heat = pad(glance.heat, (FAR, FAR, EDGE, EDGE), value=-8.0).flatten(2)
        first = torch.stack([search(t, heat[:, t]) for t in range(self.given)], 1)
        scene = self._scene(s, glance, first)
        search = TemplateSearch(y[:, self.given :], scene.still, scene.seen, scene.shape, scene.colour, FAR, MATCH)

        def where(t: int, place: Tensor, spread: Tensor) -> Tensor:
            return search(t - self.given, search.near(place, spread))

        return self._follow(scene, first, y.shape[1], where)[0]

    def _glance(self, s: Float[Tensor, "N T 3 S S"]) -> Glance:
        code = self.eyes(s).float()
        shape, there, tint = self.thing(code).float().split([WIDE * WIDE, 1, 3], 1)
        looked = self.look((s - s.mean((3, 4), keepdim=True)).flatten(0, 1) * 4).float()
        heat = looked.reshape(*s.shape[:2], self.side, self.side) + _moving(s)
        chance = heat.flatten(2).softmax(-1).unflatten(-1, (self.side, self.side))
        colour = torch.einsum("ntyx,ntcyx->nc", chance, s) / s.shape[1] + tint
        maps = self.maps((s.flatten(1, 2) - 0.5) * 4).float()
        corrected, seen, features = maps[:, :3], (maps[:, 3:4] + 2).sigmoid(), maps[:, 4:]
        there = there.sigmoid()[..., None]
        columns, rows = (pad(chance.sum(along), (EDGE, EDGE)).unfold(-1, self.side, 1) for along in (-2, -1))
        whole = shape.sigmoid().unflatten(-1, (WIDE, WIDE)) * there
        still = _behind(s, _set_down(whole, rows, columns) * seen[:, None]) + corrected
        return Glance(code, shape, there, heat, colour[..., None, None], still, corrected, seen, features)

    def _scene(self, s: Float[Tensor, "N T 3 S S"], glance: Glance, first: Float[Tensor, "N T 2"]) -> Scene:
        """Its shape is looked at more closely where it is; then what it hides is known better."""
        still = glance.still
        contrast = (glance.colour - still)[:, None]
        covered = ((s - still[:, None]) * contrast).sum(2, keepdim=True) / contrast.square().sum(2, True).clamp_min(
            0.01
        )
        covered = covered.clamp(-0.5, 1.5) * glance.seen[:, None]
        window = _grid(WIDE, 1.0)
        close = _sampled(covered.flatten(0, 1), first.flatten(0, 1)[:, None, None] + window).unflatten(0, s.shape[:2])
        shape = (glance.shape + self.closer(close.mean(1).flatten(1)).float()).sigmoid().unflatten(-1, (WIDE, WIDE))
        shape = shape * glance.there
        still = _behind(s, self._cover(shape, first) * glance.seen[:, None]) + glance.corrected
        around = torch.cat([still, glance.features], 1)
        return Scene(glance.code, shape, glance.there, glance.colour, still, glance.seen, around)

    def _follow(
        self, scene: Scene, first: Float[Tensor, "N G 2"], frames: int, where: Callable[[int, Tensor, Tensor], Tensor]
    ) -> tuple[Float[Tensor, "N T 2"], Float[Tensor, "N A"]]:
        """Places in all frames, and −log p of those after the first; ``where(frame, expected, spread)`` says where it is."""
        unit = self.side / 2
        corrected = self.begin(torch.cat([first.flatten(1) / unit - 1, scene.code], 1)).float()
        v = (first[:, -1] - first[:, 0]) / (self.given - 1) + corrected[:, :2]
        p, off = first[:, -1] + corrected[:, 2:], torch.zeros_like(v)
        places, nats = list(first.unbind(1)), []
        for t in range(self.given, frames):
            near = _sampled(scene.around, (p + v)[:, None, None] + _grid(NEAR, STRIDE)).flatten(1)
            told = self.step(torch.cat([p / unit - 1, v, off, scene.code, near], 1)).float()
            v = v + told[:, :2]
            expected, spread = p + v, SURE + 0.4 * softplus(told[:, 2:] - 0.5)
            p = where(t, expected, spread)
            apart = ((p - expected) / spread).square().sum(1)
            nats.append((spread / SURE).log().sum(1) + 2.5 * (apart / 3).log1p())
            off = (p - expected) * self._in_sight(scene, p)
            v = v + self.gain * off
            places.append(p)
        return torch.stack(places, 1), torch.stack(nats, 1) * scene.there[:, 0].detach()

    @torch.no_grad()
    def _in_sight(self, scene: Scene, place: Float[Tensor, "N 2"]) -> Float[Tensor, "N 1"]:
        """Whether a thing there is seen; one that is not keeps its speed."""
        seen = _sampled(scene.seen, place[:, None, None] + _grid(5, 1.2)).mean((1, 2, 3))
        return (2 * seen - 0.2).clamp(0, 1)[:, None]

    def _cover(self, shape: Float[Tensor, "N W W"], z: Float[Tensor, "N T 2"]) -> Float[Tensor, "N T 1 S S"]:
        """How much of each pixel the thing covers, where it is."""
        away = torch.arange(-EDGE, self.side + EDGE) - z[..., None]
        bells = (-0.5 * (away / BLUR).square()).exp() / (BLUR * (2 * torch.pi) ** 0.5)
        columns, rows = bells.unfold(-1, self.side, 1).unbind(2)
        return _set_down(shape, rows, columns)


def _set_down(
    shape: Float[Tensor, "N W W"], rows: Float[Tensor, "N T W S"], columns: Float[Tensor, "N T W S"]
) -> Float[Tensor, "N T 1 S S"]:
    """A shape where the weights of rows and columns say."""
    return torch.einsum("ntiy,ntix->ntyx", rows, torch.einsum("nij,ntjx->ntix", shape, columns)).unsqueeze(2)


def _grid(count: int, stride: float) -> Float[Tensor, "W W 2"]:
    """Places around 0, to the right and down."""
    line = (torch.arange(count) - count // 2) * stride
    return torch.stack(torch.meshgrid(line, line, indexing="xy"), -1)


def _sampled(maps: Float[Tensor, "N C S S"], places: Float[Tensor, "N H W 2"]) -> Float[Tensor, "N C H W"]:
    """Maps at places between their pixels; outside it is as at the edge."""
    grid = (places + 0.5) / (maps.shape[-1] / 2) - 1
    return grid_sample(maps, grid.to(maps.dtype), padding_mode="border", align_corners=False)


def _bare(cover: Tensor) -> Tensor:
    """Whether what is behind is seen; an edge is as good as covered."""
    return (1 - cover).relu() ** 4


def _behind(s: Float[Tensor, "N T 3 S S"], cover: Float[Tensor, "N T 1 S S"]) -> Float[Tensor, "N 3 S S"]:
    """What is behind the thing: what is there in frames where it is elsewhere, or else what is beside it in the same row."""
    bare = _bare(cover)
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
