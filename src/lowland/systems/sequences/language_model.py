"""Language models: what comes next, with all that came before in a state, or before the eyes.

    E(y) = Σ_t −log p(y_t | y_1 … y_{t−1})          y: words of the Wall Street Journal, or characters of Shakespeare

A recurrent net (preset cpu) reads the whole text as a few endless streams: its state is handed on from piece to piece and the slope is
cut there. A Transformer (preset shakespeare) reads pieces that begin anywhere, each as if nothing had been before it. In the same run,
on the same symbols: Kneser–Ney counts, their mixture with the net, and dynamic evaluation, where the net goes on learning what it reads.

Training: maximum likelihood, piece by piece (strategy C1). Adam with a rate that falls to zero in a straight line, the gradient clipped,
    dropout on links that don't go through time, symbols predicted by the vectors they are read by. The weights of the pass with the
    lowest validation perplexity are kept.
No collapse: at every place the probabilities of all symbols add up to 1: what is made likelier takes from the rest.
Sources: Mikolov et al., Interspeech 2010; Zaremba, Sutskever & Vinyals (2014), Table 1: 114.5 for the LSTM without dropout; Press & Wolf,
    EACL 2017 (tied symbols); Krause, Kahembwe, Murray & Renals, ICML 2018 (dynamic evaluation); Vaswani et al., NIPS 2017; Chen &
    Goodman, Computer Speech and Language 13 (1999).
Differences: 1. One layer, tied symbols, Adam: what a core learns in minutes. 2. The rate falls on a plan and not when validation stalls:
    with so few passes it never stalls. 3. Dynamic evaluation is plain gradient descent, its rate chosen on the beginning of the validation
    text. 4. Tiny Shakespeare: the usual nine tenths to learn from, of which the last twentieth is held out for validation; the last
    tenth, called validation elsewhere, is looked at once. Every character but the first hundred has at least half a piece before it.
Expect: Penn Treebank: test perplexity 107.6 (validation 114.5), where Kneser–Ney counts have 141.1, both together 96.5, and dynamic
    evaluation 105.8. Tiny Shakespeare: 1.75 nats a character (perplexity 5.73), counts 5.57, both 5.17, dynamic evaluation 4.59. Seed 0,
    30 and 15 minutes of a core that was shared by three and more.
Known failure: what it writes is right word by word, and wanders from subject to subject after a dozen of them. Counts of five characters
    beat the Transformer after its three passes: only together, or learning on, is it ahead of them.

Your own text: ``lowland train language_model --data my.txt`` (words), or with ``--preset shakespeare --data my.txt`` (characters); a tenth
of it is held out as a test. ``echo "once upon a time" | lowland infer RUN -`` goes on with a line. ``--precision bf16-mixed`` is twice as
fast on a CPU that multiplies in bfloat16.
"""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from ...data import KeptTokenizer, Tokenizer, dataset, parallel_text, read_lines, streams
from ...energy import Autoregressive, mixed
from ...errors import DataError, SpaceError
from ...inference import Ancestral, infer
from ...nets import KneserNey, Onward, Recurrent, Transformer
from ...objectives import TruncatedLikelihood
from ...spaces import NOTHING, Sequence
from ...system import Data, Metric, System, register
from ...train import Player

#: The word that a line ends with.
END = "<eos>"
#: Rates that dynamic evaluation chooses from, in units of the weights² per nat.
RATES = (0.03, 0.1, 0.3, 1.0)


@dataclass(frozen=True)
class Config:
    """How the net is made, trained and judged."""

    data: str = "ptb"
    """Text: ptb, tinyshakespeare, numbers (embedded, in words), or a file of your own."""
    symbols: Literal["word", "character"] = "word"
    """What comes next."""
    vocabulary: int = 10_000
    """At most so many different symbols."""
    net: Literal["lstm", "transformer"] = "lstm"
    """What reads."""
    dim: int = 256
    """Length of what stands for a symbol, and of a layer's state."""
    layers: int = 1
    """Layers of the LSTM, or blocks of the Transformer."""
    dropped: float = 0.2
    """Share of units that dropout leaves out."""
    streams: int = 20
    """Pieces in a batch."""
    length: int = 35
    """Symbols in a piece."""
    epochs: int = 6
    """Times through the text."""
    rate: float = 3e-3
    """Step size of Adam at the start, in units of the weights; it falls to zero in a straight line."""
    clip: float = 0.5
    """Largest norm of a gradient."""
    order: int = 5
    """Longest grams that Kneser–Ney counts."""


def build(config: Config) -> nn.ModuleDict:
    """What is trained, and what goes on with a user's text: the same net."""
    symbols, width = config.vocabulary, {"dim": config.dim, "dropped": config.dropped}
    if config.net == "lstm":
        net: Any = Recurrent(symbols, **width, hidden=config.dim, layers=config.layers, tied=True)
        nn.init.uniform_(net.symbols.weight, -0.1, 0.1)
        before, more = 400, 60
    else:
        net = Transformer(
            symbols, **width, heads=config.dim // 32, blocks=config.layers, hidden=4 * config.dim, places="rotary"
        )
        before = more = config.length // 2
    onward = Autoregressive(Onward(net), Sequence(symbols, more), Sequence(symbols, before))
    onward.add_module("kept", KeptTokenizer())
    return nn.ModuleDict({"language": Autoregressive(net, Sequence(symbols, config.length)), "onward": onward})


def settle(config: Config) -> Config:
    """A text has as many symbols as it has."""
    return (
        config
        if config.data in ("ptb", "tinyshakespeare")
        else replace(config, vocabulary=_learnt(config)[0].vocabulary)
    )


def data(config: Config) -> Data:
    """One long text a split."""
    tokenizer, texts, sources = _learnt(config)
    long = {name: _joined(tokenizer.encode(text)) for name, text in texts.items()}
    if short := [name for name, text in long.items() if len(text) < 2]:
        raise DataError(f"{config.data}: wanted at least 2 symbols to hold out; {short[0]} has {len(long[short[0]])}.")
    return Data(
        train={"y": streams(long["train"], config.streams, config.length)},
        validation={"text": long["validation"]},
        test={"text": long["test"]},
        sources=sources,
        extra={"text": long["train"], "tokenizer": tokenizer.to_json()},
    )


def _learnt(config: Config) -> tuple[Tokenizer, dict[str, list[str]], dict[str, Any]]:
    """The symbols of the text, the lines of each split, and where they come from."""
    texts, sources = _texts(config)
    return Tokenizer.learn(texts["train"], config.symbols, config.vocabulary), texts, sources


def _texts(config: Config) -> tuple[dict[str, list[str]], dict[str, Any]]:
    """The lines of each split; of characters, one line that has it all."""
    if config.data == "ptb":
        found = dataset("ptb")
        names = {"train": "train", "validation": "valid", "test": "test"}
        lines = {ours: found.load(theirs)["text"] for ours, theirs in names.items()}
        sources = {"ptb": found.record(*found.splits)}
    elif config.data == "tinyshakespeare":
        found = dataset("tinyshakespeare")
        train, test = (found.load(split)["text"][0] for split in ("train", "test"))
        cut = len(train) * 19 // 20
        lines = {"train": [train[:cut]], "validation": [train[cut:]], "test": [test]}
        sources = {"tinyshakespeare": found.record("train", "test")}
    elif config.data == "numbers":
        found = parallel_text(("numbers",))
        lines = {"train": found.train[1], "validation": found.validation[1], "test": found.test[1]}
        sources = found.sources
    else:
        mine, path = read_lines(config.data), Path(config.data)
        cuts = [0, len(mine) * 17 // 20, len(mine) * 9 // 10, len(mine)]
        lines = {name: mine[cuts[k] : cuts[k + 1]] for k, name in enumerate(("train", "validation", "test"))}
        checksums = {path.name: hashlib.sha256(path.read_bytes()).hexdigest()}
        sources = {path.name: {"split": "all", "samples": len(mine), "sha256": checksums}}
    if config.symbols == "character":
        return {name: ["\n".join(part)] for name, part in lines.items()}, sources
    return {name: [f"{line} {END}" for line in part] for name, part in lines.items()}, sources


def _joined(symbols: Int64[Tensor, "N T"]) -> Int64[Tensor, " L"]:
    return symbols[symbols != NOTHING]


def train(model: Any, config: Config, data: Data, trainer: Any) -> None:
    trainer.once("symbols", lambda: model["onward"].kept.keep(Tokenizer.from_json(data.extra["tokenizer"])))
    energy = model["language"]
    carried, text, length = config.net == "lstm", data.extra["text"], config.length
    objective = TruncatedLikelihood(carried)

    def anywhere(batch: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        """As many pieces, each from anywhere in the text."""
        first = torch.randint(len(text) - length, (len(batch["y"]), 1), generator=generator).to(text.device)
        return {"y": text[first + torch.arange(length, device=text.device)]}

    trainer.fit(
        "read",
        Player(
            "reader",
            energy,
            lambda batch: objective(energy, batch),
            optimizer=lambda parameters: torch.optim.Adam(parameters, lr=config.rate, betas=(0.9, 0.99)),
            schedule=falling,
            clip=config.clip,
            memory={"state": objective},
        ),
        {"y": data.train["y"]},
        epochs=config.epochs,
        batch_size=config.streams,
        shuffle=False,
        drop_last=True,
        transform=None if carried else anywhere,
        validate=lambda: {"validation_perplexity": math.exp(costs(energy, config, data.validation["text"], 20).mean())},
        keep="validation_perplexity",
    )


def falling(optimizer: torch.optim.Optimizer, steps: int) -> torch.optim.lr_scheduler.LRScheduler:
    """Up in the first fiftieth, then in a straight line to zero."""
    up = max(steps // 50, 1)
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min((step + 1) / up, 1 - step / (steps + 1)))


def costs(
    energy: Autoregressive, config: Config, text: Int64[Tensor, " L"], together: int = 1, rate: float = 0.0
) -> Float[Tensor, " L"]:
    """−log p of each symbol of a text, in nats, read in order.

    Args:
        energy: Reads.
        config: How.
        text: The text.
        together: Streams that a recurrent net reads side by side, each beginning without a state; pieces of a Transformer in a pass.
        rate: Step size of the gradient descent that follows each piece; 0 for none.
    """
    length = config.length
    objective, step = TruncatedLikelihood(config.net == "lstm"), length if config.net == "lstm" else length // 2
    if config.net == "lstm":
        together = min(together, len(text))
        side = nn.functional.pad(text, (0, -len(text) % together), value=NOTHING).view(together, -1)
        pieces = list(nn.functional.pad(side, (0, -side.shape[1] % length), value=NOTHING).split(length, 1))
    else:
        padded = nn.functional.pad(text, (0, max(length - len(text), 0) or (length - len(text)) % step), value=NOTHING)
        pieces = list(padded.unfold(0, length, step).split(together))
    optimizer = torch.optim.SGD(energy.parameters(), lr=rate)
    found = []
    for piece in pieces:
        with torch.set_grad_enabled(rate > 0):
            cost = objective.costs(energy, {"y": piece})
            if rate > 0:
                optimizer.zero_grad()
                cost[:, 0 if config.net == "lstm" or not found else length - step :].mean().backward()
                nn.utils.clip_grad_norm_(energy.parameters(), config.clip)
                optimizer.step()
        found.append(cost.detach())
    if config.net == "lstm":
        return torch.cat(found, 1)[:, : side.shape[1]].flatten()[: len(text)]
    rows = torch.cat(found)
    return torch.cat([rows[0], rows[1:, length - step :].flatten()])[: len(text)]


def dynamic(energy: Autoregressive, config: Config, data: Data) -> Float[Tensor, " L"]:
    """Costs of the test text for a net that learns from every piece once it has been judged on it."""
    early = data.validation["text"][:5250]
    held = {rate: costs(copy.deepcopy(energy), config, early, rate=rate).mean() for rate in RATES}
    return costs(copy.deepcopy(energy), config, data.test["text"], rate=min(held, key=lambda rate: float(held[rate])))


def evaluate(model: Any, config: Config, data: Data) -> dict[str, float]:
    energy = model["language"]
    together = 1 if config.net == "lstm" else 50
    text, held = data.test["text"], data.validation["text"]
    counts = KneserNey(data.extra["text"].cpu(), config.vocabulary, config.order)
    net, grams = costs(energy, config, text, together).cpu(), counts.costs(text.cpu())
    here, there = costs(energy, config, held, 20 if config.net == "lstm" else 50).cpu(), counts.costs(held.cpu())
    shares = [k / 20 for k in range(1, 20)]
    share = min(shares, key=lambda share: float(mixed(here, there, share).mean()))
    return {
        "test_perplexity": net.mean().exp().item(),
        "test_nats": net.mean().item(),
        "validation_perplexity": here.mean().exp().item(),
        "dynamic_perplexity": dynamic(energy, config, data).mean().exp().item(),
        "kneser_ney_perplexity": grams.mean().exp().item(),
        "mixture_perplexity": mixed(net, grams, share).mean().exp().item(),
    }


# --- pictures, and what a user may ask ----------------------------------------------------------------------------------


def lines(energy: Autoregressive, texts: list[str]) -> dict[str, Tensor]:
    """Texts to be gone on with; of a long one, the end.

    Raises:
        SpaceError: If they are not equally long: they are then gone on with one by one.
    """
    longest = energy.spaces["x"].shape[0]
    rows = [_joined(row[None])[-longest:] for row in _tokenizer(energy).encode(texts)]
    if len({len(row) for row in rows}) > 1:
        raise SpaceError("language_model: wanted texts of one length, got several.")
    return {"x": torch.stack([nn.functional.pad(row, (0, longest - len(row)), value=NOTHING) for row in rows])}


def tell(energy: Autoregressive, values: Mapping[str, Tensor], solution: Any) -> list[str]:
    """How each text goes on; a stroke ends a line."""
    return [text.replace(END, "/").replace("\n", " / ") for text in _tokenizer(energy).decode(solution.value)]


def solver(model: Any, config: Config) -> Ancestral:
    return Ancestral(top_p=0.95)


def _tokenizer(energy: Autoregressive) -> Tokenizer:
    kept: Any = energy.kept
    return kept.tokenizer


def figures(model: Any, config: Config, data: Data) -> list[Any]:
    from ...report import Picture, bars, table

    energy, onward = model["language"], model["onward"]
    tokenizer, text = _tokenizer(onward), data.test["text"][: 400 * config.length].cpu()
    x = lines(onward, tokenizer.decode(text[None, : config.length // 2]))["x"]
    rows = []
    for beta, share in ((1.0, 1.0), (1.0, 0.9), (2.0, 1.0)):
        options = {"generator": torch.Generator().manual_seed(0)}
        found = infer(onward, "y", x=x, solver=Ancestral(beta=beta, top_p=share), options=options)
        rows.append([f"{beta:g}", f"{100 * share:.0f} %", *tell(onward, {}, found)])
    begin = tokenizer.decode(x)[0]
    counts = KneserNey(data.extra["text"].cpu(), config.vocabulary, config.order)
    known = torch.bincount(data.extra["text"].cpu(), minlength=config.vocabulary)[text]
    net, grams = costs(energy, config, text, 1).cpu(), counts.costs(text.cpu())
    groups = {"> 10,000": 10_000, "> 1,000": 1000, "> 100": 100, "> 10": 10, "rare": -1}
    gaps, above = {}, math.inf
    for name, least in groups.items():
        among = (known > least) & (known <= above)
        above = least
        if bool(among.any()):
            gaps[name] = float((grams - net)[among].mean())
    return [
        Picture("Word by word", "What each symbol of the beginning of the test text cost: the net, and Kneser–Ney counts of the same text.",
                _side_by_side(tokenizer.decode(text[:30, None]), {"net": net, "Kneser–Ney": grams})),
        Picture("How it goes on", f"Draws after “{begin}”, the beginning of the test text: β, and the share of the chances that the "
                "symbols together have that may be drawn.", table(rows, ["β", "share", "what it wrote"])),
        Picture("Where it knows more", "Nats a symbol that the net saves over Kneser–Ney counts, by how often the symbol occurs in what "
                "they learnt from.", bars(gaps, label="saved", unit="nats")),
    ]  # fmt: skip


def _side_by_side(symbols: list[str], costs: dict[str, Float[Tensor, " L"]]) -> Any:
    """Costs of the first symbols, which stand below."""
    from ...report import panels

    figure, axes = panels(1, 1, width=10, height=3.6)
    axis, places = axes[0, 0], list(range(len(symbols)))
    for name, each in costs.items():
        axis.plot(places, each[: len(symbols)].tolist(), marker="o", markersize=3, label=name)
    written = {" ": "␣", "\n": "↵"}
    axis.set_xticks(places, [written.get(symbol, symbol) for symbol in symbols], rotation=60, ha="right", fontsize=8)
    axis.set_ylabel("−log p (nats)")
    axis.legend()
    return figure


register(
    System(
        name="language_model",
        title="Language models: a state that reads on",
        rows=("R27",),
        paper="Mikolov et al. 2010; Zaremba et al. 2014",
        config=Config,
        presets={
            "smoke": {"data": "numbers", "dim": 32, "length": 10, "epochs": 3, "order": 3},
            "shakespeare": {
                "data": "tinyshakespeare", "symbols": "character", "vocabulary": 65, "net": "transformer", "dim": 128, "layers": 4,
                "dropped": 0.0, "streams": 12, "length": 128, "epochs": 3, "rate": 2e-3, "clip": 1.0,
            },
        },
        build=build,
        data=data,
        train=train,
        evaluate=evaluate,
        figures=figures,
        settle=settle,
        lines=lines,
        tell=tell,
        solver=solver,
        main="onward",
        metrics=(
            Metric("test_perplexity", "lower", gate=115.0, gate_source="Zaremba, Sutskever & Vinyals 2014, Table 1", paper=114.5,
                   about="exp of the mean cost of a symbol of the test text, the state carried over all of it.",
                   presets={"shakespeare": {"gate": None, "gate_source": "", "paper": None}}),
            Metric("test_nats", "lower", unit="nats", about="The mean cost of a symbol of the test text.",
                   presets={"shakespeare": {"gate": 1.88, "gate_source": "nanoGPT's figure for a few minutes of a CPU", "paper": 1.88}}),
            Metric("validation_perplexity", "lower", about="The same of the validation text."),
            Metric("dynamic_perplexity", "lower", about="Of the test text, the net learning from each piece once it was judged on it."),
            Metric("kneser_ney_perplexity", "lower", about="Of Kneser–Ney counts of the same text."),
            Metric("mixture_perplexity", "lower", about="Of both together, shares of the probability chosen on the validation text."),
        ),
    )
)  # fmt: skip
