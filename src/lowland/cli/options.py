"""Options that mean the same in every verb, and a parser whose complaints are sentences."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from ..errors import UsageError


class Parser(argparse.ArgumentParser):
    """argparse with our errors: raised, not printed over three lines."""

    def __init__(self, verb: str, about: str, **options: Any) -> None:
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(prog=f"lowland {verb}", description=about, allow_abbrev=False, **options)
        add_output(self)

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; `{self.prog} --help` lists what there is.")


def add_output(parser: Any) -> None:
    """``--json`` and ``--debug``."""
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")


def add_device(parser: Any) -> None:
    """``--device``, for verbs that use a trained model."""
    parser.add_argument("--device", default="cpu", metavar="DEVICE", help="cpu, cuda or cuda:N (default: cpu)")
