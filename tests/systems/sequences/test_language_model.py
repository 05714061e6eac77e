"""What is particular to language models; that they run at all is tested with the gallery."""

from dataclasses import replace

import pytest
import torch

from lowland.data import Tokenizer
from lowland.errors import SpaceError
from lowland.objectives import TruncatedLikelihood
from lowland.systems.sequences.language_model import Config, build, costs, data, falling, lines, settle, tell

SMALL = Config(data="numbers", vocabulary=40, dim=32, length=10)


@pytest.fixture(params=["lstm", "transformer"])
def config(request):
    return replace(settle(SMALL), net=request.param)


@pytest.fixture
def model(config):
    torch.manual_seed(0)
    return build(config).eval()


def test_a_text_costs_what_its_symbols_cost_one_after_the_other(config, model):
    text = data(config).test["text"][:47]
    found = costs(model["language"], config, text)
    assert found.shape == (47,)
    reads = TruncatedLikelihood(config.net == "lstm")
    if config.net == "lstm":
        wanted = [reads.costs(model["language"], {"y": piece[None]})[0] for piece in text.unfold(0, 10, 10)]
        torch.testing.assert_close(found[:40], torch.cat(wanted))
    else:  # every symbol but the first ones sees half a piece at least
        first, second = (reads.costs(model["language"], {"y": piece[None]})[0] for piece in (text[:10], text[5:15]))
        torch.testing.assert_close(found[:15], torch.cat([first, second[5:]]))


def test_streams_side_by_side_are_read_apart(model, config):
    text = data(config).test["text"][:60]
    found = costs(model["language"], config, text, together=3)
    if config.net == "lstm":
        torch.testing.assert_close(found[20:40], costs(model["language"], config, text[20:40]))
    else:
        torch.testing.assert_close(found, costs(model["language"], config, text))


def test_a_net_that_learns_what_it_reads_knows_it_better(model, config):
    text = torch.arange(5).repeat(60)
    still, moving = (costs(model["language"], config, text, rate=rate) for rate in (0.0, 1.0))
    assert moving[-50:].mean() < still[-50:].mean() - 0.1
    torch.testing.assert_close(moving[:5], still[:5])  # judged before it learns


def test_a_text_of_ones_own_is_split_and_says_how_many_symbols_it_has(tmp_path):
    path = tmp_path / "my.txt"
    path.write_text("one two three four\n" * 400)
    config = settle(Config(data=str(path)))
    assert config.vocabulary == 6  # with the unknown word and the end of a line
    found = data(config)
    assert len(found.train["y"]) % config.streams == 0 and len(found.test["text"]) == 5 * 40
    assert found.sources["my.txt"]["samples"] == 400


def test_texts_are_gone_on_with(config, model):
    model["onward"].kept.keep(Tokenizer.from_json(data(config).extra["tokenizer"]))
    x = lines(model["onward"], ["two hundred"])["x"]
    assert (x >= 0).sum() == 2
    found = torch.tensor([[int(x[0, 0]), -1]])
    solution = type("Found", (), {"value": found})
    assert tell(model["onward"], {}, solution) == ["two"]
    with pytest.raises(SpaceError, match="of one length"):
        lines(model["onward"], ["two hundred", "two"])


def test_the_rate_rises_shortly_and_falls_to_zero():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = falling(optimizer, 100)
    rates = []
    for _ in range(100):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates[0] == pytest.approx(0.5) and max(rates) > 0.97 and rates[-1] < 0.03
    assert rates[10:] == sorted(rates[10:], reverse=True)
