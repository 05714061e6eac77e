"""Online dictionary learning: codes and decoder by turns, with a memory of the codes seen.

    z_n ← argmin_z E(y_n, z)                            for a batch
    A   ← ρ A + Σ_n z_n z_nᵀ,   C ← ρ C + Σ_n y_n z_nᵀ
    W_k ← W_k + (C_k − W A_k) / A_kk,  then ‖W_k‖ = 1     for each atom in turn

Each half lowers the energy of what is remembered: A and C hold all there is to know of past codes to move W. Pushes down
the data; the L1 term and the length of the atoms bound what else becomes low (strategy A2).

Source: Mairal, Bach, Ponce & Sapiro, Online Learning for Matrix Factorization and Sparse Coding, JMLR 11 (2010),
algorithms 1 and 2, with the forgetting of section 3.4.2.
Differences from the paper: 1. atoms have length 1, not at most 1. 2. An atom that no code has used becomes a sample.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor

from ..energy import Energy, LinearReconstruction
from ..errors import StructureError


@torch.no_grad()
def learn_dictionary(
    energy: Energy, batches: Iterable[Float[Tensor, "N D"]], *, forget: float = 2.0, **options: object
) -> list[float]:
    """Fit the decoder of a sparse code, in place, from where it is.

    Args:
        energy: E(y, z), a sum with one `LinearReconstruction`.
        batches: Samples of ``y``, batch after batch.
        forget: How fast what is remembered fades: at batch t its weight is (1 − 1/t) to this power; 0 keeps everything.
        **options: For `Energy.minimize`, which finds the codes: ``solver``, ``steps``, ``tol``.

    Returns:
        The mean energy of each batch, before its step on W.

    Raises:
        StructureError: If there is not exactly one linear decoder.
    """
    decoder = _decoder(energy)
    least = energy.minimize("z", **options)  # type: ignore[arg-type]
    memory, cross = (decoder.W.new_zeros(length, decoder.W.shape[1]) for length in decoder.W.shape[::-1])
    history = []
    for turn, y in enumerate(batches, 1):
        z = least.answer(y=y)
        history.append(energy(y=y, z=z).mean().item())
        fade = (1 - 1 / turn) ** forget if turn > 1 else 0.0
        memory.mul_(fade).add_(z.T @ z)
        cross.mul_(fade).add_(y.T @ z)
        _descend(decoder.W, memory, cross, y)
    return history


def _descend(atoms: Tensor, memory: Tensor, cross: Tensor, y: Tensor) -> None:
    """One turn of every atom."""
    length = atoms.norm(dim=0).clamp_min(torch.finfo(atoms.dtype).tiny)
    unused = memory.diagonal() <= 1e-8 * memory.diagonal().max()
    for k, never in enumerate(unused.tolist()):
        if never:
            atoms[:, k] = y[k % len(y)]
        else:
            atoms[:, k] += (cross[:, k] - atoms @ memory[:, k]) / memory[k, k]
        new = torch.linalg.vector_norm(atoms[:, k])
        atoms[:, k] /= torch.where(new > 0, new, length[k])


def _decoder(energy: Energy) -> LinearReconstruction:
    found = [module for module in energy.modules() if isinstance(module, LinearReconstruction)]
    if len(found) != 1:
        raise StructureError(f"learn_dictionary: wanted one LinearReconstruction in the energy, found {len(found)}.")
    return found[0]
