"""Parallel text: what is read, how it is split, what is refused; and how translations are scored."""

import pytest
import torch

from lowland.data import KeptTokenizer, Tokenizer, bleu, parallel_text, spelt
from lowland.data.parallel import said
from lowland.errors import DataError, UsageError


def test_numbers_are_said():
    assert [said(n, "de") for n in (1, 21, 30, 101, 516)] == [
        "eins", "ein und zwanzig", "dreißig", "ein hundert eins", "fünf hundert sechzehn",
    ]  # fmt: skip
    assert [said(n, "en") for n in (0, 21, 900)] == ["zero", "twenty one", "nine hundred"]
    found = parallel_text(["numbers"])
    assert [len(part[0]) for part in (found.train, found.validation, found.test)] == [800, 100, 100]
    assert len({*found.train[0], *found.validation[0], *found.test[0]}) == 1000


def write(folder, **texts):
    for name, text in texts.items():
        (folder / f"my.{name}").write_text(text)
    return [str(folder / f"my.{name}") for name in texts]


def test_own_text_is_split_pair_by_pair(tmp_path):
    places = write(
        tmp_path, de="".join(f"wort {i}\n" for i in range(100)), en="".join(f"word {i}\n" for i in range(100))
    )
    found = parallel_text(places)
    assert [len(part[0]) for part in (found.train, found.validation, found.test)] == [90, 5, 5]
    for x, y in found.train, found.validation, found.test:
        assert [text.replace("wort", "word") for text in x] == y
    assert found == parallel_text(places) != parallel_text(places, seed=1)
    assert set(found.sources["my.de and my.en"]["sha256"]) == {"my.de", "my.en"}


def test_text_that_does_not_fit_is_refused(tmp_path):
    many, few = write(tmp_path, a="x\n" * 30, b="y\n" * 29)
    with pytest.raises(DataError, match=r"my.a has 30 lines and .*my.b has 29"):
        parallel_text([many, few])
    with pytest.raises(DataError, match="at least 20 pairs of lines, got 2"):
        parallel_text(write(tmp_path, a="x\ny\n", b="y\nx\n"))
    with pytest.raises(DataError, match="my.gone"):
        parallel_text([many, str(tmp_path / "my.gone")])
    (tmp_path / "my.b").write_bytes(b"y\n" * 8 + b"\xff\n" + b"y\n" * 21)
    with pytest.raises(DataError, match="my.b, line 9: wanted UTF-8"):
        parallel_text([many, few])
    for wrong in ((), ("ptb",), ("a", "b", "c")):
        with pytest.raises(UsageError, match="wanted multi30k, numbers, or two files"):
            parallel_text(wrong)
    with pytest.raises(UsageError, match="got 'de' and 'fr'"):
        parallel_text(["numbers"], "de", "fr")


@pytest.mark.data("multi30k")
def test_the_captions_keep_their_splits():
    found = parallel_text(["multi30k"], "en", "fr")
    assert [len(part[1]) for part in (found.train, found.validation, found.test)] == [29_000, 1_014, 1_000]
    assert found.sources["multi30k"]["samples"] == 31_014


def test_punctuation_stands_by_itself_and_comes_back():
    texts = ["Ein Mann, ein Hund.", "Hund? Ein (alter) Hund!"]
    tokenizer = Tokenizer.learn(texts, "pair", 60)
    symbols = tokenizer.encode(texts)
    assert tokenizer.decode(symbols) == texts
    assert "." in [tokenizer.symbol(i) for i in symbols[0].tolist() if i >= 0]


def test_a_tokenizer_is_kept_among_the_weights():
    kept, fresh = KeptTokenizer(), KeptTokenizer()
    with pytest.raises(UsageError, match="there is none yet"):
        fresh.tokenizer.encode([""])
    kept.keep(Tokenizer.learn(["ein Mann"], "word"))
    fresh.load_state_dict(kept.state_dict())
    assert torch.equal(fresh.tokenizer.encode(["Mann ein"]), kept.tokenizer.encode(["Mann ein"]))
    fresh.keep(Tokenizer.learn(["one two three"], "word"))
    assert fresh.tokenizer.encode(["three"]).shape == (1, 1) and kept.tokenizer.vocabulary == 3


def test_bleu_by_hand():
    assert bleu(["The cat sat on the mat ."], ["the Cat sat on the mat."]) == pytest.approx(100.0)
    # 4 of 5 words, 3 of 4 pairs, 2 of 3 threes, 1 of 2 fours; as long as the reference
    assert bleu(["a b c d e"], ["a b c d f"]) == pytest.approx(100 * (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25)
    with pytest.raises(UsageError, match="as many translations as references, got 1 and 2"):
        bleu(["a"], ["a", "b"])


def test_pairs_are_spelt_side_by_side_and_long_ones_left_out():
    text = parallel_text(["numbers"], "de", "en")
    found = spelt(text, "word", 100, longest=3)
    source, target = found.tokenizers
    for name, values in found.splits.items():
        assert values["x"].shape == values["y"].shape == (len(found.texts[name][0]), 3)
        for tokenizer, symbols, lines in zip((source, target), values.values(), found.texts[name], strict=True):
            read = [pair for pair in zip(tokenizer.decode(symbols), lines, strict=True) if "<unk>" not in pair[0]]
            assert len(read) > 0.9 * len(lines) and all(back == line for back, line in read)
    short = [line for line, other in zip(*text.train, strict=True) if max(len(line.split()), len(other.split())) <= 3]
    assert found.texts["train"][0] == short and 0 < len(short) < 800
    with pytest.raises(DataError, match="no pair of at most 0 symbols to train on; give a larger --longest"):
        spelt(text, "word", 100, longest=0)
