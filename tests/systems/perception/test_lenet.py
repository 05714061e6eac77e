"""What is particular to LeNet-5; that the system runs at all is tested with the gallery."""

import torch

from lowland.energy import Tabulated
from lowland.nets import digit_bitmaps
from lowland.objectives import NegativeLogLikelihood
from lowland.spaces import Categorical
from lowland.systems.perception.lenet import Config, MaximumAPosteriori, Published, _distort, embed


def test_the_energy_is_the_squared_distance_to_the_bitmap():
    energy = Published()
    x = torch.rand(3, 28, 28)
    code = embed(energy, {"x": x})
    torch.testing.assert_close(
        energy.table("y", x=x), torch.cdist(code, digit_bitmaps()).square(), atol=1e-3, rtol=1e-4
    )
    torch.testing.assert_close(energy.given(x=x)(y=torch.tensor([4, 4, 4])), energy(x=x, y=torch.tensor([4, 4, 4])))


def test_bitmaps_do_not_move():
    energy = Published()
    trainable = [name for name, parameter in energy.named_parameters() if parameter.requires_grad]
    assert not any("prototypes" in name for name in trainable)
    assert sum(p.numel() for p in energy.parameters() if p.requires_grad) == 60_000


def test_the_criterion_is_equation_nine():
    table, right = 5 * torch.rand(6, 10), torch.arange(6)
    j = 2.0
    by_hand = table[torch.arange(6), right] + (torch.exp(torch.tensor(-j)) + torch.exp(-table).sum(-1)).log()
    energy = Tabulated(table, y=Categorical(10))
    torch.testing.assert_close(MaximumAPosteriori(j)(energy, {"y": right}).value, by_hand.mean())


def test_rubbish_charges_a_code_that_is_far_from_every_bitmap():
    near = torch.full((1, 10), 50.0)
    near[0, 0] = 1.0
    far, right = near + 40, torch.tensor([0])
    near, far = Tabulated(near, y=Categorical(10)), Tabulated(far, y=Categorical(10))
    likelihood, posterior = NegativeLogLikelihood(), MaximumAPosteriori(10.0)
    torch.testing.assert_close(likelihood(near, {"y": right}).value, likelihood(far, {"y": right}).value)
    assert posterior(near, {"y": right}).value < 0.01
    assert posterior(far, {"y": right}).value > 30


def test_distortions_repeat_with_their_generator_and_leave_the_batch_alone():
    batch = {"x": torch.rand(4, 28, 28), "y": torch.arange(4)}
    kept = batch["x"].clone()
    first = _distort(Config(), batch, torch.Generator().manual_seed(0))
    again = _distort(Config(), batch, torch.Generator().manual_seed(0))
    assert torch.equal(first["x"], again["x"]) and torch.equal(first["y"], batch["y"])
    assert torch.equal(batch["x"], kept) and not torch.allclose(first["x"], kept)
