"""``lowland reproduce RESULT``: run a ledger entry again and compare; exit status 1 if a figure disagrees."""

from __future__ import annotations

import json
import sys

from . import show
from .options import Parser


def run(arguments: list[str]) -> int:
    """The verb."""
    parser = Parser(
        "reproduce", "Run a ledger entry again, with its configuration and seeds, and compare figure by figure."
    )
    parser.add_argument("result", metavar="RESULT", help="a file of results/, or a run")
    parser.add_argument("--seeds", type=int, help="repeat only this many of its runs")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: auto)")
    parser.add_argument("--data", metavar="FOLDER", help="folder of data sets, <data set>/<file>, searched first")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    options = parser.parse_args(arguments)
    from ..train import reproduce

    found = reproduce(
        options.result,
        device=options.device,
        data=options.data,
        seeds=options.seeds,
        shown=False if options.quiet else None,
    )
    disagree = [one for one in found if not one.agrees]
    if options.json:
        print(json.dumps([{**vars(one), "agrees": one.agrees} for one in found]))
        return 1 if disagree else 0
    rows = [("figure", "recorded", "again", "allowed apart", "")]
    for one in found:
        verdict = "identical" if one.identical else "agrees" if one.agrees else "DISAGREES"
        rows.append((one.name, show.number(one.recorded), show.number(one.again), show.number(one.allowed), verdict))
    print(show.table(rows))
    if disagree:
        print(
            f"lowland reproduce: {len(disagree)} of {len(found)} figures disagree with {options.result}.",
            file=sys.stderr,
        )
    return 1 if disagree else 0
