"""Where a mistake becomes a sentence.

Every error that a person can act on is a `LowlandError`: one sentence that says who complains, about which argument,
what was wanted, what came and, where there is one, what to do. The command line prints the sentence alone and exits
with the class's `exit_status`; a traceback is shown only with ``--debug``.
"""


class LowlandError(Exception):
    """Anything that went wrong and that a person can act on."""

    exit_status = 1


class SpaceError(LowlandError, ValueError):
    """A value does not belong to its space: wrong shape, dtype, range, or not a number."""


class VariableError(LowlandError, TypeError):
    """An energy was given a name it does not have, or was not given one it needs."""


class StructureError(LowlandError, TypeError):
    """A solver needs structure (a finite table, a proximal step, a Gram matrix) that the energy lacks."""


class DivergenceError(LowlandError, ArithmeticError):
    """An energy, gradient or loss stopped being finite; says the step, the term and the batch."""


class DataError(LowlandError):
    """A data file is missing, short, foreign, corrupt or unreadable; says which file."""


class CheckpointError(LowlandError):
    """A run folder or checkpoint is missing, corrupt or belongs to another system or configuration."""


class UsageError(LowlandError):
    """A command, option or configuration field was used wrongly."""

    exit_status = 2
