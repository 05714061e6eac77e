"""What is particular to the linear machines; that the system runs at all is tested with the gallery."""

import torch

from lowland.systems.perception.linear import Config, Deskewed, LinearMachine, Votes, build, perceptron_mistakes


def test_the_energy_is_minus_the_score_of_the_label():
    machine = LinearMachine(Deskewed(), "logistic")
    head = machine.network[1]
    head.weight.data.normal_()
    x = torch.rand(5, 28, 28)
    features = machine.network[0](x)
    torch.testing.assert_close(machine.table("y", x=x), -head(features))
    torch.testing.assert_close(machine.head.table("y", x=features), machine.table("y", x=x))


def test_pairs_solved_by_least_squares_vote_for_the_right_label():
    labels = torch.arange(10).repeat_interleave(20)
    features = torch.zeros(200, 784)
    features[torch.arange(200), labels] = 1
    votes = Votes()
    votes.solve(features + 0.01 * torch.randn(200, 784), labels, ridge=1e-3)
    counted = votes(features)
    assert (counted.sum(-1) == len(votes.pairs)).all()
    assert (counted.argmax(-1) == labels).all()
    assert (counted.max(-1).values == 9).all()


def test_weights_of_a_pair_are_where_the_mean_square_is_least():
    torch.manual_seed(1)
    labels = torch.arange(10).repeat(10)
    features = torch.randn(100, 784) + labels[:, None]
    votes = Votes()
    votes.solve(features, labels, ridge=0.1)
    i, j = votes.pairs[7]
    chosen = (labels == i) | (labels == j)
    x, target = features[chosen], (labels[chosen] == i).float() * 2 - 1
    weights = votes.weights[7].clone().requires_grad_()
    loss = (x @ weights[:-1] + weights[-1] - target).square().sum() + 0.1 * chosen.sum() * weights.square().sum()
    (slope,) = torch.autograd.grad(loss, weights)
    assert slope.abs().max() < 1e-2


def test_the_perceptron_keeps_the_bound_on_its_mistakes():
    mistakes, bound = perceptron_mistakes(torch.Generator().manual_seed(3), problems=32, samples=40, dim=5)
    assert (mistakes <= bound).all()
    assert (mistakes > 0).all()
    assert bound.max() > 100 * bound.min()


def test_every_rule_has_an_energy_on_both_features():
    assert set(build(Config())) == {
        rule + suffix for rule in ("perceptron", "adaline", "logistic", "pairs") for suffix in ("", "_deskewed")
    }
