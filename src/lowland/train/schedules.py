"""How the step of an optimiser changes in a stage: what a `Player` takes as its ``schedule``.

    Player(…, schedule=linear_decay)          Player(…, schedule=partial(cosine_decay, warm_up=0.1))

Source: Loshchilov & Hutter, ICLR 2017, section 3, for the cosine; Goyal et al. (2017), section 2.2, for the warm-up.
"""

from __future__ import annotations

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def linear_decay(optimizer: Optimizer, steps: int, part: float = 1.0) -> LambdaLR:
    """Down to 0 in a straight line, over the last part of the stage.

    Args:
        optimizer: Its step is what changes.
        steps: Of the stage.
        part: How much of it the line takes, in (0, 1]; before, the step stays as it is.
    """
    return LambdaLR(optimizer, lambda step: min(max(1 - step / steps, 0.0) / part, 1.0))


def cosine_decay(optimizer: Optimizer, steps: int, warm_up: float = 0.0) -> LambdaLR:
    """Up in a straight line, then down to 0 along a cosine.

    Args:
        optimizer: Its step is what changes.
        steps: Of the stage.
        warm_up: The part of it, in [0, 1), in which the step grows.
    """
    rising = max(1, round(warm_up * steps))

    def rate(step: int) -> float:
        left = (step - rising) / max(1, steps - rising)
        return (step + 1) / (rising + 1) if step < rising else 0.5 * (1 + math.cos(math.pi * min(left, 1.0)))

    return LambdaLR(optimizer, rate)
