"""Two players with all that a checkpoint has to carry, for one process or, run as a script, two that keep pieces.

    python game.py FOLDER

continues the run of the folder, which one process began, and breaks off in its second stage.
"""

import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from lowland.train import Player, Trainer

STAGES = ("opening", "ending")


class Broken(Exception):
    """Stands for whatever ends a process."""


class Painter(nn.Module):
    """Sizes that two processes can't halve, and a number alone."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 3))
        self.scale = nn.Parameter(torch.tensor(0.5))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * self.layers(x)


def model() -> nn.ModuleDict:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.ModuleDict({"painter": Painter(), "critic": nn.Linear(3, 1)})


def play(model: nn.ModuleDict, trainer: Trainer, broken: tuple[str, int] | None = None) -> None:
    """Both stages; in the stage and at the step of ``broken`` it breaks off."""
    painter, critic = model["painter"], model["critic"]
    x = torch.randn(40, 3, generator=torch.Generator().manual_seed(1))
    for stage in STAGES:
        moves = []

        def paint(batch: Tensor, stage: str = stage, moves: list = moves) -> Tensor:
            moves.append(1)
            if broken == (stage, len(moves)):
                raise Broken
            return critic(painter(batch)).mean() + painter(batch).square().mean()

        def judge(batch: Tensor) -> Tensor:
            return nn.functional.softplus(critic(batch) - critic(painter(batch))).mean()

        players = [
            Player("painter", painter, paint, lambda p: torch.optim.AdamW(p, 0.02), clip=0.5, average=0.9),
            Player(
                "critic",
                critic,
                judge,
                lambda p: torch.optim.SGD(p, 0.1, momentum=0.9),
                schedule=lambda optimizer, steps: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps),
                every=2,
            ),
        ]
        trainer.fit(
            stage,
            players,
            x,
            steps=56,  # two processes save at the fiftieth
            batch_size=7,
            validate=lambda: {"size": painter(x).norm().item()},
            keep="size" if stage == "ending" else None,
        )


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    players = model()
    trainer = Trainer(
        players, device="cpu", devices=2, strategy="fsdp", run=folder, resume=True, checkpoint_seconds=0, shown=False
    )
    try:
        play(players, trainer, ("ending", 54))
    except Broken:
        trainer.close()
