"""Pairs of words: that stand beside each other, that mean the same, that are forms of one word.

Source: Mikolov, Sutskever, Chen, Corrado & Dean, NIPS 2013, section 2.3, for thinning frequent words out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Int64
from torch import Generator, Tensor

from .registry import dataset

#: Endings that a rule puts on a word, each with what it cuts off first.
RULES = ((("y", "ies"), ("", "s")), (("e", "ed"), ("", "ed")), (("e", "ing"), ("", "ing")), (("", "ly"),))


def neighbours(
    text: Int64[Tensor, " L"],
    wanted: Bool[Tensor, " V"],
    often: Int64[Tensor, " V"],
    window: int,
    thin: float,
    generator: Generator,
) -> Int64[Tensor, "two M"]:
    """Pairs of words that stand beside each other, both ways round.

    Args:
        text: Words as numbers.
        wanted: Which of them count; the others are left out before anybody has a neighbour.
        often: How often each occurs where the vectors are learnt.
        window: Words apart, at most; of those d apart a share of (window − d + 1) / window is taken.
        thin: Words more frequent than this are left out at random: the root of thin / frequency remains.
        generator: Draws what is left out.
    """
    share = (often[text] / often.sum()).clamp_min(1e-12)
    kept = torch.rand(len(text), generator=generator) < (thin / share).sqrt()
    text = text[kept & wanted[text]]
    found = []
    for apart in range(1, window + 1):
        one, other = text[:-apart], text[apart:]
        near = torch.rand(len(one), generator=generator) < (window - apart + 1) / window
        found += [torch.stack([one[near], other[near]]), torch.stack([other[near], one[near]])]
    return torch.cat(found, 1)


def synonyms(words: Sequence[str], wanted: Bool[Tensor, " V"], agreed: int = 2) -> Int64[Tensor, "M two"]:
    """Pairs of wanted words to which the dictionaries of ``agreed`` languages or more give the same translation."""
    index = {word: k for k, word in enumerate(words) if wanted[k]}
    votes: Counter[tuple[int, int]] = Counter()
    described = dataset("bilingual_dict")
    for language in described.splits:
        found, meant = described.load(language), dict[str, set[int]]()
        for word, other in zip(found["en"], found["other"], strict=True):
            if word in index:
                meant.setdefault(other, set()).add(index[word])
        votes.update((one, two) for group in meant.values() for one in group for two in group if one < two)
    return torch.tensor([pair for pair, times in votes.items() if times >= agreed]).view(-1, 2)


def inflections(
    words: Sequence[str], wanted: Bool[Tensor, " V"], often: Int64[Tensor, " V"], least: int = 30, most: int = 60
) -> list[Int64[Tensor, "M two"]]:
    """Pairs of a word and the word with an ending, where both are there, a list for each rule; the most frequent.

    Args:
        words: The vocabulary.
        wanted: Which of them count.
        often: How often each occurs.
        least: A word that is rarer doesn't count.
        most: Pairs of each rule, at most.
    """
    index = {word: k for k, word in enumerate(words) if wanted[k] and often[k] >= least and len(word) > 3}
    found = []
    for rule in RULES:
        pairs: dict[int, int] = {}
        for word, k in index.items():
            for cut, put in rule:
                other = index.get(word.removesuffix(cut) + put) if word.endswith(cut) else None
                if other is not None:
                    pairs.setdefault(k, other)
        rows = sorted(pairs.items(), key=lambda pair: -min(int(often[pair[0]]), int(often[pair[1]])))[:most]
        found.append(torch.tensor(rows, dtype=torch.int64).view(-1, 2))
    return found
