"""What the one idea buys, literally: familiar algorithms are one word on the same energy."""

import torch
from torch import nn

from lowland.energy import FreeEnergy, Function, Min, NetworkTable
from lowland.inference import LBFGS, GradientDescent, minimiser
from lowland.objectives import NegativeLogLikelihood
from lowland.spaces import Categorical, Real


def prototypes(centres):
    return Function(lambda y, z: 0.5 * (y - centres[z]).square().sum(-1), y=Real(2), z=Categorical(len(centres)))


def test_k_means_and_the_gaussian_mixture_are_one_energy():
    centres, y = torch.randn(4, 2), torch.randn(50, 2)
    energy = prototypes(centres)
    nearest = (y[:, None] - centres).square().sum(-1)
    torch.testing.assert_close(energy.minimize("z")(y=y), 0.5 * nearest.amin(1))
    torch.testing.assert_close(energy.minimize("z").answer(y=y).argmax(1), nearest.argmin(1))
    torch.testing.assert_close(energy.marginalize("z", 3.0)(y=y), -torch.logsumexp(-1.5 * nearest, 1) / 3)
    torch.testing.assert_close(energy.marginalize("z", 3.0).answer(y=y), torch.softmax(-1.5 * nearest, 1))


def test_attention_is_the_gradient_of_a_free_energy_over_positions():
    queries, keys, values = torch.randn(5, 8), torch.randn(7, 8), torch.randn(7, 3)
    energy = Function(lambda q, position: -(q * keys[position]).sum(-1), q=Real(8), position=Categorical(7))
    soft = energy.marginalize("position", beta=8**-0.5).answer(q=queries) @ values
    wanted = nn.functional.scaled_dot_product_attention(queries[None], keys[None], values[None])[0]
    torch.testing.assert_close(soft, wanted, atol=1e-6, rtol=1e-5)
    hard = energy.minimize("position").answer(q=queries) @ values
    torch.testing.assert_close(hard, values[(queries @ keys.T).argmax(1)])


def test_a_classifier_is_a_table_over_labels_and_cross_entropy_its_likelihood():
    network = nn.Linear(4, 3)
    energy = NetworkTable(network, Real(4), 3)
    x, y = torch.randn(6, 4), torch.randint(3, (6,))
    loss = NegativeLogLikelihood()(energy, {"x": x, "y": y}).value
    torch.testing.assert_close(loss, nn.functional.cross_entropy(network(x), y))


def test_planning_is_minimising_over_actions():
    # a point mass that must be at 1 after four pushes, at the least effort
    def cost(s, a):
        position, speed, effort = s[:, 0], s[:, 1], 0.01 * a.square().sum(-1)
        for push in a.unbind(-1):
            speed = speed + push
            position = position + speed
        return effort + (position - 1).square() + speed.square()

    plan = Function(cost, s=Real(2), a=Real(4)).minimize("a", LBFGS(), tol=1e-5)
    start = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 0.5]])
    effort = plan(s=start)
    assert effort[1] < 1e-8 and (effort < 0.05).all()
    actions = plan.answer(s=start)
    assert actions[0, 0] > 0 > actions[0, -1]


def test_maml_is_minimising_over_fast_weights_unrolled():
    # tasks: y = slope · x; the learner starts at w and takes three steps on the task's own data
    torch.manual_seed(0)
    x = torch.randn(8, 10)
    slopes = torch.tensor([1.0, 1.5, 2.0, 2.5] * 2)[:, None]
    start = torch.zeros((), requires_grad=True)
    energy = Function(lambda x, y, w: (w * x - y).square().mean(-1), x=Real(10), y=Real(10), w=Real(1))
    optimizer = torch.optim.Adam([start], lr=0.1)
    for _ in range(100):
        fast = minimiser(
            energy.given(x=x, y=slopes * x), GradientDescent(0.1), "unroll", {"steps": 3, "init": start.expand(8, 1)}
        )
        loss = energy(x=x, y=slopes * x, w=fast).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert 1.3 < start.item() < 2.2


def test_viterbi_and_forward_differ_by_one_word():
    table = torch.randn(3, 6)
    for reduction, answer in (
        (Min(), torch.nn.functional.one_hot(table.argmin(1), 6).float()),
        (FreeEnergy(), torch.softmax(-table, 1)),
    ):
        torch.testing.assert_close(reduction.answer(table), answer)
