"""The command line: one verb a file, loaded when it is asked for.

Exit status: 0 it worked, 1 the job failed or was stopped, 2 it was asked for wrongly. An error is one line on stderr;
``--debug`` shows the traceback.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

#: What `lowland --help` says, without loading anything.
VERBS = {
    "systems": "what there is: name, paper, reference figure, ours",
    "data": "list the data sets, fetch or verify one",
    "train": "train a system, judge it, write a report",
    "eval": "the figures of a run again, from the stored model",
    "infer": "fill in what is unknown: a label, a missing part",
    "score": "the energy of each input: how surprising it is",
    "embed": "a vector for each input",
    "plan": "act in an environment by planning, or with the policy",
    "reproduce": "run a ledger entry again and compare",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; what the shell gets back."""
    from ..errors import LowlandError, UsageError

    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help", "help"):
        print(_help())
        return 0 if words else 2
    if words[0] == "--version":
        from importlib.metadata import version

        print(version("lowland"))
        return 0
    verb, *rest = words
    try:
        if verb not in VERBS:
            raise UsageError(f"there is no verb {verb!r}; there are {', '.join(VERBS)}.")
        return importlib.import_module(f"lowland.cli.{verb}").run(rest)
    except LowlandError as error:
        if "--debug" in rest:
            raise
        return _complain(verb, str(error), error.exit_status)
    except KeyboardInterrupt as stop:
        return _complain(verb, str(stop) or "stopped.", 1)
    except BrokenPipeError:  # the reader of our output has gone, `lowland systems | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if "--debug" in rest:
            raise
        text = " ".join(str(error).split()) or "no message"
        return _complain(verb, f"{type(error).__name__}: {text} (an error of ours; --debug shows where)", 1)


def _complain(verb: str, sentence: str, status: int) -> int:
    if int(os.environ.get("LOCAL_RANK", "0")) == 0:
        print(f"lowland {verb}: {' '.join(sentence.split())}", file=sys.stderr)
    return status


def _help() -> str:
    width = max(map(len, VERBS))
    lines = [f"  {verb:<{width}}  {about}" for verb, about in VERBS.items()]
    return "\n".join(
        [
            "usage: lowland VERB [...]",
            "",
            "Learn energies from raw data and ask them anything.",
            "",
            *lines,
            "",
            "`lowland VERB --help` says more; `lowland train SYSTEM --help` lists everything that can be set.",
        ]
    )
