"""A small notation for strings of labels: regular expressions over words, read into a deterministic automaton.

    junk* (digit junk*){1,8}

By derivatives: what may still follow after a label is again an expression, and the automaton's states are the different
expressions met. Nothing is deterministic by luck: each state has one successor for each label.

Source: Brzozowski, Derivatives of Regular Expressions, Journal of the ACM 11 (1964); for the simplifications that keep the
states few, Owens, Reppy & Turon, Journal of Functional Programming 19 (2009).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

import torch
from torch import Tensor

from ..errors import UsageError

#: An expression: ("none",), ("end",), ("set", labels), ("then", a, b), ("or", frozenset), ("star", a).
Expression = tuple
NONE: Expression = ("none",)
END: Expression = ("end",)
_TOKEN = re.compile(r"\s*(?:([A-Za-z_]\w*)|(\{\s*\d+\s*(?:,\s*\d*\s*)?\})|([()|*+?]))")
#: More states than this are a mistake: a counted group inside another one multiplies.
MAX_STATES = 4096


def automaton(grammar: str, labels: int, words: Mapping[str, tuple[int, ...]]) -> tuple[Tensor, Tensor]:
    """The states' successors ``(1, Q, C)``, −1 for none, and which of them may end ``(1, Q)``.

    Raises:
        UsageError: If the grammar can't be read, accepts nothing, or has too many states.
    """
    try:
        states, rows = _states(_Parser(grammar, words).expression(), labels)
    except RecursionError:
        states = rows = ()
    if not states:
        raise UsageError(f"Grammar {grammar!r}: more than {MAX_STATES} states; use fewer or smaller counts.")
    final = [_ends(expression) for expression in states]
    if not any(final):
        raise UsageError(f"Grammar {grammar!r} accepts no string at all.")
    return torch.tensor([rows]), torch.tensor([final])


def _states(start: Expression, labels: int) -> tuple[list[Expression], list[list[int]]]:
    """The expressions met and their successors; nothing if there are too many."""
    known, queue, rows = {start: 0}, [start], []
    for expression in queue:
        row = []
        for label in range(labels):
            after = _derivative(expression, label)
            if after != NONE and after not in known:
                known[after] = len(known)
                queue.append(after)
            row.append(known.get(after, -1))
        rows.append(row)
        if len(known) > MAX_STATES:
            return [], []
    return queue, rows


class _Parser:
    """Reads: choice := chain ('|' chain)*;  chain := piece+;  piece := (word | '(' choice ')') ('*' | '+' | '?' | '{m,n}')*."""

    def __init__(self, grammar: str, words: Mapping[str, tuple[int, ...]]) -> None:
        self.grammar, self.words = grammar, words
        self.tokens: list[tuple[str, int]] = []
        place = 0
        text = grammar.rstrip()
        while place < len(text):
            found = _TOKEN.match(text, place)
            if not found:
                place += len(text[place:]) - len(text[place:].lstrip())
                raise self._error("wanted a word, a bracket or one of | * + ? {m,n}", place)
            self.tokens.append((found.group().strip(), found.start(found.lastindex or 0)))
            place = found.end()
        self.next = 0

    def _error(self, what: str, place: int) -> UsageError:
        return UsageError(
            f"Grammar {self.grammar!r}: {what} at character {place + 1} ({self.grammar[place : place + 10]!r})."
        )

    def _peek(self) -> str:
        return self.tokens[self.next][0] if self.next < len(self.tokens) else ""

    def _place(self) -> int:
        return self.tokens[self.next][1] if self.next < len(self.tokens) else len(self.grammar)

    def expression(self) -> Expression:
        whole = self._choice()
        if self._peek():
            raise self._error(f"nothing fits {self._peek()!r}", self._place())
        return whole

    def _choice(self) -> Expression:
        parts = [self._chain()]
        while self._peek() == "|":
            self.next += 1
            parts.append(self._chain())
        return _or(*parts)

    def _chain(self) -> Expression:
        pieces = []
        while self._peek() and self._peek() not in "|)":
            pieces.append(self._piece())
        if not pieces:
            raise self._error("wanted a word or a group", self._place())
        whole = pieces[-1]
        for piece in reversed(pieces[:-1]):
            whole = _then(piece, whole)
        return whole

    def _piece(self) -> Expression:
        token, place = self._peek(), self._place()
        self.next += 1
        if token == "(":
            piece = self._choice()
            if self._peek() != ")":
                raise self._error("this group is not closed", place)
            self.next += 1
        elif token in self.words:
            piece = ("set", frozenset(self.words[token]))
        else:
            known = ", ".join(self.words)
            raise self._error(f"{token!r} is not a word of this grammar ({known})", place)
        while (mark := self._peek()) and mark[0] in "*+?{":
            piece = self._repeat(piece, mark)
            self.next += 1
        return piece

    def _repeat(self, piece: Expression, mark: str) -> Expression:
        if mark == "*":
            return _star(piece)
        if mark == "+":
            return _then(piece, _star(piece))
        if mark == "?":
            return _or(piece, END)
        low, _, high = mark.strip("{} ").partition(",")
        least, most = int(low), int(high) if high.strip() else None if "," in mark else int(low)
        if most is not None and most < least:
            raise self._error(f"wanted {{m,n}} with m ≤ n, got {mark}", self._place())
        whole = _star(piece) if most is None else END
        for _ in range((most or least) - least):
            whole = _or(END, _then(piece, whole))
        for _ in range(least):
            whole = _then(piece, whole)
        return whole


def _then(one: Expression, two: Expression) -> Expression:
    if NONE in (one, two):
        return NONE
    if one == END:
        return two
    if two == END:
        return one
    return ("then", one[1], _then(one[2], two)) if one[0] == "then" else ("then", one, two)


def _or(*parts: Expression) -> Expression:
    flat = frozenset(part for each in parts for part in (each[1] if each[0] == "or" else (each,)) if part != NONE)
    return NONE if not flat else next(iter(flat)) if len(flat) == 1 else ("or", flat)


def _star(piece: Expression) -> Expression:
    return piece if piece[0] == "star" else END if piece in (END, NONE) else ("star", piece)


@lru_cache(maxsize=65536)
def _ends(expression: Expression) -> bool:
    """Whether the empty string is one of its strings."""
    kind = expression[0]
    if kind == "then":
        return _ends(expression[1]) and _ends(expression[2])
    if kind == "or":
        return any(_ends(part) for part in expression[1])
    return kind in ("end", "star")


@lru_cache(maxsize=65536)
def _derivative(expression: Expression, label: int) -> Expression:
    """What may follow the label."""
    kind = expression[0]
    if kind == "set":
        return END if label in expression[1] else NONE
    if kind == "then":
        first = _then(_derivative(expression[1], label), expression[2])
        return _or(first, _derivative(expression[2], label)) if _ends(expression[1]) else first
    if kind == "or":
        return _or(*(_derivative(part, label) for part in expression[1]))
    if kind == "star":
        return _then(_derivative(expression[1], label), expression)
    return NONE
