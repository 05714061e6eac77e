"""What a broken promise is called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, testing

from ..errors import LowlandError


class ContractError(LowlandError, AssertionError):
    """Something does not keep a contract; says who, which promise, and what came."""


def require(condition: bool, who: object, promise: str) -> None:
    """Nothing, if the condition holds."""
    if not condition:
        raise ContractError(f"{who}: {promise}.")


def close(got: Tensor, wanted: Tensor, who: object, promise: str, tolerance: float = 1e-4) -> None:
    """Nothing, if two tensors agree to a relative and absolute tolerance."""
    try:
        testing.assert_close(got, wanted, rtol=tolerance, atol=tolerance, check_dtype=False)
    except AssertionError as error:
        raise ContractError(f"{who}: {promise}. {error}") from None


def refuses(kind: type[Exception], call: Callable[..., Any], who: object, promise: str, *mentions: str) -> None:
    """Nothing, if the call raises this kind of error with a sentence that mentions these words."""
    try:
        call()
    except kind as error:
        missing = [word for word in mentions if word not in str(error)]
        require(not missing, who, f"{promise}, and the error mentions {', '.join(missing)} (it says: {error})")
        return
    raise ContractError(f"{who}: {promise}: wanted {kind.__name__}, but nothing was raised.")
