"""What a system says of itself: the docstring of its file, in pieces that a page can set."""

from __future__ import annotations

import importlib
import inspect
import re
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from ..system import System

#: A line that begins a section: a name of one or two words (two known ones are longer), a colon, and the first words.
_SECTION = re.compile(r"^(Differences from the \w+|Your own \w+|[A-Z][\w-]+(?: [\w-]+)?):(?: +(.*))?$")
_ITEM = re.compile(r"^(?:\d+[.)]|[-*•]) ")
#: *Stars* around words that are to stand out; a star in a formula has no partner of this kind.
EMPHASIS = re.compile(r"(?<![\w*])\*(\w(?:[^*]*\w)?)\*(?![\w*])")


class Block(NamedTuple):
    """A paragraph, an item of a list (numbered or not), or lines to be shown as they stand."""

    kind: Literal["text", "item", "number", "code"]
    text: str


@dataclass(frozen=True)
class Description:
    """The pieces of a docstring.

    Attributes:
        title: Its first sentence, without the full stop.
        lead: What comes before the first section: the idea and the energy's equation.
        sections: ``{"Training": blocks, "No collapse": blocks, ...}`` in their order.
    """

    title: str
    lead: tuple[Block, ...] = ()
    sections: dict[str, tuple[Block, ...]] = field(default_factory=dict)


def describe(system: System) -> Description:
    """The description of a system, from the docstring of the file that registers it."""
    module = importlib.import_module(system.module)
    return parse(module.__doc__ or system.title)


def parse(docstring: str) -> Description:
    """A docstring in pieces; indented lines after an empty line (or under a section's name) are code."""
    lines = inspect.cleandoc(docstring).splitlines()
    first = [
        line.strip() for line in lines[: next((n for n, line in enumerate(lines) if not line.strip()), len(lines))]
    ]
    body = lines[len(first) :]
    pieces: dict[str, list[str]] = {"": []}
    current = ""
    for line in body:
        found = _SECTION.match(line)
        if found:
            current = found[1]
            pieces.setdefault(current, []).append(found[2] or "")
        else:
            pieces[current].append(line)
    sections = {name: _blocks(text) for name, text in pieces.items() if name}
    return Description(" ".join(first).rstrip("."), _blocks(pieces[""]), sections)


def _blocks(lines: list[str]) -> tuple[Block, ...]:
    blocks: list[Block] = []
    after_gap = True
    for line in lines:
        text = line.strip()
        indented = line.startswith("    ")
        previous = blocks[-1].kind if blocks else ""
        if not text:
            if previous == "code":
                blocks[-1] = Block("code", blocks[-1].text + "\n")
            after_gap = True
            continue
        item = _ITEM.match(text)
        if indented and not item and (previous == "code" or (after_gap and previous not in ("item", "number"))):
            if previous == "code":
                blocks[-1] = Block("code", f"{blocks[-1].text}\n{line[4:]}")
            else:
                blocks.append(Block("code", line[4:]))
        elif item:
            blocks.append(Block("number" if text[0].isdigit() else "item", text[item.end() :]))
        elif after_gap or previous == "code":
            blocks.append(Block("text", text))
        else:
            blocks[-1] = Block(blocks[-1].kind, f"{blocks[-1].text} {text}")
        after_gap = False
    return tuple(Block(block.kind, block.text.rstrip()) for block in blocks)
