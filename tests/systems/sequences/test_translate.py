"""What is particular to translation; that it runs at all is tested with the gallery."""

import pytest
import torch

from lowland.data import Tokenizer
from lowland.errors import DataError
from lowland.spaces import NOTHING
from lowland.systems.sequences.translate import (
    Config,
    alignment,
    build,
    data,
    keep,
    looked,
    search,
    thirds,
    tune,
    words,
)
from lowland.train import Trainer

SMALL = {"data": ("numbers",), "symbols": 80, "longest": 12, "dim": 32, "hidden": 32, "blocks": 1, "width": 2}
NETS = ("transformer", "convolutional", "attention", "encoder_decoder")


@pytest.fixture(scope="module")
def numbers():
    return data(Config(**SMALL))


@pytest.mark.parametrize("net", NETS)
def test_what_was_looked_at_adds_up_to_one_over_the_source(net, numbers):
    torch.manual_seed(0)
    energy = build(Config(**SMALL, net=net)).eval()
    x, y = numbers.test["x"][:5], numbers.test["y"][:5]
    with torch.no_grad():
        seen = looked(energy, x, y)
    if net == "encoder_decoder":
        assert seen is None
        return
    symbols = (x != NOTHING).sum(1)
    assert seen.shape[:2] == (5, int((y != NOTHING).sum(1).max()) + 1)
    torch.testing.assert_close(seen.sum(-1), torch.ones(seen.shape[:2]))
    assert all(not bool(weights[:, length:].any()) for weights, length in zip(seen, symbols.tolist(), strict=True))


def test_words_spelt_alike_are_found_where_they_are(monkeypatch):
    texts = ["Das Baby trinkt am Strand, am Strand.", "Baby baseball."]
    tokenizer = Tokenizer.learn(texts, "pair", 80)
    one = tokenizer.encode(texts)[0].tolist()
    found = words(tokenizer, one)
    assert set(found) == {"das", "baby", "trinkt"}  # Strand is there twice, am is short
    assert "".join(tokenizer.symbol(one[i]) for i in found["baby"]) == "▁Baby"
    spaced = Tokenizer.learn(["das baby schläft"], "word")
    assert words(spaced, spaced.encode(["das baby"])[0].tolist()) == {"das": range(1), "baby": range(1, 2)}


def test_alignment_counts_looks_at_the_same_word(monkeypatch, numbers):
    energy = build(Config(**SMALL))
    for kept in (energy.source, energy.target):
        kept.keep(Tokenizer.learn(["ball hund dog"], "word"))
    batch = {"x": energy.source.tokenizer.encode(["ball hund", "hund ball"], 12)}
    batch["y"] = energy.target.tokenizer.encode(["ball dog", "dog ball"], 12)
    first = torch.tensor([1.0, 0.0]).expand(2, 3, 2)  # always looks at the first word
    monkeypatch.setattr("lowland.systems.sequences.translate.looked", lambda *_: first)
    assert alignment(energy, batch) == 50.0


def test_thirds_are_by_words():
    sources = ["a b c", "a", "a b", "a b c d", "a b c d e", "a"]
    assert thirds(sources) == {"short": [1, 5], "medium": [2, 0], "long": [3, 4]}


def test_the_weight_for_length_is_the_one_that_is_best_on_held_out_sentences(numbers):
    torch.manual_seed(0)
    energy = build(Config(**SMALL)).eval()
    keep(energy, numbers)
    found = tune(energy, Config(**SMALL, length_weights=(0.0, 5.0)), numbers)
    assert float(energy.length_weight) == float(max(found, key=found.get)) == search(energy, Config()).length_weight


def test_long_pairs_are_left_out_and_some_must_stay(tmp_path):
    de, en = tmp_path / "my.de", tmp_path / "my.en"
    de.write_text("".join(f"{'ein ' * (1 + i % 30)}hund\n" for i in range(200)))
    en.write_text("".join(f"{'one ' * (1 + i % 30)}dog\n" for i in range(200)))
    config = Config(data=(str(de), str(en)), kind="word", longest=15)
    found = data(config)
    assert 60 < len(found.train["x"]) < 120 and found.train["x"].shape[1] == 15
    assert len(found.extra["texts"]["train"][0]) == len(found.train["x"])
    with pytest.raises(DataError, match="give a larger --longest"):
        data(Config(data=(str(de), str(en)), kind="word", longest=1))


def test_batches_hold_sentences_that_are_about_equally_long(monkeypatch, numbers):
    from lowland.systems.sequences import translate

    seen = {}
    monkeypatch.setattr(Trainer, "fit", lambda self, *words, lengths, **options: seen.update(lengths=lengths))
    monkeypatch.setattr(translate, "tune", lambda *_: {})
    translate.train(build(Config(**SMALL)), Config(**SMALL), numbers, Trainer(seed=0))
    assert seen["lengths"].tolist() == [
        sum(value >= 0 for part in ("x", "y") for value in numbers.train[part][row].tolist()) for row in range(800)
    ]
