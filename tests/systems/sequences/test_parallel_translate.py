"""What is particular to writing all words at once; that it runs at all is tested with the gallery."""

from types import SimpleNamespace

import pytest
import torch

from lowland import infer
from lowland.errors import UsageError
from lowland.systems.sequences import parallel_translate as system
from lowland.systems.sequences.parallel_translate import (
    NOTHING,
    UNKNOWN,
    Config,
    begin,
    build,
    candidate,
    loss,
    repeated,
)

SMALL = Config(symbols=9, longest=6, dim=16, hidden=16, blocks=1, most=2, dropped=0.0)


@pytest.fixture
def model():
    torch.manual_seed(0)
    made = build(SMALL).eval()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return made


X = torch.tensor([[1, 2, 3, -1, -1, -1], [4, -1, -1, -1, -1, -1]])


def test_what_is_written_has_the_energy_that_is_said(model):
    y, energies = model["student"].write(X, 3, torch.Generator().manual_seed(0))
    assert y.shape == (2, 3, 6) and (y != UNKNOWN).all()
    heard = model["student"].network.read(X)
    z = heard.fertility.argmax(-1)
    z[z.sum(1) == 0, 0] = 1
    z = torch.nn.functional.pad(z, (0, 3))
    torch.testing.assert_close(model["student"](x=X, y=y[:, 0], z=z), energies[:, 0])


def test_a_sequence_of_another_length_has_no_chance(model):
    y = torch.tensor([[5, 6, -1, -1, -1, -1]])
    z = torch.tensor([[1, 1, 1, -1, -1, -1]])
    assert model["student"](x=X[:1], y=y, z=z).isinf().all()
    z[0, 2] = 0
    assert model["student"](x=X[:1], y=y, z=z).isfinite().all()


def test_of_several_the_one_of_lowest_energy_for_both_is_kept(model):
    generator = torch.Generator().manual_seed(0)
    y, energies = model["student"].write(X, 5, generator)
    both = energies + torch.stack([model["teacher"](x=X, y=y[:, k]) for k in range(5)], 1)
    assert torch.equal(candidate(model, X, 5), y[torch.arange(2), both.argmin(1)])
    assert torch.equal(candidate(model, X, 1), y[:, 0])


def test_what_it_answers_is_written_at_once_and_weighed_by_the_teacher(model):
    found = infer(model["teacher"], "y", x=X, solver=system.solver(model, SMALL))
    assert torch.equal(found.value, candidate(model, X, 1)) and found.converged.all()
    torch.testing.assert_close(found.energy, model["teacher"](x=X, y=found.value))


def test_the_student_begins_by_reading_as_the_teacher(model):
    begin(model["student"].network, model["teacher"].network)
    heard = model["student"].network.read(X)
    context = model["teacher"].network.read(X)
    keys = model["teacher"].network.decoder[0].across.keys_values(heard.h)[0]
    torch.testing.assert_close(keys, context.keys[0])


def test_the_loss_is_a_mean_energy(model):
    batch = {
        "x": X,
        "y": torch.tensor([[5, 6, NOTHING], [7, NOTHING, NOTHING]]),
        "z": torch.tensor([[1, 0, 1], [1, 0, 0]]),
    }
    batch = {name: torch.nn.functional.pad(part, (0, 6 - part.shape[1]), value=NOTHING) for name, part in batch.items()}
    fertile, said = model["student"].parts(model["student"].network.read(X), batch["y"], batch["z"])
    torch.testing.assert_close(loss(model["student"], batch).value, fertile.sum() / 4 + said.sum() / 3)


def test_words_said_twice_are_counted():
    assert repeated(["a a man", "The the dog dog barks"]) == pytest.approx(100 * 3 / 8)


def test_a_teacher_of_another_shape_is_refused(model, monkeypatch):
    other = build(Config(symbols=9, longest=6, dim=8, hidden=16, blocks=1))["teacher"]
    found = SimpleNamespace(energy=other, system=SimpleNamespace(name="translate"))
    monkeypatch.setattr(system, "load", lambda folder: found)
    with pytest.raises(
        UsageError, match="--teacher runs/x: wanted a run of translate with a Transformer of this shape"
    ):
        system.take(model["teacher"], "runs/x", system.Data({}))
