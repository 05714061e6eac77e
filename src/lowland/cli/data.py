"""``lowland data [NAME]``: list the data sets, fetch one, verify what lies on this machine."""

from __future__ import annotations

import json

from ..errors import DataError
from . import show
from .options import Parser


def run(arguments: list[str]) -> int:
    """The verb."""
    parser = Parser("data", "List the data sets; with a name, fetch what is missing and verify every file.")
    parser.add_argument("name", metavar="NAME", nargs="?", help="fetch and verify this one")
    parser.add_argument("--data", metavar="FOLDER", help="folder of data sets, <data set>/<file>, searched first")
    parser.add_argument("--verify", action="store_true", help="only verify: fetch nothing")
    options = parser.parse_args(arguments)
    from ..data import describe, listing
    from ..train.execution import data_folder

    with data_folder(options.data):
        if options.name is None:
            rows = [row.__dict__ for row in listing()]
            if options.json:
                print(json.dumps(rows, ensure_ascii=False))
                return 0
            heads = [("name", "samples", "size", "here", "what")]
            lines = [
                (r["name"], f"{r['samples']:,}", _size(r["bytes"]), "yes" if r["present"] else "no", _first(r["what"]))
                for r in rows
            ]
            print(show.table(heads + lines))
            return 0
        found = describe(options.name, fetch=not options.verify)
    bad = [file for file in found["files"] if file["state"] != "ok"]
    if options.json:
        print(json.dumps(found, ensure_ascii=False, default=str))
    else:
        print(
            f"{found['name']}: {found['what']}\nsource   {found['source']}\nlicence  {found['licence']}\ncite     {found['citation']}"
        )
        print("splits   " + ", ".join(f"{split} {count:,}" for split, count in found["splits"].items()))
        for name, shape in found["shapes"].items():
            print(f"{name:<8} {shape}")
        for file in found["files"]:
            print(f"{file['state']:<8} {file['path'] or file['name']}")
    if bad:
        raise DataError(
            f"{found['name']}: {len(bad)} of {len(found['files'])} files are not as they should be: {bad[0]['name']} is {bad[0]['state']}."
        )
    return 0


def _size(count: int) -> str:
    return "embedded" if not count else f"{count / 1e6:,.1f} MB"


def _first(text: str) -> str:
    sentence = text.split(". ")[0].rstrip(".")
    return sentence if len(sentence) < 70 else sentence[:69] + "…"
