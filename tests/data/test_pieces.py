"""Pieces of words and of texts."""

from lowland.data import Tokenizer, text_pieces, word_pieces
from lowland.data.pieces import LONGEST_WORD, letter_pieces

BUCKETS = 10_000


def test_a_word_has_its_runs_of_letters_with_its_ends():
    assert len(letter_pieces("cat", BUCKETS)) == 5  # <ca cat at> <cat cat>, not <cat> itself
    assert set(letter_pieces("cats", BUCKETS)) & set(letter_pieces("cat", BUCKETS))
    assert letter_pieces("cat", BUCKETS) == letter_pieces("cat", BUCKETS)


def test_a_word_that_was_seen_has_a_piece_of_its_own():
    words = Tokenizer.learn(["cat dog dog"], "word")
    seen, unseen = word_pieces(["cat", "cats"], words, BUCKETS)
    assert seen[0] == words.index("cat") and (seen[1:6] >= words.vocabulary).all() and (seen[6:] == -1).all()
    assert (unseen[unseen >= 0] >= words.vocabulary).all()
    assert word_pieces(["x" * 30], words, BUCKETS).shape == (1, LONGEST_WORD)


def test_a_text_has_words_and_what_follows_what():
    both, alone = text_pieces(["Who was he?", ""], BUCKETS), text_pieces(["who was he"], BUCKETS, pairs=False)
    assert (both >= 0).sum(1).tolist() == [5, 0]
    assert both[0, :3].tolist() == alone[0, :3].tolist() and (alone[0, 3:] == -1).all()
    turned = text_pieces(["he was who"], BUCKETS)[0]
    assert set(turned[:3].tolist()) == set(both[0, :3].tolist()) and turned[3] != both[0, 3]
