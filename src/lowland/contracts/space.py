"""What every space promises."""

from __future__ import annotations

import torch

from ..errors import SpaceError, StructureError
from ..spaces import Space
from .failure import close, refuses, require


def check_space(space: Space) -> None:
    """Hold a space to its contract.

    Its own starting points lie in it, projecting twice is projecting once, projections lie in it, a convex projection
    brings no two points further apart, what can be enumerated is complete and distinct, and wrong values are refused
    with the name of the variable.

    Raises:
        ContractError: For the first promise that is broken.
    """
    refuses(SpaceError, lambda: space.check(3, "speed"), space, "refuses what is not a value, by name", "speed")
    if space.kind == "opaque":
        return
    generator = torch.Generator().manual_seed(0)
    start = space.initial((4, 2))
    require(start.shape == (4, 2, *space.shape), space, f"initial has shape batch + event, got {tuple(start.shape)}")
    random = space.initial((64,), generator=generator)
    again = space.initial((64,), generator=torch.Generator().manual_seed(0))
    require(bool((random == again).all()), space, "initial repeats with the same generator")
    for value in (start, random):
        space.check(value)
    require(space.batch_shape(start) == (4, 2), space, "batch_shape is what stands before the event")
    if space.shape:
        wrong = torch.zeros(2, *space.shape, 7, dtype=random.dtype)
        refuses(SpaceError, lambda: space.check(wrong, "speed"), space, "refuses a wrong shape, by name", "speed")
    other = random.long() if random.is_floating_point() else random.double()
    refuses(SpaceError, lambda: space.check(other, "speed"), space, "refuses a wrong dtype, by name", "speed")
    if space.kind == "float":
        far = 3 * torch.randn(64, *space.shape, generator=generator, dtype=torch.float64)
        bad = far.clone()
        bad.view(-1)[0] = torch.nan
        refuses(SpaceError, lambda: space.check(bad, "speed"), space, "refuses what is not a number", "speed")
        once = space.project(far)
        space.check(once)
        close(space.project(once), once, space, "projecting twice is projecting once", 1e-12)
        if space.convex:
            apart, near = space.norm(far[:32] - far[32:]), space.norm(once[:32] - once[32:])
            require(bool((near <= apart + 1e-9).all()), space, "a projection brings no two points further apart")
        close(space.norm(far), far.reshape(64, -1).norm(dim=1), space, "norm is the Euclidean length of an event", 1e-9)
    if space.size is None:
        refuses(StructureError, space.enumerate, space, "refuses to enumerate what is not finite")
    else:
        every = space.enumerate()
        require(every.shape == (space.size, *space.shape), space, f"enumerate lists all {space.size} values")
        space.check(every)
        require(
            len(every.reshape(len(every), -1).unique(dim=0)) == space.size, space, "enumerate lists each value once"
        )
