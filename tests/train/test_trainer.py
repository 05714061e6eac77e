"""The loop: it learns from every form of data, stops and continues to the last bit, and stops where numbers go wrong."""

import json
import os
import signal
import warnings
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

import lowland
from lowland.errors import CheckpointError, DivergenceError, UsageError
from lowland.train import Interrupted, Player, Trainer

X = torch.linspace(-1, 1, 40)[:, None]
Y = 3 * X + 0.5


class Crash(Exception):
    """What kills a training in the middle."""


class Line(nn.Module):
    """y = slope · x + offset, with dropout so that steps draw random numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Dropout(0.2), nn.Linear(8, 1))
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.seen += len(x)
        return self.layers(x)


def line() -> Line:
    torch.manual_seed(1)
    return Line()


def sgd(rate: float = 0.1) -> Callable:
    return lambda parameters: torch.optim.SGD(parameters, lr=rate, momentum=0.9)


def squared(model: nn.Module) -> Callable:
    return lambda batch: (model(batch[0]) - batch[1]).square().mean()


def trainer(model: nn.Module | None = None, **options) -> Trainer:
    return Trainer(model, device="cpu", shown=False, **options)


def weights(model: nn.Module) -> list[Tensor]:
    return [value.clone() for value in model.state_dict().values()]


def identical(a: list[Tensor], b: list[Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


# --- data ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["tensor", "tuple", "dict", "Dataset", "DataLoader"])
def test_fit_takes(form):
    model = nn.Linear(1, 1)
    data = {
        "tensor": torch.cat([X, Y], 1),
        "tuple": (X, Y),
        "dict": {"x": X, "y": Y},
        "Dataset": TensorDataset(X, Y),
        "DataLoader": DataLoader(TensorDataset(X, Y), batch_size=8, shuffle=True),
    }[form]

    def loss(batch):
        x, y = batch.split(1, 1) if form == "tensor" else (batch["x"], batch["y"]) if form == "dict" else batch
        return (model(x) - y).square().mean()

    figures = trainer(model).fit("line", Player("line", model, loss, sgd()), data, epochs=30, batch_size=8)
    assert figures["loss"] < 1e-4
    assert model.weight.item() == pytest.approx(3, abs=0.05)


def test_the_one_liner():
    energy = nn.Linear(1, 1)
    found = lowland.fit(
        energy,
        (X, Y),
        lambda e, batch: (e(batch[0]) - batch[1]).square().mean(),
        epochs=40,
        rate=0.1,
        device="cpu",
        shown=False,
    )
    assert found is energy and energy.weight.item() == pytest.approx(3, abs=0.1)


# --- repeating, stopping, continuing -----------------------------------------------------------------------------------------


class Chain:
    """A memory that the loss changes: a random walk."""

    def __init__(self) -> None:
        self.at = torch.zeros(3)

    def state_dict(self) -> dict[str, Tensor]:
        return {"at": self.at}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.at = state["at"]


class Pairs(Dataset):
    """Draws a random number each time it is read, as an augmentation would."""

    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return X[index] + 0.01 * torch.randn(1), Y[index]


def game(
    run: Path | None, data: Callable, crash_at: int | None = None, resume: bool = False, seed: int = 0
) -> tuple[list[Tensor], str]:
    """Two players, a stage before and one after; everything a checkpoint must hold is in use."""
    model = line()
    critic = nn.Linear(1, 1)  # not in the model
    nn.init.ones_(critic.weight)
    chain = Chain()
    calls = 0

    def first(batch):
        nonlocal calls
        calls += 1
        if crash_at is not None and calls == crash_at:
            raise Crash
        chain.at = chain.at + torch.randn(3)
        return squared(model)(batch) + 1e-3 * chain.at.mean() * model.layers[0].weight.mean()

    players = [
        Player(
            "line",
            model,
            first,
            lambda p: torch.optim.AdamW(p, lr=0.01),
            schedule=lambda optimizer, steps: torch.optim.lr_scheduler.OneCycleLR(
                optimizer, 0.02, total_steps=steps + 1
            ),
            clip=1.0,
            average=0.8,
            memory={"chain": chain},
        ),
        Player(
            "critic",
            critic,
            lambda batch: (critic(batch[0]) - model(batch[0]).detach()).square().mean(),
            sgd(0.01),
            every=2,
        ),
    ]
    # when checkpoints are made must not matter, so the whole run makes none between stages
    one = trainer(model, run=run, resume=resume, checkpoint_seconds=60.0 if crash_at is None else 0.0, seed=seed)
    shift = one.once("shift", lambda: {"by": torch.rand(1, generator=one.generator)})["by"]

    def jitter(batch, generator):
        return batch[0] + shift + 0.1 * torch.randn(batch[0].shape, generator=generator), batch[1]

    one.fit(
        "game",
        players,
        data(),
        epochs=3,
        batch_size=8,
        lengths=torch.arange(len(X)) % 5 if data is by_length else None,
        transform=jitter,
        validate=lambda: {"mark": model.layers[0].weight[0, 0].item()},
        keep="mark",
    )
    one.fit("again", Player("line", model, squared(model), sgd(0.001)), (X, Y), steps=3)
    log = (run / "metrics.jsonl").read_text() if run else ""
    return [*weights(model), *weights(critic), chain.at, torch.rand(1, generator=one.generator)], log


def stateful() -> DataLoader:
    from torchdata.stateful_dataloader import StatefulDataLoader

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="'set_vital' is deprecated")
        return StatefulDataLoader(Pairs(), batch_size=8, shuffle=True)


def by_length() -> tuple[Tensor, Tensor]:
    """Tensors, to be taken in batches of samples that are about equally long."""
    return X, Y


DATA = {
    "tensors": lambda: (X, Y),
    "tensors by length": by_length,
    "Dataset": Pairs,
    "DataLoader": lambda: DataLoader(Pairs(), batch_size=8, shuffle=True),
    "StatefulDataLoader": stateful,
}


@pytest.mark.parametrize("crash_at", [1, 8, 11, 15])  # before any step, in the middle of epochs, at the end
@pytest.mark.parametrize("form", DATA)
def test_a_killed_run_continues_to_the_last_bit(tmp_path, form, crash_at):
    whole, log = game(tmp_path / "whole", DATA[form])
    with pytest.raises(Crash):
        game(tmp_path / "cut", DATA[form], crash_at=crash_at)
    torch.rand(7)  # whatever the process does in between must not matter
    continued, continued_log = game(tmp_path / "cut", DATA[form], resume=True)
    assert identical(whole, continued)
    assert continued_log == log


def test_a_seed_repeats_to_the_last_bit_and_another_differs():
    first, again, other = (game(None, DATA["tensors"], seed=seed)[0] for seed in (0, 0, 1))
    assert identical(first, again)
    assert not torch.equal(first[1], other[1])


def test_the_callers_random_numbers_stay_where_they_were():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    game(None, DATA["tensors"])
    model = line()  # seeds the global stream
    torch.manual_seed(5)
    trainer(model).fit("line", Player("line", model, squared(model), sgd()), (X, Y), steps=3)
    assert torch.equal(torch.rand(3), expected)


def test_while_training_numbers_that_are_nearly_none_are_none_and_afterwards_as_before():
    seen = []

    line = nn.Linear(1, 1)

    def loss(batch):
        seen.append(float(torch.tensor([1e-30]) * 1e-10))
        return (line(batch[0]) - batch[1]).square().mean()

    player = Player("line", line, loss, lambda parameters: torch.optim.SGD(parameters, lr=0.1))
    Trainer(line, device="cpu", shown=False).fit("line", player, (X, Y), steps=1)
    assert seen == [0.0]
    assert float(torch.tensor([1e-30]) * 1e-10) > 0


def test_finished_stages_are_not_run_again(tmp_path):
    def run(resume: bool) -> tuple[list[str], dict, Tensor]:
        calls: list[str] = []
        model, teacher = line(), nn.Linear(1, 1)
        one = trainer(model, run=tmp_path, resume=resume)
        figures = one.once("closed form", lambda: calls.append("closed form") or {"mean": X.mean(), "names": ("a", 2)})
        player = Player("teacher", teacher, lambda b: calls.append("step") or squared(teacher)(b), sgd())
        one.fit("teacher", player, (X, Y), steps=4)
        return calls, figures, teacher.weight.detach().clone()

    calls, figures, teacher = run(resume=False)
    assert calls == ["closed form"] + 4 * ["step"]
    calls, again, teacher_again = run(resume=True)
    assert (
        calls == [] and again["names"] == figures["names"] == ("a", 2) and torch.equal(again["mean"], figures["mean"])
    )
    assert torch.equal(teacher, teacher_again)  # though it is not in the model


def test_ctrl_c_stops_after_the_step_and_the_run_continues(tmp_path):
    def run(resume: bool, interrupt_at: int | None) -> list[Tensor]:
        model = line()
        steps = 0

        def loss(batch):
            nonlocal steps
            steps += 1
            if steps == interrupt_at:
                os.kill(os.getpid(), signal.SIGINT)
            return squared(model)(batch)

        trainer(model, run=tmp_path if interrupt_at or resume else None, resume=resume).fit(
            "line", Player("line", model, loss, sgd()), (X, Y), epochs=4, batch_size=8
        )
        return weights(model)

    whole = run(False, None)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted, match=r"stage 'line' after step 7\. Continue with: lowland train --resume"):
        run(False, 7)
    assert signal.getsignal(signal.SIGINT) is before
    assert identical(run(True, None), whole)


def test_only_the_latest_checkpoints_stay(tmp_path):
    model = line()
    trainer(model, run=tmp_path, checkpoint_seconds=0).fit(
        "line", Player("line", model, squared(model), sgd()), (X, Y), steps=9
    )
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("nothing there", "no checkpoint to resume from"),
        ("damaged", r"damaged.*Remove it to continue from 0+\d*\.safetensors"),
        ("other identity", r"made with width=8, resumed with 9"),
        ("other weights", "belongs to another model"),
        ("other players", "had players line and 9 steps, now other and 9"),
        ("other stage", "stopped in stage 'line', but the code now comes to 'new' first"),
    ],
)
def test_a_run_that_does_not_fit_is_refused(tmp_path, change, complaint):
    model = line()

    def loss(batch, calls=[]):  # noqa: B006 - counts calls
        calls.append(1)
        if len(calls) == 5:
            raise Crash
        return squared(model)(batch)

    if change != "nothing there":
        one = trainer(model, run=tmp_path, checkpoint_seconds=0, identity={"width": 8})
        with pytest.raises(Crash):
            one.fit("line", Player("line", model, loss, sgd()), (X, Y), steps=9)
    if change == "damaged":
        newest = max((tmp_path / "checkpoints").iterdir())
        newest.write_bytes(newest.read_bytes()[:-50])
    fresh = nn.Linear(1, 1) if change == "other weights" else line()
    with pytest.raises(CheckpointError, match=complaint):
        one = trainer(fresh, run=tmp_path, resume=True, identity={"width": 9 if change == "other identity" else 8})
        player = Player("other" if change == "other players" else "line", fresh, squared(fresh), sgd())
        one.fit("new" if change == "other stage" else "line", player, (X, Y), steps=9)


# --- numbers that go wrong --------------------------------------------------------------------------------------------------------


class Parts:
    """A loss with a named part."""

    def __init__(self, fit: Tensor, size: Tensor) -> None:
        self.value, self.parts = fit + size, {"fit": fit, "size": size}


@pytest.mark.parametrize("form", ["tensors", "Dataset"])
def test_a_nan_in_the_data_is_found_by_sample(tmp_path, form):
    x = X.clone()
    x[17] = torch.nan
    model = line()
    data = (x, Y) if form == "tensors" else TensorDataset(x, Y)
    one = trainer(model, run=tmp_path, checkpoint_seconds=0)
    found = r"Stage 'line', step \d: loss became nan on the batch of samples .*\b17\b.*variable 0 is not finite in sample 17"
    with pytest.raises(DivergenceError, match=found + ".*Continue with"):
        one.fit("line", Player("line", model, squared(model), sgd()), data, epochs=1, batch_size=8)


def test_a_log_of_many_steps_keeps_neither_batches_nor_graphs():
    """Looking at losses only now and then must not hold on to what they were computed from."""
    model = line()
    kept = []

    def loss(batch):
        kept.append(weakref.ref(batch[0]))
        found = Parts(squared(model)(batch), torch.zeros(()))
        found.parts["only watched"] = (batch[0] * model.layers[3].bias).square().mean()  # never back-propagated
        return found

    alive = []
    trainer(model).fit(
        "line",
        Player("line", model, loss, sgd(1e-3)),
        (X, Y),
        steps=30,
        batch_size=8,
        transform=lambda batch, generator: alive.append(sum(one() is not None for one in kept)) or batch,
    )
    assert max(alive) <= 2


def test_the_term_that_diverges_is_named_with_its_step():
    model = line()
    steps = 0

    def loss(batch):
        nonlocal steps
        steps += 1
        size = sum(p.square().sum() for p in model.parameters())
        return Parts(squared(model)(batch), size / (0 if steps == 7 else 1))

    with pytest.raises(
        DivergenceError, match=r"step 7: size became inf on the batch of samples \d+.*its data are finite"
    ):
        trainer(model).fit("line", Player("line", model, loss, sgd(1e-3)), (X, Y), epochs=20, batch_size=8)


def test_a_diverged_run_continues_from_the_last_good_checkpoint(tmp_path):
    def run(resume: bool, poison: bool) -> list[Tensor]:
        model = line()
        steps = 0

        def loss(batch):
            nonlocal steps
            steps += 1
            return squared(model)(batch) * (torch.nan if poison and steps == 6 else 1.0)

        one = trainer(model, run=tmp_path if poison or resume else None, resume=resume, checkpoint_seconds=0)
        one.fit("line", Player("line", model, loss, sgd()), (X, Y), epochs=3, batch_size=8)
        return weights(model)

    with pytest.raises(DivergenceError, match="step 6"):
        run(False, True)
    assert identical(run(True, False), run(False, False))


def test_a_weight_that_is_not_finite_is_never_saved(tmp_path):
    model = line()

    def loss(batch):
        value = squared(model)(batch)
        model.layers[0].bias.register_hook(lambda gradient: gradient * torch.inf)
        return value

    one = trainer(model, run=tmp_path, checkpoint_seconds=0)
    with pytest.raises(DivergenceError, match=r"step 1: weight layers\.0\.bias of player 'line' is not finite"):
        one.fit("line", Player("line", model, loss, sgd()), (X, Y), steps=3)
    assert not list(tmp_path.glob("checkpoints/*"))


# --- players ------------------------------------------------------------------------------------------------------------------------


def test_the_average_is_what_the_formula_says_and_what_stays():
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    seen, during = [], []

    def loss(batch):
        seen.append(model.weight.item())
        return -model.weight.sum()  # the weight grows by the rate at each step

    one = trainer(model)
    player = Player("line", model, loss, lambda p: torch.optim.SGD(p, lr=1.0), average=0.5)
    one.fit(
        "line", player, X, steps=4, batch_size=40, validate=lambda: during.append(model.weight.item()) or {"w": 0.0}
    )
    assert seen == [0.0, 1.0, 2.0, 3.0]
    average = 1.0  # after the first step; then most of the way, and in the end halfway, to the weight of each step
    for step, weight in enumerate((2.0, 3.0, 4.0), start=1):
        decay = min(0.5, (1 + step) / (4 + step))
        average = decay * average + (1 - decay) * weight
    assert model.weight.item() == pytest.approx(average) == during[-1]


def test_the_average_can_be_asked_for_while_training():
    model = nn.Linear(1, 1)
    one = trainer(model)
    targets = []

    def loss(batch):
        targets.append(one.average(model)(batch[0]).detach())
        return (model(batch[0]) - targets[-1] - 1).square().mean()

    one.fit("line", Player("line", model, loss, sgd(0.01), average=0.9), (X, Y), steps=3, batch_size=None)
    assert not torch.equal(targets[0], targets[2])
    with pytest.raises(UsageError, match="no player of this stage averages this Linear"):
        one.average(nn.Linear(1, 1))


def test_every_and_clip():
    slow, steep = nn.Linear(1, 1), nn.Linear(1, 1)
    moves = []
    before = weights(steep)
    players = [
        Player("slow", slow, lambda b: moves.append("slow") or squared(slow)(b), sgd(), every=3),
        Player(
            "steep",
            steep,
            lambda b: moves.append("steep") or 1e6 * squared(steep)(b),
            lambda p: torch.optim.SGD(p, lr=1.0),
            clip=0.5,
        ),
    ]
    trainer().fit("game", players, (X, Y), steps=4)
    assert moves == ["slow", "steep", "steep", "steep", "slow", "steep"]
    moved = sum((a - b).square().sum() for a, b in zip(weights(steep), before, strict=True)).sqrt()
    assert 0 < moved <= 4 * 0.5 + 1e-5


def test_the_best_weights_are_kept():
    model = nn.Linear(1, 1)
    marks = iter([3.0, 1.0, 2.0])
    history = []

    def validate():
        history.append(weights(model))
        return {"error": next(marks)}

    player = Player("line", model, squared(model), sgd())
    figures = trainer(model).fit("line", player, (X, Y), epochs=3, validate=validate, keep="error")
    assert figures["error"] == 1.0 and identical(weights(model), history[1])


def test_modes_and_gradients_of_validation():
    model = line()
    modes = []

    def validate():
        modes.append((model.training, torch.is_grad_enabled()))
        return {"error": 0.0}

    loss = lambda batch: modes.append((model.training, torch.is_grad_enabled())) or squared(model)(batch)  # noqa: E731
    trainer(model).fit("line", Player("line", model, loss, sgd()), (X, Y), epochs=2, batch_size=40, validate=validate)
    assert modes == [(True, True), (False, False), (True, True), (False, False)] and not model.training


@pytest.mark.parametrize(
    ("kind", "options", "fused"),
    [
        (torch.optim.Adam, {}, True),
        (torch.optim.SGD, {"momentum": 0.9}, True),
        (torch.optim.Adagrad, {}, True),
        (torch.optim.Adam, {"foreach": True}, None),
        (torch.optim.Adam, {"fused": False}, False),
        (torch.optim.Rprop, {}, None),
    ],
)
def test_a_step_is_one_kernel_where_there_is_one_and_nobody_chose(kind, options, fused):
    model, bare, made = nn.Linear(1, 1), nn.Linear(1, 1), []
    bare.load_state_dict(model.state_dict())

    def optimizer(parameters):
        made.append(kind(parameters, lr=0.05, **options))
        return made[-1]

    trainer().fit("line", Player("line", model, squared(model), optimizer), (X, Y), steps=20, batch_size=None)
    assert made[0].param_groups[0].get("fused") is fused
    own = kind(bare.parameters(), lr=0.05, **options)
    for _ in range(20):
        own.zero_grad()
        squared(bare)((X, Y)).backward()
        own.step()
    for ours, theirs in zip(model.parameters(), bare.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_the_schedule_counts_the_players_own_steps():
    model = nn.Linear(1, 1)
    told = []

    def schedule(optimizer, steps):
        told.append(steps)
        return torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.5, total_iters=steps)

    trainer(model).fit("line", Player("line", model, squared(model), sgd(), schedule, every=2), (X, Y), steps=5)
    assert told == [3]


def test_a_limit_on_steps_and_the_log(tmp_path):
    model = line()
    one = trainer(model, run=tmp_path, max_steps=60)
    one.fit(
        "line",
        Player("line", model, lambda b: Parts(squared(model)(b), model.seen * 0), sgd(0.01)),
        (X, Y),
        epochs=100,
        batch_size=8,
    )
    one.log(inertia=3.0)
    lines = [json.loads(text) for text in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines[0].keys() == {"stage", "step", "epoch", "loss", "fit", "size", "rate"} and lines[0]["step"] == 50
    assert lines[-1] == {"stage": "line", "inertia": 3.0}
    assert model.seen == 60 * 8


# --- wrong use ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({}, "wanted either epochs or steps"),
        ({"epochs": 1, "steps": 1}, "wanted either epochs or steps"),
        ({"steps": -1}, "≥ 0"),
        ({"steps": 1, "lengths": torch.ones(3)}, "one length for each"),
        ({"steps": 1, "keep": "error"}, "needs a `validate`"),
        (
            {"steps": 1, "validate": lambda: {"other": 1.0}, "keep": "error"},
            "keep='error' is not among what validate gave: other",
        ),
    ],
)
def test_fit_refuses(options, complaint):
    model = line()
    with pytest.raises(UsageError, match=complaint):
        trainer(model).fit("line", Player("line", model, squared(model), sgd()), (X, Y), **options)


def test_a_player_needs_something_to_change_and_a_stage_a_name_of_its_own():
    model = line()
    player = Player("line", model, squared(model), sgd())
    one = trainer(model)
    one.fit("line", player, (X, Y), steps=1)
    with pytest.raises(UsageError, match="Two stages of this run are called 'line'"):
        one.fit("line", player, (X, Y), steps=1)
    with pytest.raises(UsageError, match="Player 'none' has no parameter"):
        one.fit("none", Player("none", nn.Tanh(), squared(model), sgd()), (X, Y), steps=1)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"device": "gpu7"}, "wanted auto, cpu, cuda"),
        ({"devices": 0}, "at least 1"),
        ({"precision": "17"}, "precision '17'"),
        ({"strategy": "dp"}, "wanted auto, fsdp or a DDP strategy"),
        ({"strategy": "fsdp", "devices": 2, "precision": "16-mixed"}, "32-true or bf16-mixed, got 16-mixed"),
    ],
)
def test_devices_there_are_not(options, complaint):
    with pytest.raises(UsageError, match=complaint):
        Trainer(**{"device": "cpu", **options})


def test_half_precision_still_learns():
    model = nn.Linear(1, 1)
    player = Player("line", model, squared(model), sgd(), clip=10.0)
    trainer(model, precision="bf16-mixed").fit("line", player, (X, Y), epochs=30, batch_size=8)
    assert model.weight.dtype == torch.float32 and model.weight.item() == pytest.approx(3, abs=0.1)
