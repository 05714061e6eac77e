"""What is particular to the string reader; that the system runs at all is tested with the gallery."""

from dataclasses import replace
from functools import cache

import pytest
import torch
from PIL import Image

from lowland.errors import DataError
from lowland.inference import infer
from lowland.systems.structured.digit_string import (
    Config,
    DigitString,
    accuracy,
    cells,
    data,
    draw,
    observe,
    read_strings,
    runs,
    sharing,
    tell,
)

SMALL = Config(images="digits", longest=3, width=112, judged=40, maps=(4, 6, 8))


@cache
def composed():
    return data(SMALL)


def strings(count=6):
    torch.manual_seed(0)
    some = {name: value[:count].clone() for name, value in composed().validation.items()}
    return DigitString(112, SMALL.maps).eval(), some


def test_energies_are_squared_distances_summed_along_the_path():
    energy, some = strings(2)
    z = infer(energy.given(x=some["x"], length=some["length"]), "z", y=some["y"]).value
    codes = energy.network(some["x"])
    for sample, length in enumerate(some["length"].tolist()):
        gap = codes[sample, :length] - energy.prototypes.prototypes[z[sample, :length]]
        by_hand = 0.5 * gap.square().sum()
        together = energy(**{name: value[sample] for name, value in some.items()}, z=z[sample])
        torch.testing.assert_close(together, by_hand, rtol=1e-4, atol=1e-4)


def test_what_lies_beyond_a_sample_does_not_matter():
    energy, some = strings(4)
    F = energy.marginalize("z")
    alone = torch.stack([F(**{name: value[row] for name, value in some.items()}) for row in range(4)])
    torch.testing.assert_close(F(**some), alone, rtol=1e-4, atol=1e-3)


def test_the_best_path_spells_the_string():
    energy, some = strings()
    y = read_strings(energy, some, forward=False)
    path = infer(energy.given(x=some["x"], length=some["length"]), "z", y=y).value
    for string, labels in zip(y, path, strict=True):
        assert [label - 1 for label, _, _ in runs(labels)] == [digit for digit in string.tolist() if digit >= 0]
    found, _ = energy.frames(some["x"], some["length"])
    there = torch.arange(found.shape[1]) < some["length"][:, None]
    assert torch.equal(path[:, : found.shape[1]][there], found.argmin(-1)[there])


def test_runs_are_digits_with_their_places():
    assert runs(torch.tensor([0, 3, 3, 0, 3, 1, -1])) == [(3, 1, 2), (3, 4, 4), (1, 5, 5)]


def test_accuracy_counts_whole_strings():
    energy, some = strings()
    some["y"] = read_strings(energy, some)
    assert accuracy(energy, some) == 100.0
    some["y"][:3] = -1
    some["y"][:3, :3] = torch.tensor([4, 4, 4])
    assert accuracy(energy, some) == 50.0


def test_test_strings_are_made_of_test_digits():
    found = composed()
    rows = {part: {tuple(image.flatten().tolist()) for image in digits["x"]} for part, digits in
            (("train", found.train), ("test", found.extra["digits"]))}  # fmt: skip
    assert not rows["train"] & rows["test"]
    assert len(found.test["y"]) == 40 and len(found.validation["y"]) == 10


def test_the_table_has_every_objective_after_both_eliminations():
    names = set(cells(SMALL))
    assert len(names) == 12
    for objective in ("hinge", "classification_error", "lvq2", "square_square", "generative"):
        assert {f"{objective}_viterbi", f"{objective}_forward"} <= names


def test_one_pass_saves_work():
    energy, some = strings(1)
    work, _ = sharing(energy.network, some["x"])
    assert work[0] > 8 * work[1]


def test_a_line_is_read_from_a_picture(tmp_path):
    page = torch.full((60, 150), 255, dtype=torch.uint8)
    page[20:50, 40:90] = 0
    Image.fromarray(page.numpy()).save(tmp_path / "line.png")
    found = observe([str(tmp_path / "line.png")], SMALL)
    assert found["x"].shape == (1, 28, 112) and found["length"].item() == (37 + 12 + 1) // 2
    Image.fromarray(torch.full((60, 150), 255, dtype=torch.uint8).numpy()).save(tmp_path / "blank.png")
    with pytest.raises(DataError, match="without ink"):
        observe([str(tmp_path / "blank.png")], SMALL)


def test_the_answer_is_told_and_drawn_with_its_places():
    energy, some = strings(2)
    known = {"x": some["x"], "length": some["length"]}
    solution = infer(energy.minimize("z"), "y", **known)
    texts, drawings = tell(energy, known, solution), draw(energy, known, solution)
    assert len(texts) == len(drawings) == 2
    for text, y in zip(texts, solution.value, strict=True):
        digits, _, places = text.partition("  at columns ")
        assert digits == "".join(str(digit) for digit in y.tolist() if digit >= 0)
        assert len(places.split()) == len(digits)
    nothing = replace(solution, value=torch.full_like(solution.value, -1))
    energy.prototypes.prototypes.data[1:] += 1e3
    assert tell(energy, known, nothing) == ["no digits"] * 2
