"""Training, runs, and what is left of them: players, checkpoints, the run folder, the ledger.

What needs Fabric (a second to import) comes when it is first asked for.
"""

from typing import TYPE_CHECKING, Any

from .model import Model, load

if TYPE_CHECKING:
    from .execution import execute, resume
    from .ledger import Comparison, record, reproduce
    from .loop import Interrupted
    from .one_line import fit
    from .player import Player
    from .run import Run, Settings
    from .schedules import cosine_decay, linear_decay
    from .trainer import Trainer

__all__ = [
    "fit",
    "Trainer",
    "Player",
    "Interrupted",
    "execute",
    "resume",
    "Run",
    "Settings",
    "load",
    "Model",
    "record",
    "reproduce",
    "Comparison",
    "cosine_decay",
    "linear_decay",
]

_HOMES = {
    "fit": "one_line",
    "Trainer": "trainer",
    "Player": "player",
    "Interrupted": "loop",
    "execute": "execution",
    "resume": "execution",
    "Run": "run",
    "Settings": "run",
    "record": "ledger",
    "reproduce": "ledger",
    "Comparison": "ledger",
    "cosine_decay": "schedules",
    "linear_decay": "schedules",
}


def __getattr__(name: str) -> Any:
    """The names above, from the files they live in."""
    if name not in _HOMES:
        raise AttributeError(f"module 'lowland.train' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
