"""Skip-gram: pieces add up to words, noise-contrastive estimation of it is negative sampling, and all ways of asking agree."""

import torch
from torch.distributions import Categorical
from torch.nn.functional import logsigmoid

from lowland.energy import SkipGram
from lowland.objectives import NoiseContrastive

WORDS, PIECES, MOST, DIM, RATIO = 5, 7, 4, 3, 2
X = torch.tensor([[0, 6, 2, -1], [3, -1, -1, -1], [-1, -1, -1, -1]])
Y = torch.tensor([4, 0, 2])


def energy():
    torch.manual_seed(0)
    found = SkipGram(WORDS, PIECES, MOST, DIM)
    torch.nn.init.normal_(found.pieces.weight)
    torch.nn.init.normal_(found.meeting.beside)
    return found


def test_a_word_is_the_mean_of_its_pieces():
    found = energy()
    pieces = found.pieces.weight
    wanted = torch.stack([pieces[[0, 6, 2]].mean(0), pieces[3], torch.zeros(DIM)])
    torch.testing.assert_close(found.vectors(X), wanted)


def test_one_by_one_in_a_table_and_with_x_known_it_says_the_same():
    found = energy()
    found.against(torch.full((WORDS,), 0.2), RATIO)
    table = found.table("y", x=X)
    torch.testing.assert_close(table.gather(1, Y[:, None])[:, 0], found(x=X, y=Y))
    torch.testing.assert_close(found.given(x=X)(y=Y), found(x=X, y=Y))
    torch.testing.assert_close(found.given(x=X)(y=torch.stack([Y, Y])), found(x=X, y=Y).expand(2, -1))


def test_noise_contrastive_estimation_is_negative_sampling():
    found, noise = energy(), torch.tensor([0.1, 0.2, 0.3, 0.25, 0.15])
    found.against(noise, RATIO)
    objective = NoiseContrastive(Categorical(noise), RATIO, name="y")
    torch.manual_seed(1)
    value = objective(found, {"x": X, "y": Y}).value
    torch.manual_seed(1)
    drawn = Categorical(noise).sample(torch.Size((RATIO, 3)))
    u, v = found.vectors(X), found.meeting.beside
    wanted = -logsigmoid((u * v[Y]).sum(-1)) - logsigmoid(-(u * v[drawn]).sum(-1)).sum(0)
    torch.testing.assert_close(value, wanted.mean())
