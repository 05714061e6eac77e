"""Text as symbols and back: words, parts of words, characters or bytes, by Hugging Face's tokenizers.

Needs the extra `text` (``pip install "lowland[text]"``).

Source: Sennrich, Haddow & Birch, ACL 2016, for parts of words made by merging frequent pairs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor

from ..errors import UsageError
from ..spaces import NOTHING

#: What stands for a word that is not in the vocabulary.
UNKNOWN = "<unk>"


class Tokenizer:
    """Texts to symbols 0 … V − 1 and back; made by `learn` or `from_json`.

    Args:
        text: What `to_json` gave.
    """

    def __init__(self, text: str) -> None:
        self._tokenizer = _library().Tokenizer.from_str(text)
        words = isinstance(self._tokenizer.model, _library().models.WordLevel)
        #: The characters there are, where they are all there is: nothing stands for another.
        self.alphabet = set(self._tokenizer.get_vocab()) if words and self.index(UNKNOWN) is None else None

    @classmethod
    def learn(cls, texts: Iterable[str], kind: str = "pair", size: int = 8000, least: int = 1) -> Tokenizer:
        """A vocabulary of these texts.

        Args:
            texts: What it shall be good for.
            kind: "word" (what stands between spaces), "pair" (frequent pairs merged within words, until there are ``size``; punctuation
                stands by itself), "character" or "byte".
            size: At most so many symbols; a byte is always one of 256.
            least: A word or pair that occurs less often is no symbol.

        Raises:
            UsageError: If the kind is not one of those, or the texts are empty.
        """
        library = _library()
        models, before, decoders, trainers = library.models, library.pre_tokenizers, library.decoders, library.trainers
        options = {"show_progress": False, "vocab_size": size, "min_frequency": least}
        if kind == "word":
            made = library.Tokenizer(models.WordLevel(unk_token=UNKNOWN))
            made.pre_tokenizer = before.WhitespaceSplit()
            trainer = trainers.WordLevelTrainer(special_tokens=[UNKNOWN], **options)
        elif kind == "pair":
            made = library.Tokenizer(models.BPE(unk_token=UNKNOWN))
            made.pre_tokenizer = before.Sequence([before.Metaspace(), before.Punctuation("isolated")])
            made.decoder = decoders.Metaspace()
            trainer = trainers.BpeTrainer(special_tokens=[UNKNOWN], **options)
        elif kind == "character":
            made = library.Tokenizer(models.WordLevel())
            made.pre_tokenizer, made.decoder = before.Split(library.Regex(r"[\s\S]"), "isolated"), decoders.Fuse()
            trainer = trainers.WordLevelTrainer(**options)
        elif kind == "byte":
            made = library.Tokenizer(models.BPE())
            made.pre_tokenizer, made.decoder = (
                before.ByteLevel(add_prefix_space=False, use_regex=False),
                decoders.ByteLevel(),
            )
            options["vocab_size"] = 256
            trainer = trainers.BpeTrainer(initial_alphabet=before.ByteLevel.alphabet(), **options)
        else:
            raise UsageError(f"Tokenizer: wanted a kind among word, pair, character and byte, got {kind!r}.")
        if kind == "word":
            # a text may say itself that it lacks a word, and the library would count that as another symbol
            texts = (" ".join(word for word in text.split() if word != UNKNOWN) for text in texts)
        made.train_from_iterator(texts, trainer)
        if made.get_vocab_size() < 2:
            raise UsageError("Tokenizer: wanted texts with at least one symbol, got none.")
        return cls(made.to_str())

    @property
    def vocabulary(self) -> int:
        """V, how many symbols there are."""
        return self._tokenizer.get_vocab_size()

    def symbol(self, index: int) -> str:
        """How a symbol is written."""
        return self._tokenizer.id_to_token(index)

    def index(self, symbol: str) -> int | None:
        """The number of a symbol; `None` if there is no such."""
        return self._tokenizer.token_to_id(symbol)

    def encode(self, texts: Sequence[str], longest: int | None = None) -> Int64[Tensor, "N T"]:
        """Symbols of each text, −1 after its end.

        Args:
            texts: The texts; an empty one has no symbols.
            longest: T; by default that of the longest text.

        Raises:
            UsageError: If a text has more than ``longest`` symbols, or a character that the vocabulary lacks; names the first.
        """
        if self.alphabet is not None:
            for place, text in enumerate(texts):
                if wrong := set(text) - self.alphabet:
                    raise UsageError(
                        f"encode: text {place} has the character {min(wrong)!r}, which is not in the vocabulary of {self.vocabulary}."
                    )
        coded = [found.ids for found in self._tokenizer.encode_batch(list(texts))]
        width = max(map(len, coded), default=0)
        if longest is not None and width > longest:
            place = next(i for i, row in enumerate(coded) if len(row) > longest)
            raise UsageError(
                f"encode: text {place} has {len(coded[place])} symbols, wanted at most {longest}: {_short(texts[place])!r}; shorten it, or "
                "leave it out."
            )
        symbols = torch.full((len(coded), width if longest is None else longest), NOTHING)
        for row, ids in zip(symbols, coded, strict=True):
            row[: len(ids)] = torch.tensor(ids, dtype=torch.int64)
        return symbols

    def decode(self, symbols: Int64[Tensor, "N T"]) -> list[str]:
        """The texts that symbols spell; −1 is nothing."""
        rows = [[index for index in row if index != NOTHING] for row in symbols.tolist()]
        return self._tokenizer.decode_batch(rows, skip_special_tokens=False)

    def to_json(self) -> str:
        """All there is to know of it, for `from_json`."""
        return self._tokenizer.to_str()

    @classmethod
    def from_json(cls, text: str) -> Tokenizer:
        """The tokenizer that said this of itself.

        Raises:
            UsageError: If it is something else.
        """
        try:
            return cls(text)
        except Exception as error:  # the library raises nothing more special
            if isinstance(error, UsageError):
                raise
            raise UsageError(f"Tokenizer: wanted what to_json gave, got something else ({error}).") from None


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "…"


def _library() -> Any:
    try:
        import tokenizers
    except ImportError:
        raise UsageError('Text needs the package tokenizers: pip install "lowland[text]".') from None
    from tokenizers import decoders, models, pre_tokenizers, trainers

    del decoders, models, pre_tokenizers, trainers  # imported, they are attributes of the package
    return tokenizers
