"""Word models against a list of all paths."""

from itertools import product

import pytest
import torch

from lowland.energy import FreeEnergy, Min, WordModels
from lowland.errors import SpaceError
from lowland.inference import infer

FRAMES = 5


@pytest.fixture
def energy() -> WordModels:
    return WordModels.example().eval()


@pytest.fixture
def paths(energy) -> torch.Tensor:
    """Every path of five frames through the loop of two words of two states."""
    every = torch.tensor(list(product(range(energy.acceptor.labels), repeat=FRAMES)))
    return every[energy.acceptor.accepts(every)]


def costs(energy: WordModels, x: torch.Tensor, paths: torch.Tensor) -> torch.Tensor:
    frames = energy.pieces(x=x)[0][:, :, 0]
    return frames[:, torch.arange(FRAMES), paths].sum(-1)


def test_the_loop_has_the_paths_of_words_and_pauses(energy, paths):
    # a path is pauses, then words of a beginning, further frames of the first state, some of the second, then pauses
    assert len(paths) == 68
    assert energy.strings(paths).unique(dim=0).tolist() == [[0, -1], [0, 0], [0, 1], [1, -1], [1, 0], [1, 1]]


@pytest.mark.parametrize("string", [[0, -1], [1, -1], [0, 1], [1, 1]])
@pytest.mark.parametrize("reduction", [Min(), FreeEnergy(1.0), FreeEnergy(0.5)])
def test_a_known_string_goes_along_its_line(energy, paths, string, reduction):
    x, y = torch.randn(4, FRAMES, 5), torch.tensor(string).expand(4, 2)
    spelling = (energy.strings(paths) == y[:1]).all(1)
    wanted = reduction(costs(energy, x, paths)[:, spelling])
    torch.testing.assert_close(energy.recursion("z", x=x, y=y).reduce(reduction), wanted)
    assert energy.line(y[:1]).accepts(paths).equal(spelling)


def test_an_unknown_string_is_that_of_the_lowest_path(energy, paths):
    x = torch.randn(6, FRAMES, 5)
    lowest, best = costs(energy, x, paths).min(1)
    found = infer(energy.minimize("z"), "y", x=x)
    torch.testing.assert_close(found.energy, lowest)
    assert found.value.equal(energy.strings(paths[best]))
    z = infer(energy.given(x=x, y=found.value), "z").value
    assert z.equal(paths[best])


def test_a_batch_of_strings_of_different_lengths(energy):
    x, y = torch.randn(3, FRAMES, 5), torch.tensor([[0, -1], [1, 0], [1, -1]])
    together = energy.minimize("z")(x=x, y=y)
    alone = torch.cat([energy.minimize("z")(x=x[i : i + 1], y=y[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone)


def test_priors_are_counted_while_training_and_divided_out(energy):
    x = torch.zeros(2, FRAMES, 5)
    x[..., 0] = 5.0  # everything is a pause
    before = energy.pieces(x=x)[0]
    energy.pace = 0.1
    energy.train()
    for _ in range(200):
        energy.pieces(x=x)
    energy.eval()
    torch.testing.assert_close(energy.log_prior, x[0, 0].log_softmax(0), atol=0.01, rtol=0)
    assert before[0, 0, 0, 0] < before[0, 0, 0, 1]
    after = energy.pieces(x=x)[0]
    torch.testing.assert_close(
        after, torch.zeros_like(after), atol=0.01, rtol=0
    )  # as likely as ever: nothing is learnt
    energy.division = 0.0
    torch.testing.assert_close(energy.pieces(x=x)[0][0, 0, 0, 0], -x[0, 0].log_softmax(0)[0])


def test_a_word_has_two_states_at_least():
    with pytest.raises(SpaceError, match="at least two states for each word, got 1"):
        WordModels(torch.nn.Identity(), words=2, states=1, positions=4)
