"""Parameters in pieces: two processes learn what one does, and each takes over where the other was stopped."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh

import lowland.system
from lowland.errors import UsageError
from lowland.train import Trainer
from lowland.train.sharded import Sharded, shard

SCRIPT = Path(__file__).with_name("game.py")


@pytest.fixture(scope="module")
def game() -> ModuleType:
    """The game that both sides play."""
    spec = importlib.util.spec_from_file_location("tests_game", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def trainer(model: nn.Module, **options) -> Trainer:
    return Trainer(model, device="cpu", shown=False, checkpoint_seconds=0, **options)


def test_one_process_begins_two_go_on_in_pieces_and_one_ends(game, tmp_path):
    whole = game.model()
    game.play(whole, trainer(whole))
    begun = game.model()
    with pytest.raises(game.Broken):
        game.play(begun, trainer(begun, run=tmp_path), ("opening", 8))
    path = os.pathsep.join([str(Path(lowland.system.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    two = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert two.returncode == 0, two.stderr
    newest = max((tmp_path / "checkpoints").iterdir()).name
    assert newest == f"{10**10 + 50:014d}.safetensors"  # in the second stage
    ended = game.model()
    resumed = trainer(ended, run=tmp_path, resume=True)
    game.play(ended, resumed)
    assert resumed._finished.keys() == set(game.STAGES)
    for name, value in ended.state_dict().items():
        torch.testing.assert_close(value, whole.state_dict()[name], rtol=1e-4, atol=1e-5)


@pytest.fixture
def mesh() -> Iterator[torch.distributed.device_mesh.DeviceMesh]:
    """A group of one process."""
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    yield init_device_mesh("cpu", (1, 1), mesh_dim_names=("data_parallel", "tensor_parallel"))
    torch.distributed.destroy_process_group()


class Squares(nn.Module):
    """A loss that owns what it changes."""

    def __init__(self, net: nn.Module, spoil: bool = False) -> None:
        super().__init__()
        self.net, self.spoil = net, spoil

    def forward(self, batch: Tensor) -> Tensor:
        if self.spoil:
            with torch.no_grad():
                self.net.weight.mul_(0.5)
        return self.net(batch).square().mean()


def test_parameters_are_there_only_while_they_are_looked_at(mesh):
    net = nn.Linear(3, 2)
    net.weight = nn.Parameter(torch.randn(3, 2).T)  # columns first in memory
    parameters, before = list(net.parameters()), net.weight.detach().clone()
    sharded = Sharded(Squares(net))
    shard(sharded, mesh)
    pieces = sharded.begin()
    assert [parameter.numel() for parameter in net.parameters()] == [0, 0]
    optimizer = torch.optim.SGD(pieces, 0.1)
    sharded(torch.ones(4, 3)).backward()
    optimizer.step()
    with sharded.whole():
        assert net.weight.shape == (2, 3) and not torch.equal(net.weight, before)
        net.weight.data.fill_(2.0)
    assert net.weight.numel() == 0
    sharded.end()
    assert torch.equal(net.weight, torch.full((2, 3), 2.0))
    assert all(ours is theirs for ours, theirs in zip(net.parameters(), parameters, strict=True))


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [("in place", "changes weight in place"), ("two players", "weight is empty: another player")],
)
def test_what_pieces_cannot_do_is_refused(mesh, spoil, complaint):
    net = nn.Linear(3, 2)
    sharded = Sharded(Squares(net, spoil == "in place"))
    shard(sharded, mesh)
    sharded.begin()
    with pytest.raises(UsageError, match=complaint):
        Sharded(Squares(net)) if spoil == "two players" else sharded(torch.ones(4, 3))
