"""Text in files, in symbols and in the sets that the language systems read."""

import gzip

import pytest
import torch

from lowland.data import Tokenizer, dataset, load, read_lines, read_parallel
from lowland.data.babi import stories
from lowland.errors import DataError, UsageError

TEXTS = ["ein Mann geht .", "Zwei Männer laufen schnell .", "a  b\nc"]


def test_lines_are_read_packed_or_not(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"eins\r\nzwei\n")
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress(b"eins\nzwei"))
    assert read_lines(tmp_path / "a.txt") == read_lines(tmp_path / "b.txt.gz") == ["eins", "zwei"]


def test_a_wrong_encoding_names_the_line(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"eins\nzw\xf6lf\n")
    with pytest.raises(DataError, match="a.txt, line 2: wanted UTF-8, got the byte 0xf6"):
        read_lines(tmp_path / "a.txt")


def test_pairs_of_files_must_match(tmp_path):
    for name, text in {"de": "eins\nzwei\n\n", "en": "one\ntwo\nthree\n", "fr": "un\n"}.items():
        (tmp_path / name).write_text(text)
    assert read_parallel(tmp_path / "de", tmp_path / "en") == (["eins", "zwei"], ["one", "two"])
    with pytest.raises(DataError, match="has 3 lines and .*fr has 1"):
        read_parallel(tmp_path / "en", tmp_path / "fr")


@pytest.mark.parametrize("kind", ["word", "pair", "character", "byte"])
def test_texts_come_back_from_symbols(kind):
    tokenizer = Tokenizer.learn(TEXTS, kind, size=60)
    symbols = tokenizer.encode(TEXTS)
    assert symbols.max() < tokenizer.vocabulary
    assert tokenizer.decode(symbols)[:2] == TEXTS[:2]
    again = Tokenizer.from_json(tokenizer.to_json())
    assert (again.encode(TEXTS) == symbols).all() and again.decode(symbols) == tokenizer.decode(symbols)


def test_shorter_texts_end_in_nothing():
    symbols = Tokenizer.learn(TEXTS, "word").encode(["ein Mann", "", "ein"], longest=4)
    assert (symbols >= 0).sum(1).tolist() == [2, 0, 1]
    assert symbols.dtype == torch.int64 and symbols.shape == (3, 4)


def test_a_text_that_says_itself_that_it_lacks_a_word_has_no_other_symbol_for_it():
    words = Tokenizer.learn(["a <unk> b a"], "word", 3)
    assert words.vocabulary == 3 and {words.symbol(k) for k in range(3)} == {"<unk>", "a", "b"}
    assert words.decode(words.encode(["b <unk> z"])) == ["b <unk> <unk>"]


def test_a_rare_word_is_unknown_and_a_strange_character_refused():
    words = Tokenizer.learn(["a a b", "a b c"], "word", least=2)
    assert words.decode(words.encode(["a c b"])) == ["a <unk> b"]
    with pytest.raises(UsageError, match="text 1 has the character 'Ω'"):
        Tokenizer.learn(TEXTS, "character").encode(["ein", "ein Ω"])
    assert Tokenizer.learn(TEXTS, "byte").vocabulary == 256


def test_a_text_that_is_too_long_is_named():
    with pytest.raises(UsageError, match="text 1 has 5 symbols, wanted at most 4"):
        Tokenizer.learn(TEXTS, "word").encode(TEXTS[:2], longest=4)


def test_what_is_no_tokenizer_is_refused():
    with pytest.raises(UsageError, match="wanted what to_json gave"):
        Tokenizer.from_json("{}")
    with pytest.raises(UsageError, match="kind among"):
        Tokenizer.learn(TEXTS, "syllable")  # type: ignore[arg-type]


def test_stories_tell_what_came_before_each_question():
    text = "1 Mary went home.\n2 Where is Mary?\thome\t1\n3 John got milk.\n4 Who has milk?\tJohn\t3\n1 Bob sat.\n2 Who sat?\tBob\t1\n"
    assert stories(text) == [
        (["Mary went home."], "Where is Mary?", "home", [0]),
        (["Mary went home.", "John got milk."], "Who has milk?", "John", [1]),
        (["Bob sat."], "Who sat?", "Bob", [0]),
    ]
    with pytest.raises(DataError, match="line 2: wanted a number"):
        stories("1 Mary went home.\nWhere is Mary?\thome\n")


@pytest.mark.parametrize("name", ["ptb", "tinyshakespeare", "multi30k", "babi"])
def test_the_real_ones_have_as_many_samples_as_they_say(name):
    described = dataset(name)
    if not described.present:
        pytest.skip(f"{name} is not on this machine")
    for split, count in described.splits.items():
        values = load(name, split, download=False)
        assert {len(value) for value in values.values()} == {count}
    if name == "ptb":
        words = [word for line in load(name, "train")["text"] for word in line.split()]
        assert len(words) + 42_068 == 929_589 and len(set(words)) == 9_999  # and the end of a line
    if name == "tinyshakespeare":
        assert len(set(load(name, "all")["text"][0])) == 65
