"""The ladder's two paths, its decoder, and the laws they keep."""

import pytest
import torch

from lowland.errors import UsageError
from lowland.nets.ladder import Combinator, LadderNet, Normalisation, normalised

SIZES = (12, 9, 7, 4)


def trained(net: LadderNet, x: torch.Tensor, steps: int = 60) -> LadderNet:
    optimizer = torch.optim.Adam(net.parameters(), 0.02)
    for _ in range(steps):
        found = net.restored(x)
        loss = torch.stack([error.mean() for error in found.errors.values()]).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return net.eval()


def test_a_batch_is_normalised_for_each_unit():
    z = 3 + 5 * torch.randn(200, 4)
    normal, mean, variance = normalised(z)
    torch.testing.assert_close(normal.mean(0), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(normal.var(0, unbiased=False), torch.ones(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(mean, z.mean(0))
    torch.testing.assert_close(variance, z.var(0, unbiased=False))


def test_after_training_rows_do_not_see_each_other():
    layer = Normalisation(3, forget=0.5)
    for _ in range(20):
        layer(2 + 4 * torch.randn(1000, 3))
    layer.eval()
    z = torch.randn(5, 3)
    torch.testing.assert_close(layer(z)[0][:2], layer(z[:2])[0])
    torch.testing.assert_close(layer(z)[0], (z - 2) / 4, atol=0.2, rtol=0)


def test_a_combinator_has_ten_numbers_a_unit_and_can_be_the_best_denoiser_of_a_gaussian():
    combinator = Combinator(6)
    assert sum(parameter.numel() for parameter in combinator.parameters()) == 60
    noise = 0.3
    with torch.no_grad():
        combinator.trust[4] = 1 / (1 + noise**2)  # Wiener's filter; the prior mean stays 0
    z = torch.randn(20_000, 6)
    guess = combinator(z + noise * torch.randn_like(z), torch.randn_like(z))
    assert (guess - z).square().mean().item() == pytest.approx(noise**2 / (1 + noise**2), rel=0.03)


def test_what_comes_from_above_is_believed_where_it_says_so():
    combinator, u = Combinator(2), torch.tensor([[0.7, -0.4]])
    with torch.no_grad():
        combinator.mean[3] = 2.0  # μ(u) = 2u, v(u) = 0
    torch.testing.assert_close(combinator(torch.randn(1, 2), u), 2 * u)


def test_both_paths_are_the_same_where_there_is_no_noise():
    net, x = LadderNet(SIZES, noise=0.0), torch.rand(30, 12)
    clean, _, noisy, odds = net._encoded(x)
    for one, other in zip(clean, noisy, strict=True):
        torch.testing.assert_close(one, other)
    torch.testing.assert_close(odds, net(x))


def test_noise_is_on_every_layer_of_one_path_only():
    net, x = LadderNet(SIZES, noise=0.3), torch.rand(4000, 12)
    clean, _, noisy, _ = net._encoded(x)
    torch.testing.assert_close(clean[0], x)
    assert (noisy[0] - x).std().item() == pytest.approx(0.3, abs=0.01)
    for one, other in zip(clean[1:], noisy[1:], strict=True):
        assert one.square().mean().item() == pytest.approx(1, abs=0.01)
        assert other.square().mean().item() == pytest.approx(1.09, abs=0.02)


def test_the_decoder_learns_to_take_noise_off():
    x = torch.randn(300, 3) @ torch.randn(3, 12)  # most of the noise is off the plane that data are in
    net = trained(LadderNet(SIZES, noise=0.5), x, steps=150).train()
    errors = net.restored(x).errors
    assert errors.keys() == {0, 1, 2, 3}
    assert errors[0].mean().item() < 0.6 * 0.5**2


@pytest.mark.parametrize("lowest", [0, 2, 3, 4])
def test_a_decoder_goes_down_as_far_as_it_is_told(lowest):
    net = LadderNet(SIZES, lowest=lowest)
    found = net.restored(torch.rand(20, 12))
    assert set(found.errors) == set(range(lowest, 4))
    loss = found.odds.logsumexp(1).sum() + sum(error.sum() for error in found.errors.values())
    loss.backward()
    assert all(parameter.grad is not None for parameter in net.parameters())


def test_after_training_there_is_no_noise_and_no_batch():
    net, x = LadderNet(SIZES), torch.rand(40, 12)
    trained(net, x, steps=5)
    found, again = net.restored(x), net.restored(x[:7])
    torch.testing.assert_close(found.odds[:7], again.odds)
    torch.testing.assert_close(found.odds, net(x))
    for layer, error in found.errors.items():
        torch.testing.assert_close(error[:7], again.errors[layer])


@pytest.mark.parametrize("wrong", [((5,),), ((5, 0, 2),), ((5, 2), -0.1), ((5, 2), 0.3, 3)])
def test_impossible_nets_are_refused(wrong):
    with pytest.raises(UsageError, match="LadderNet: wanted"):
        LadderNet(*wrong)
