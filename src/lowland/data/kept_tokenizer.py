"""A tokenizer that is part of a model: where its weights are kept, how it reads and writes is kept."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..errors import UsageError
from .tokenizer import Tokenizer


class KeptTokenizer(nn.Module):
    """Holds a tokenizer among the weights of a model; it has none until `keep` is called or weights are loaded."""

    def __init__(self) -> None:
        super().__init__()
        self._text = torch.zeros(0, dtype=torch.uint8)
        self._tokenizer: Tokenizer | None = None

    def keep(self, tokenizer: Tokenizer) -> None:
        """From now on, this one."""
        self.set_extra_state(torch.frombuffer(bytearray(tokenizer.to_json().encode()), dtype=torch.uint8))

    @property
    def tokenizer(self) -> Tokenizer:
        """What it keeps.

        Raises:
            UsageError: If that is nothing.
        """
        if self._tokenizer is None:
            if not len(self._text):
                raise UsageError("KeptTokenizer: there is none yet; keep one, or load the weights of a trained model.")
            self._tokenizer = Tokenizer.from_json(bytes(self._text.tolist()).decode())
        return self._tokenizer

    def get_extra_state(self) -> Tensor:
        return self._text

    def set_extra_state(self, state: Tensor) -> None:
        self._text, self._tokenizer = state.cpu(), None
