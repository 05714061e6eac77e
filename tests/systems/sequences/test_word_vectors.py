"""What is particular to word vectors; that they run at all is tested with the gallery."""

import pytest
import torch

from lowland.data import Tokenizer
from lowland.objectives import TruncatedLikelihood
from lowland.systems.sequences.word_vectors import (
    Config,
    build,
    costs,
    data,
    embed,
    lines,
    nearest,
    settle,
    svd_vectors,
    tell,
)

SMALL = Config(data="numbers", dim=16, buckets=500, thin=0.1, hidden=16, topics=2)


@pytest.fixture
def config():
    return settle(SMALL)


@pytest.fixture
def model(config):
    torch.manual_seed(0)
    found = build(config)
    found["skip_gram"].kept.keep(Tokenizer.from_json(data(config).extra["tokenizer"]))
    return found.eval()


def test_hidden_words_are_in_no_pair_that_is_learnt_and_first_in_each_that_asks_for_them(config):
    found = data(config)
    known = found.extra["known"]
    assert known[found.train["x"]].all() and known[found.train["y"]].all()
    assert not known[found.test["x"]].any() and known[found.test["y"]].all()
    assert len(found.test["x"]) > 0


def test_the_window_reads_a_text_as_one(model, config):
    text = data(config).test["text"][:445]
    reads = TruncatedLikelihood()
    wanted = torch.cat([reads.costs(model["window"], {"y": piece[None]})[0] for piece in text[:420].unfold(0, 35, 35)])
    torch.testing.assert_close(costs(model["window"], text)[:420], wanted)
    assert costs(model["window"], text).shape == (445,)


def test_words_that_stand_beside_the_same_words_lie_together():
    x = torch.tensor([0, 1, 0, 1, 2, 3, 2, 3])
    y = torch.tensor([4, 4, 5, 5, 6, 6, 7, 7])
    vectors = torch.nn.functional.normalize(svd_vectors(torch.cat([x, y]), torch.cat([y, x]), 8, 4), dim=1)
    near = vectors @ vectors.T
    assert near[0, 1] > 0.99 and near[2, 3] > 0.99 and near[0, 2].abs() < 0.01


def test_unseen_words_have_neighbours_that_are_written_alike(model):
    energy = model["skip_gram"]
    with torch.no_grad():
        energy.pieces.weight.copy_(torch.randn_like(energy.pieces.weight))
    x = lines(energy, [" Seventies", "seven"])["x"]
    assert embed(energy, {"x": x}).shape == (2, 16)
    unseen, seen = nearest(energy, x, 3)
    assert {"seventy", "seven", "seventeen"} & set(unseen) and "seven" not in seen
    assert tell(energy, {"x": x}, None)[0].startswith(unseen[0])


def test_a_text_of_ones_own_comes_without_questions(tmp_path):
    path = tmp_path / "my.txt"
    path.write_text("one two three four\nfive six seven eight\n" * 100)
    config = settle(Config(data=str(path)))
    assert config.topics == 0 and config.vocabulary == 10
    assert "topics" not in build(config)
