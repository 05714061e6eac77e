"""Where an agent acts: gymnasium's environments by their names, one of our own, and recordings of what happens there.

Needs the extra `control` (``pip install "lowland[control]"``); importing this package does not.
"""

from .acting import Agent, Follow, RandomActions, record, replay, spaces_of
from .making import make

__all__ = ["Agent", "Follow", "RandomActions", "make", "record", "replay", "spaces_of"]
