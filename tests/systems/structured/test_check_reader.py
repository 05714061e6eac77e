"""What is particular to the check reader; that the system runs at all is tested with the gallery."""

from itertools import product

import pytest
import torch
from torch import nn

from lowland.data import JUNK, LINE_HEIGHT
from lowland.errors import DataError
from lowland.nets import SegmentRecogniser
from lowland.objectives import NegativeLogLikelihood
from lowland.systems.structured.check_reader import (
    POSITIONS,
    WIDEST,
    CheckReader,
    Config,
    draw,
    observe,
    tell,
)


class Fixed(SegmentRecogniser):
    """A recogniser whose answers are drawn once."""

    def __init__(self) -> None:
        super().__init__(classes=JUNK + 2, longest=2, channels=(1, 1, 1, 1, 1), hidden=1)
        logits = 3 * torch.randn(POSITIONS, 2, JUNK + 2, generator=torch.Generator().manual_seed(0))
        self.log_probabilities = nn.Parameter(logits.log_softmax(-1))

    def forward(self, ink: torch.Tensor, cuts: torch.Tensor) -> torch.Tensor:
        return self.log_probabilities[: cuts.shape[1] - 1].expand(len(ink), -1, -1, -1)


def line(pieces: int) -> dict[str, torch.Tensor]:
    places = (4.0 * torch.arange(POSITIONS + 1)).clamp_max(4.0 * pieces)
    return {"x": torch.zeros(1, LINE_HEIGHT, WIDEST), "cuts": places[None], "length": torch.tensor([pieces])}


def string(*digits: int) -> torch.Tensor:
    return torch.tensor([[*digits, *[-1] * (POSITIONS - len(digits))]])


def paths(pieces: int, recogniser: Fixed):
    """Every path by hand: what it spells and its energy."""
    costs = -recogniser.log_probabilities.detach()
    for sizes in product((1, 2), repeat=pieces):
        for used in range(1, pieces + 1):
            if sum(sizes[:used]) == pieces and all(size == 1 for size in sizes[used:]):
                ends = torch.tensor(sizes[:used]).cumsum(0) - 1
                for names in product(range(JUNK + 1), repeat=used):
                    if any(name < JUNK for name in names) and all(
                        size == 1 for size, name in zip(sizes, names, strict=False) if name == JUNK
                    ):
                        energy = sum(
                            costs[end, size - 1, name] for end, size, name in zip(ends, sizes, names, strict=False)
                        )
                        yield tuple(name for name in names if name < JUNK), float(energy)


def test_the_energy_of_a_string_sums_over_its_paths():
    reader = CheckReader(Fixed())
    every = list(paths(3, reader.recogniser))
    for wanted in ((3,), (4, 0), (7, 7, 1)):
        mine = torch.tensor([energy for name, energy in every if name == wanted])
        found = reader.given(**line(3))
        torch.testing.assert_close(
            found.marginalize("z")(y=string(*wanted)), -torch.logsumexp(-mine, 0)[None], atol=1e-4, rtol=1e-5
        )
        torch.testing.assert_close(found.minimize("z")(y=string(*wanted)), mine.min()[None], atol=1e-4, rtol=1e-5)


def test_training_through_the_graph_needs_no_boxes():
    reader = CheckReader(Fixed())
    loss = NegativeLogLikelihood("y")(reader.given(**line(4)).marginalize("z"), {"y": string(1, 2)})
    loss.value.backward()
    slope = reader.recogniser.log_probabilities.grad
    assert torch.isfinite(slope).all() and slope.abs().sum() > 0
    assert (slope[:, :, JUNK + 1] == 0).all()  # "no character" is in no path


def test_a_string_longer_than_the_lattice_is_impossible_and_never_nan():
    reader = CheckReader(Fixed())
    energy = reader.given(**line(2)).marginalize("z")(y=string(1, 2, 3))
    assert torch.isposinf(energy).all()


def picture(tmp_path, width: int = 150, ink: bool = True) -> str:
    from PIL import Image

    sheet = Image.new("L", (width, 50), 200)
    for left in range(20, width - 20, 25) if ink else ():
        sheet.paste(40, (left, 10, left + 5, 40))
    sheet.save(tmp_path / "check.png")
    return str(tmp_path / "check.png")


def test_a_picture_is_read_told_and_drawn(tmp_path):
    torch.manual_seed(0)
    reader = CheckReader(SegmentRecogniser(LINE_HEIGHT, channels=(2, 2, 2, 2, 4), hidden=4)).eval()
    with torch.no_grad():
        seen = observe([picture(tmp_path)], Config())
        told = tell(reader, seen, None)[0]
        drawn = draw(reader, seen, None)
    assert "(confidence 0." in told and "rejected: " in told and told[0].isdigit()
    assert len(drawn) == 1 and drawn[0].axes


def test_bad_pictures_are_refused_by_name(tmp_path):
    with pytest.raises(DataError, match=r"check\.png: wanted dark ink"):
        observe([picture(tmp_path, ink=False)], Config())
    with pytest.raises(DataError, match="times as wide as it is high"):
        observe([picture(tmp_path, width=2000)], Config())
    (tmp_path / "check.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"check\.png"):
        observe([str(tmp_path / "check.png")], Config())
