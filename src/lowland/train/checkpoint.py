"""Checkpoints: one safetensors file each, tensors as they are and everything else as JSON; nothing is ever unpickled.

A state is any nesting of dicts, lists and tuples of tensors, arrays, numbers, texts, booleans and ``None``. Reading one
gives back what was written, to the last bit.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ..errors import CheckpointError
from .files import reason, replace

SUFFIX = ".safetensors"


def write(path: Path, state: Any) -> None:
    """Write a state, all of it or nothing.

    Raises:
        CheckpointError: If the state holds something that is neither tensor nor plain value, or the disk refuses.
    """
    tensors: dict[str, Tensor] = {}
    tree = _encode(state, "", tensors)
    labels = {"lowland": json.dumps(tree), "crc32": str(_checksum(tensors))}
    replace(path, lambda temporary: save_file(tensors, temporary, metadata=labels))


def read(path: Path, device: torch.device | str = "cpu") -> Any:
    """The state that `write` wrote.

    Raises:
        CheckpointError: If the file is missing, short, damaged, or not one of ours.
    """
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            labels = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except FileNotFoundError:
        raise CheckpointError(f"{path}: there is no such file.") from None
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: damaged or not a checkpoint ({reason(error)}).") from error
    if "lowland" not in labels:
        raise CheckpointError(f"{path}: a safetensors file, but not one that lowland wrote.")
    if labels.get("crc32") != str(_checksum(tensors)):
        raise CheckpointError(f"{path}: damaged, its contents don't match its checksum.")
    return _decode(json.loads(labels["lowland"]), {name: tensor.to(device) for name, tensor in tensors.items()})


def newest(folder: Path) -> Path | None:
    """The checkpoint of a folder that is furthest, by its name."""
    return max(folder.glob(f"[!.]*{SUFFIX}"), default=None)


def load_into(module: nn.Module, state: Mapping[str, Any], who: str) -> None:
    """Put a state into a module, every name and shape of it.

    Args:
        module: Changed in place.
        state: As `torch.nn.Module.state_dict` gave it.
        who: Names the file in an error.

    Raises:
        CheckpointError: If names or shapes differ, with the first that do.
    """
    own = module.state_dict()
    wrong = []
    if missing := sorted(own.keys() - state.keys()):
        wrong.append(f"it lacks {_few(missing)}")
    if unknown := sorted(state.keys() - own.keys()):
        wrong.append(f"it has {_few(unknown)}, which this model has not")
    for name in sorted(own.keys() & state.keys()):
        ours, theirs = getattr(own[name], "shape", None), getattr(state[name], "shape", None)
        if ours != theirs and not name.endswith("_extra_state"):  # which a module sizes as it needs
            wrong.append(f"{name} is {_shape(theirs)} there and {_shape(ours)} here")
            break
    if wrong:
        raise CheckpointError(
            f"{who}: belongs to another model or another version of it: {'; '.join(wrong)}. Train again, or use the version that wrote it."
        )
    module.load_state_dict(state)


def _shape(shape: Any) -> str:
    return "no tensor" if shape is None else str(tuple(shape))


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _checksum(tensors: Mapping[str, Tensor]) -> int:
    total = 0
    for name in sorted(tensors):
        flat = tensors[name].reshape(-1).view(torch.uint8)
        total = zlib.crc32(memoryview(flat.numpy()), total)  # type: ignore[arg-type]
    return total


def _encode(value: Any, where: str, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, bool | int | float | str | None):
        return value
    if isinstance(value, Tensor):
        tensors[where or "value"] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
        return {"$tensor": where or "value"}
    if isinstance(value, np.ndarray):
        tensors[where or "value"] = torch.from_numpy(np.ascontiguousarray(value).copy())
        return {"$array": where or "value"}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        if all(isinstance(name, str) and not name.startswith("$") for name in value):
            return {name: _encode(part, _inside(where, name), tensors) for name, part in value.items()}
        return {
            "$pairs": [[_encode(n, where, tensors), _encode(p, _inside(where, n), tensors)] for n, p in value.items()]
        }
    if isinstance(value, list | tuple):
        parts = [_encode(part, _inside(where, index), tensors) for index, part in enumerate(value)]
        return parts if isinstance(value, list) else {"$tuple": parts}
    raise CheckpointError(
        f"A checkpoint can't hold the {type(value).__name__} at {where or 'its top'!r}: wanted tensors, arrays, numbers, texts "
        "and dicts, lists or tuples of them; give an object's `state_dict()` instead."
    )


def _inside(where: str, name: object) -> str:
    return f"{where}/{name}" if where else str(name)


def _decode(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_decode(part, tensors) for part in value]
    if not isinstance(value, dict):
        return value
    if "$tensor" in value:
        return tensors[value["$tensor"]]
    if "$array" in value:
        return tensors[value["$array"]].numpy()
    if "$tuple" in value:
        return tuple(_decode(part, tensors) for part in value["$tuple"])
    if "$pairs" in value:
        return {_decode(name, tensors): _decode(part, tensors) for name, part in value["$pairs"]}
    return {name: _decode(part, tensors) for name, part in value.items()}
