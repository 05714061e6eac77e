"""A memory that is asked several times: each sentence of a story is a place, and every hop looks at all of them.

    E(z) = −u·m_z                    the energy of a place z, when u is asked and m_z is what place z answers to
    p    = softmax(−E) = ∂F/∂E       F = −log Σ_z exp(−E(z)): the pointer z is marginalised out, softly
    u   ← u + Σ_z p_z c_z            what is read there is added to the question; after the last hop, logits = W u

An address is never told but where ``facts`` are given: then z is observed, and its energy −log p_z is part of the loss. With `hard` the
free energy becomes a minimum, and a hop reads one place. Keys and values of places differ: c_z is another coding of the sentence (the
keys of the next hop: adjacent tying), or, with ``by_word``, a place is one word of a sentence, its key the sentence about it.

Sources: Sukhbaatar, Szlam, Weston & Fergus, End-To-End Memory Networks, NIPS 2015, sections 2 and 4; Weston, Chopra & Bordes, ICLR 2015,
for addresses that are told; Miller et al., EMNLP 2016, for keys about a word and the word as their value.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn.functional import embedding_bag, one_hot

from ..spaces import NOTHING

#: Samples whose memories are asked at once: a question meets the places of all of them, and is told which are its own.
TOGETHER = 64
#: Minus the energy of a place of another story.
FAR = -1e9


class Told(NamedTuple):
    """The sentences of a batch of stories, one after the other; a story's question is its last."""

    words: Int64[Tensor, " W"]  # symbols
    sentence: Int64[Tensor, " W"]  # which one a word is of
    place: Float[Tensor, " W"]  # of the word in it, from 1/J for the first of J words to 1 for the last
    story: Int64[Tensor, " S"]  # which one a sentence is of
    age: Int64[Tensor, " S"]  # 0 for the last one told; −1 for the question


class Memory(NamedTuple):
    """Places of a batch of stories."""

    question: Float[Tensor, "R N D"]
    keys: list[Tensor]  # (R, M, D) for each hop
    values: list[Tensor]
    own: Bool[Tensor, "N M"]  # whether a place is of the question's story
    age: Int64[Tensor, " M"]  # of its sentence as told; −1 where there is none


class MemoryHops(nn.Module):
    """Logits of every word as the answer to the question at the end of a story.

    Several nets of one shape, the *tries*, learn side by side as one; one of them is chosen to answer.

    Args:
        vocabulary: V, how many words there are.
        stop: The symbol that ends a sentence; what follows the last one is the question.
        dim: D, of what stands for a sentence.
        hops: How often the memory is asked.
        places: How many sentences are remembered, the last ones.
        tries: R.
        noise: Share of empty memories put between sentences in training, so that times are not learnt by heart.
        by_word: Whether each word of a sentence is a place (key–value memories), and not each sentence.
        spread: Standard deviation of the weights at the start.

    Attributes:
        hard: Whether a hop reads the one place of lowest energy.
        linear: Whether places are weighted by −E and not by the softmax of it, which is how training starts.
        chosen: The try that answers.
    """

    chosen: Tensor
    rising: Tensor

    def __init__(
        self,
        vocabulary: int,
        stop: int,
        dim: int = 50,
        hops: int = 3,
        places: int = 50,
        tries: int = 1,
        noise: float = 0.1,
        by_word: bool = False,
        spread: float = 0.1,
    ) -> None:
        super().__init__()
        self.vocabulary, self.stop, self.dim, self.hops, self.places = vocabulary, stop, dim, hops, places
        self.tries, self.noise, self.by_word, self.hard, self.linear = tries, noise, by_word, False, False
        codings = 3 if by_word else hops + 1
        self.words = nn.Parameter(spread * torch.randn(vocabulary, tries * codings * dim))
        self.times = nn.Parameter(spread * torch.randn(places, tries * (1 if by_word else codings) * dim))
        self.turns = nn.Parameter(torch.eye(dim).repeat(hops, tries, 1, 1)) if by_word else None
        self.register_buffer("chosen", torch.zeros((), dtype=torch.int64))
        self.register_buffer("rising", (torch.arange(dim) + 1.0).div(dim).repeat(tries * codings), persistent=False)

    def forward(self, x: Int64[Tensor, "N T"]) -> Float[Tensor, "N V"]:
        """By the chosen try."""
        return torch.cat([self.every(part)[0][int(self.chosen)] for part in x.split(TOGETHER)])

    def every(
        self, x: Int64[Tensor, "N T"], facts: Int64[Tensor, "N H"] | None = None
    ) -> tuple[Float[Tensor, "R N V"], Float[Tensor, "R N"]]:
        """Logits of each try, and the energy of the facts: −log p of the place that each hop is told to read, added up.

        Args:
            x: Words of a story with stops, words of the question, −1 to the end.
            facts: For each hop the age of the sentence that it must read; −1 leaves it to the hop.
        """
        memory = self.remember(x)
        u, told = memory.question, memory.question.new_zeros(memory.question.shape[:2])
        for hop in range(self.hops):
            weights, scores = self.look(memory, hop, u)
            if facts is not None:
                wanted = memory.own & (memory.age == facts[:, hop, None]) & (facts[:, hop, None] >= 0)
                told = told - scores.log_softmax(-1).masked_fill(~wanted, 0.0).sum(-1)
            u = self._read(memory, hop, u, weights)
        answers = self._tries(self.words)[..., -self.dim :]
        return u @ answers.mT, told

    def look(self, memory: Memory, hop: int, u: Float[Tensor, "R N D"]) -> tuple[Tensor, Tensor]:
        """The weights of the places, ``(R, N, M)``, and minus their energies, far down for those of other stories."""
        scores = u @ memory.keys[hop].mT
        if self.linear:
            return scores * memory.own, scores
        scores = scores.masked_fill(~memory.own, FAR)  # not −∞: a story without sentences has no place of its own
        weights = one_hot(scores.argmax(-1), scores.shape[-1]) if self.hard and scores.shape[-1] else scores.softmax(-1)
        return weights * memory.own, scores

    def _read(self, memory: Memory, hop: int, u: Tensor, weights: Tensor) -> Float[Tensor, "R N D"]:
        kept = u if self.turns is None else u @ self.turns[hop]
        return kept + weights.to(u) @ memory.values[hop]

    @torch.no_grad()
    def attention(self, x: Int64[Tensor, "N T"]) -> Float[Tensor, "N H P"]:
        """How much each hop of the chosen try looks at the sentence of each age, 0 for the last one told."""
        memory = self.remember(x)
        u, seen = memory.question, []
        for hop in range(self.hops):
            weights, _ = self.look(memory, hop, u)
            u = self._read(memory, hop, u, weights)
            ages = one_hot(memory.age.clamp_min(0), self.places).to(u) * (memory.age >= 0)[:, None]
            seen.append(weights[int(self.chosen)].to(u) @ ages)
        return torch.stack(seen, 1)

    def remember(self, x: Int64[Tensor, "N T"]) -> Memory:
        """What is read of stories, before it is asked."""
        told = sentences(x, self.stop)
        coded = self._coded(told)
        question = self._tries(coded[told.age < 0])[..., : self.dim]
        time, empty = self._times(told)
        story, age = torch.cat([told.story, told.story[empty]]), torch.cat([told.age, torch.full_like(time[empty], -1)])
        time = torch.cat([time, time[empty] - 1])
        coded = torch.cat([coded, coded.new_zeros(int(empty.sum()), coded.shape[1])])
        kept = (time >= 0) & (time < self.places)
        if self.by_word:
            return self._by_word(told, coded, time, kept, question)
        parts = self._tries(coded[kept] + self.times[time[kept]]).split(self.dim, -1)
        own = story[kept] == torch.arange(len(x), device=x.device)[:, None]
        return Memory(question, list(parts[:-1]), list(parts[1:]), own, age[kept])

    def _by_word(self, told: Told, coded: Tensor, time: Tensor, kept: Tensor, question: Tensor) -> Memory:
        """Each word is a place: its key is its sentence and what the word is to it, its value the word."""
        there = kept[told.sentence]
        sentence, word = told.sentence[there], told.words[there]
        about, value = self._tries(self.words[word]).split([2 * self.dim, self.dim], -1)
        of = self._tries(coded[sentence])[..., : self.dim] + self._tries(self.times[time[sentence]])
        keys = of + about[..., self.dim :]
        own = told.story[sentence] == torch.arange(question.shape[1], device=word.device)[:, None]
        return Memory(question, [keys] * self.hops, [value] * self.hops, own, told.age[sentence])

    def _tries(self, coded: Tensor) -> Float[Tensor, "R M C"]:
        return coded.unflatten(1, (self.tries, -1)).transpose(0, 1)

    def _coded(self, told: Told) -> Float[Tensor, "S C"]:
        """Each sentence as the sum of its words, weighed by their places: 1 − j/J − (k/D) (1 − 2j/J) for entry k of word j of J."""
        count, symbols = len(told.story), told.words.repeat(2)
        begins = torch.searchsorted(told.sentence, torch.arange(count, device=symbols.device))
        weights = torch.cat([1 - told.place, 2 * told.place - 1])
        begins = torch.cat([begins, begins + len(told.words)])
        level, slope = embedding_bag(symbols, self.words, begins, mode="sum", per_sample_weights=weights).split(count)
        return torch.addcmul(level, self.rising, slope)

    def _times(self, told: Told) -> tuple[Tensor, Tensor]:
        """How long ago each sentence seems to have been told, and after which an empty memory lies: at random, in training alone."""
        empty = torch.zeros_like(told.age, dtype=torch.bool)
        if self.training and self.noise:
            empty = (torch.rand(empty.shape, device=empty.device) < self.noise) & (told.age >= 0)
        since = empty.flip(0).cumsum(0).flip(0)  # of this sentence and of all that come later
        question = since[told.age < 0][told.story]  # of those that are told after the story
        return told.age + since - question, empty


def sentences(x: Int64[Tensor, "N T"], stop: int) -> Told:
    """Cut stories into sentences, without their stops."""
    ends = x == stop
    number, count = ends.cumsum(1) - ends.long(), ends.sum(1) + 1
    first = count.cumsum(0) - count
    at = torch.arange(x.shape[1], device=x.device)
    begins = torch.where(ends, at + 1, 0).cummax(1).values.roll(1, 1)
    begins[:, :1] = 0
    words = (x != NOTHING) & ~ends
    sentence, place = (first[:, None] + number)[words], (at - begins + 1)[words]
    story = torch.repeat_interleave(torch.arange(len(x), device=x.device), count)
    length = torch.bincount(sentence, minlength=len(story))
    age = count[story] - 2 - (torch.arange(len(story), device=x.device) - first[story])
    return Told(x[words], sentence, place / length[sentence], story, age)
