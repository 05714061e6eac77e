"""Translate all words at once: a search of many steps distilled into a guess of one.

    E(x, y)      = Σ_t −log p(y_t | y_<t, x)                        the teacher: a Transformer that is searched symbol by symbol
    E(x, y, z)   = Σ_s −log p(z_s | x) + Σ_t −log p(y_t | x, z)     the student; z_s: how often symbol s of x is copied, its fertility
    ŷ(z)         = what is lowest for each place by itself, once z is known: one pass of the network
    z            = argmin E(x, z), or several draws, of which the one is kept whose ŷ(z) has the lowest energy for both together

The student is an amortised solver of the teacher's energy: `infer(teacher, "y", x=x, solver=Amortised(guess))`. That a place doesn't see
what the others say is made up for by z, which the data don't tell: a dictionary learnt with the alignment as its latent variable does.

Training: maximum likelihood (strategy C1): of the teacher on the data, with smoothed labels; of the student on what the teacher writes
    for the training sentences (sequence-level distillation), with fertilities counted from the alignment of those. The student's encoder
    and the parts of its decoder that the teacher has, too, begin as the teacher's.
No collapse: all probabilities add up to 1.
Sources: Gu, Bradbury, Xiong, Li & Socher, ICLR 2018; Kim & Rush, EMNLP 2016, for distillation.
Differences: 1. The aligner is a dictionary with a pull to the diagonal, our own. 2. No fine-tuning with reinforcement. 3. Candidates
    are weighed by the energies of both, not by the teacher's alone. 4. The teacher's answers to learn from are greedy.
Expect: seed 0, German to English: 33.2 BLEU at once, 83 % of the teacher's 39.9 with a beam of 5, 7 times as fast as the beam and 4 as the
    greedy search (one sentence at a time, on a machine at work; 8 and 5 times when it was at rest); 34.6 BLEU for the best of ten.
Known failure: what could be said in two ways is said in a mixture of both, and 6.0 % of the words repeat the one before (3.4 % in the best
    of ten, 0.3 % by search). To draw and weigh ten takes longer than the beam.

Your own text: ``lowland train parallel_translate --data my.de my.en``; after ``lowland train translate``, ``--teacher RUN`` takes what it
has learnt. ``lowland infer RUN -`` translates standard input line by line, at once.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad

from ...data import KeptTokenizer, align, bleu, fertilities, parallel_text, spelt
from ...energy import Autoregressive, Energy
from ...errors import UsageError
from ...inference import Amortised, Beam, infer
from ...nets import ParallelTransformer, Transformer
from ...objectives import LabelSmoothing, Loss
from ...spaces import NOTHING
from ...spaces import Sequence as Symbols
from ...system import Data, Metric, System, register
from ...train import Player, cosine_decay, load

UNKNOWN = 0  # the symbol of what the vocabulary lacks: it may be read, and is never written
CHUNK = 100  # sentences translated at once


@dataclass(frozen=True)
class Config:
    """Configuration of both translators."""

    data: tuple[str, ...] = ("multi30k",)
    """Text: multi30k, numbers (embedded), or two files whose lines translate each other, the source first."""
    source: str = "de"
    """Language that is read: de, en or fr of multi30k."""
    target: str = "en"
    """Language that is written."""
    symbols: int = 4000
    """At most so many in each language."""
    teacher: str | None = None
    """The folder of a finished run of `translate` with a Transformer of this shape; by default one is trained first."""
    longest: int = 100
    """Symbols of a sentence at most; longer ones are left out of the training."""
    dim: int = 256
    """Length of what stands for a symbol."""
    hidden: int = 512
    """Units in the middle of the network at each position."""
    blocks: int = 3
    """Layers of each encoder and decoder."""
    most: int = 8
    """The largest fertility."""
    dropped: float = 0.1
    """Share of units that dropout leaves out."""
    teacher_epochs: int = 8
    """Passes of the teacher over the data."""
    epochs: int = 5
    """Passes of the student over what the teacher wrote."""
    batch_size: int = 64
    """Sentences a step."""
    rate: float = 1e-3
    """Largest step of AdamW, in units of weight."""
    warm_up: float = 0.15
    """Part of the training in which the step grows."""
    average: float = 0.99
    """Decay of the running average of the weights, a step."""
    width: int = 5
    """Beginnings that the teacher's search keeps."""
    draws: int = 10
    """Candidates of noisy parallel decoding, the likeliest among them."""
    timed: int = 200
    """Sentences of the test split that are translated one by one, to measure the time."""


class Parallel(Energy):
    """E(x, y, z) of the student, in nats: what it pays for fertilities and, given them, for symbols.

    +∞ where y is not as long as z says.
    """

    @classmethod
    def example(cls) -> Parallel:
        network = ParallelTransformer(5, 5, dim=8, heads=2, blocks=1, hidden=8, dropped=0.0, most=2)
        return cls(network, Config(symbols=5, longest=4, most=2))

    def __init__(self, network: ParallelTransformer, config: Config) -> None:
        space = Symbols(config.symbols, config.longest)
        super().__init__(x=space, y=space, z=Symbols(config.most + 1, config.longest))
        self.network = network

    def example_values(self, count: int, generator: torch.Generator) -> dict[str, Any]:
        values = super().example_values(count, generator)
        z = torch.randint(2, values["z"].shape, generator=generator)
        z[:, 0] = 1
        values["y"][torch.arange(values["y"].shape[1]) >= z.sum(1, keepdim=True)] = NOTHING
        return {**values, "z": z}

    def energies(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        heard = self.network.read(x)
        return self.parts(heard, y, z).sum(0)

    def parts(self, heard: Any, y: Int64[Tensor, "N T"], z: Int64[Tensor, "N S"]) -> Float[Tensor, "two N"]:
        """−log p(z | x) and −log p(y | x, z)."""
        z = z[:, : heard.h.shape[1]].clamp_min(0)
        length = z.sum(1)
        fertile = -heard.fertility.gather(-1, z[..., None]).squeeze(-1).sum(1)
        logits = self.network(heard, z).float()
        wanted = pad(y, (0, max(0, logits.shape[1] - y.shape[1])), value=NOTHING)[:, : logits.shape[1]]
        said = cross_entropy(logits.flatten(0, 1), wanted.flatten(), ignore_index=NOTHING, reduction="none").view(
            wanted.shape
        )
        fits = (y != NOTHING).sum(1) == length
        return torch.stack([fertile, torch.where(fits, said.sum(1), torch.inf)])

    @torch.no_grad()
    def write(
        self, x: Int64[Tensor, "N S"], draws: int = 1, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Candidates ``(N, K, T)`` and their energies ``(N, K)``: those of the likeliest fertilities, then of drawn ones."""
        heard = self.network.read(x)
        z = heard.fertility.argmax(-1)[:, None]
        if draws > 1:
            flat = heard.fertility.exp().flatten(0, 1)
            drawn = torch.multinomial(flat, draws - 1, replacement=True, generator=generator)
            z = torch.cat([z, drawn.view(*z.shape[::2], -1).transpose(1, 2)], 1)
        z = self._some(z)
        each = type(heard)(*(part.repeat_interleave(draws, 0) for part in heard))
        rows = z.flatten(0, 1)
        costs = -self.network(each, rows).float().log_softmax(-1)
        costs[..., UNKNOWN] = torch.inf
        costs, symbols = costs.min(-1)
        there = torch.arange(symbols.shape[1], device=x.device) < rows.sum(1)[:, None]
        fertile = -each.fertility.gather(-1, rows[..., None]).squeeze(-1).sum(1)
        energies = fertile + (costs * there).sum(1)
        y = symbols.masked_fill(~there, NOTHING)[:, : self.spaces["y"].shape[0]]
        y = pad(y, (0, self.spaces["y"].shape[0] - y.shape[1]), value=NOTHING)
        return y.unflatten(0, (len(x), draws)), energies.view(len(x), draws)

    @staticmethod
    def _some(z: Int64[Tensor, "N K S"]) -> Int64[Tensor, "N K S"]:
        """At least one symbol: a first fertility of 1 where all are 0."""
        first = torch.where(z.sum(-1) == 0, 1, z[..., 0])
        return torch.cat([first[..., None], z[..., 1:]], -1)


class Teacher(Autoregressive):
    """The teacher's energy, how both languages are spelt, and the weight for length that suits its search."""

    @classmethod
    def example(cls) -> Teacher:
        return cls(Transformer(5, 5, dim=8, heads=2, blocks=1, hidden=8, dropped=0.0), Config(symbols=5, longest=4))

    def __init__(self, network: Transformer, config: Config) -> None:
        space = Symbols(config.symbols, config.longest)
        super().__init__(network, space, space)
        self.source, self.target = KeptTokenizer(), KeptTokenizer()
        self.length_weight: Tensor
        self.register_buffer("length_weight", torch.tensor(0.6))


def build(config: Config) -> nn.ModuleDict:
    shape = {"dim": config.dim, "blocks": config.blocks, "hidden": config.hidden, "dropped": config.dropped}
    teacher = Transformer(config.symbols, config.symbols, **shape)
    student = ParallelTransformer(config.symbols, config.symbols, most=config.most, **shape)
    return nn.ModuleDict({"teacher": Teacher(teacher, config), "student": Parallel(student, config)})


def data(config: Config) -> Data:
    text = parallel_text(config.data, config.source, config.target)
    splits, texts, tokenizers = spelt(text, "pair", config.symbols, config.longest)
    extra = {"texts": texts, "tokenizers": tokenizers}
    return Data(splits["train"], splits["validation"], splits["test"], text.sources, extra=extra)


def lengths(symbols: Int64[Tensor, "N T"]) -> Int64[Tensor, " N"]:
    """How many symbols each sequence has."""
    return (symbols != NOTHING).sum(1)


# --- training -----------------------------------------------------------------------------------------------------------


def train(model: Any, config: Config, data: Data, trainer: Any) -> None:
    teacher, student = model["teacher"], model["student"]
    learn = partial(_player, config)
    if config.teacher is not None:
        folder = config.teacher
        trainer.once("teacher", lambda: take(teacher, folder, data))
    else:
        trainer.once("tokenizers", lambda: keep(teacher, data))
        trainer.fit("teacher", learn("teacher", teacher, partial(LabelSmoothing(0.1), teacher)), data.train,
                    epochs=config.teacher_epochs, batch_size=config.batch_size,
                    lengths=lengths(data.train["x"]) + lengths(data.train["y"]))  # fmt: skip
    told = trainer.once("distillation", lambda: distil(teacher, config, data.train["x"]))
    trainer.once("encoder", lambda: begin(student.network, teacher.network))
    trainer.fit("student", learn("student", student, partial(loss, student)), told,
                epochs=config.epochs, batch_size=config.batch_size, lengths=lengths(told["x"]) + lengths(told["y"]),
                validate=lambda: {"validation_bleu": some_bleu(model, data)})  # fmt: skip


def _player(config: Config, name: str, module: nn.Module, objective: Callable[[Any], Any]) -> Player:
    return Player(
        name,
        module,
        objective,
        optimizer=partial(torch.optim.AdamW, lr=config.rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True),
        schedule=partial(cosine_decay, warm_up=config.warm_up),
        clip=1.0,
        average=config.average,
    )


def keep(teacher: Teacher, data: Data) -> None:
    """How both languages are spelt becomes a part of the model."""
    for kept, tokenizer in zip((teacher.source, teacher.target), data.extra["tokenizers"], strict=True):
        kept.keep(tokenizer)


def take(teacher: Teacher, folder: str, data: Data) -> None:
    """Become what a run of `translate` has learnt.

    Raises:
        UsageError: If it is a run of something else, or a net of another shape, or its languages are spelt otherwise.
    """
    found = load(folder)
    theirs, ours = ({name: getattr(part, "shape", None) for name, part in energy.state_dict().items()
                     if not name.endswith("_extra_state")} for energy in (found.energy, teacher))  # fmt: skip
    if found.system.name != "translate" or theirs != ours:
        raise UsageError(
            f"--teacher {folder}: wanted a run of translate with a Transformer of this shape, got {found.system.name} with another "
            "net; give it the same --dim, --hidden, --blocks and --symbols."
        )
    teacher.load_state_dict(found.energy.state_dict())
    if [kept.tokenizer.to_json() for kept in (teacher.source, teacher.target)] != [
        t.to_json() for t in data.extra["tokenizers"]
    ]:
        raise UsageError(
            f"--teacher {folder}: it has learnt from another text, whose words are cut otherwise; give it the same --data."
        )


@torch.no_grad()
def distil(teacher: Teacher, config: Config, x: Int64[Tensor, "N S"]) -> dict[str, Tensor]:
    """What the teacher writes, greedily, and the fertilities of x that it shows."""
    order = lengths(x).argsort()
    found = [
        infer(teacher, "y", x=x[rows], solver=Beam(1, forbidden=(UNKNOWN,))).value for rows in order.split(4 * CHUNK)
    ]
    y = torch.cat(found)[order.argsort()]
    z = fertilities(align(x, y), x, config.most)
    fits = (z.sum(1) > 0) & (z.amax(1) <= config.most)
    return {"x": x[fits], "y": y[fits], "z": z[fits]}


@torch.no_grad()
def begin(student: ParallelTransformer, teacher: Transformer) -> None:
    """Read as the teacher does, and write with its symbols and what its blocks have in common with ours."""
    student.encoder.load_state_dict(teacher.encoder.state_dict())  # type: ignore[union-attr]
    student.read_norm.load_state_dict(teacher.read_norm.state_dict())
    student.sources.load_state_dict(teacher.sources.state_dict())
    student.decoder.load_state_dict(teacher.decoder.state_dict())
    student.last_norm.load_state_dict(teacher.last_norm.state_dict())
    student.symbols.weight.copy_(teacher.symbols.weight[:-1])


def loss(student: Parallel, batch: Mapping[str, Tensor]) -> Loss:
    """Mean energy of a symbol that is written, and of a fertility, in nats."""
    fertile, said = student.parts(student.network.read(batch["x"]), batch["y"], batch["z"])
    parts = {"fertility": fertile.sum() / lengths(batch["x"]).sum(), "symbols": said.sum() / lengths(batch["y"]).sum()}
    return Loss(parts["fertility"] + parts["symbols"], {name: part.detach() for name, part in parts.items()})


# --- judging ------------------------------------------------------------------------------------------------------------


def some_bleu(model: Any, data: Data) -> float:
    """Of a few held-out sentences, written by the student at once."""
    x, references = data.validation["x"][:400], data.extra["texts"]["validation"][1][:400]
    return bleu(translated(model, x, 1), references)


def candidate(model: Any, x: Int64[Tensor, "N S"], draws: int) -> Int64[Tensor, "N T"]:
    """The student's sentence; of several, that of the lowest energy for the student and the teacher together."""
    y, energies = model["student"].write(x, draws, torch.Generator().manual_seed(0))
    if draws == 1:
        return y[:, 0]
    both = energies + model["teacher"].given(x=x).value(y.transpose(0, 1)).T
    return y[torch.arange(len(x)), both.argmin(1)]


@torch.no_grad()
def translated(model: Any, x: Tensor, draws: int) -> list[str]:
    """By the student."""
    found = torch.cat([candidate(model, rows, draws) for rows in x.split(CHUNK)])
    return model["teacher"].target.tokenizer.decode(found)


@torch.no_grad()
def searched(model: Any, x: Tensor, width: int) -> list[str]:
    """By the teacher."""
    order = lengths(x).argsort()
    solver = Beam(width, length_weight=float(model["teacher"].length_weight), forbidden=(UNKNOWN,))
    found = torch.cat([infer(model["teacher"], "y", x=x[rows], solver=solver).value for rows in order.split(CHUNK)])
    return model["teacher"].target.tokenizer.decode(found[order.argsort()])


def evaluate(model: Any, config: Config, data: Data) -> dict[str, float]:
    x, references = data.test["x"], data.extra["texts"]["test"][1]
    ways = {
        "student": partial(translated, model, draws=1),
        "noisy": partial(translated, model, draws=config.draws),
        "greedy": partial(searched, model, width=1),
        "beam": partial(searched, model, width=config.width),
    }
    answers = {name: way(x) for name, way in ways.items()}
    found = {f"{name}_bleu": bleu(answer, references) for name, answer in answers.items()}
    for name, way in ways.items():
        found[f"{name}_milliseconds"] = 1000 * statistics.median(_seconds(way, row[None]) for row in x[: config.timed])
    teacher = max(found["greedy_bleu"], found["beam_bleu"])
    return {
        **found,
        "share_of_teacher": 100 * found["student_bleu"] / max(teacher, 1e-9),
        "noisy_share_of_teacher": 100 * found["noisy_bleu"] / max(teacher, 1e-9),
        "faster_than_greedy": found["greedy_milliseconds"] / found["student_milliseconds"],
        "faster_than_beam": found["beam_milliseconds"] / found["student_milliseconds"],
        "student_repeated": repeated(answers["student"]),
        "noisy_repeated": repeated(answers["noisy"]),
        "teacher_repeated": repeated(answers["beam"]),
    }


def _seconds(way: Callable[[Tensor], Any], x: Tensor) -> float:
    started = time.perf_counter()
    way(x)
    return time.perf_counter() - started


def repeated(texts: Sequence[str]) -> float:
    """Words that are the same as the one before, in per cent."""
    words = [text.lower().split() for text in texts]
    twice = sum(one == other for row in words for one, other in pairwise(row))
    return 100 * twice / max(sum(map(len, words)), 1)


# --- pictures, and what a user may ask ----------------------------------------------------------------------------------


def figures(model: Any, config: Config, data: Data) -> list[Any]:
    from ...report import Picture, table

    sources, references = data.extra["texts"]["test"]
    order = sorted(range(len(sources)), key=lambda i: len(sources[i]))
    shown = order[:: max(1, len(order) // 12)][:12]
    x = data.test["x"][shown]
    rows = zip([sources[i] for i in shown], searched(model, x, config.width), translated(model, x, 1),
               translated(model, x, config.draws), [references[i] for i in shown], strict=True)  # fmt: skip
    return [
        Picture("How often each word is copied", "The fertilities of a source sentence, log p of each: what the decoder begins with is the "
                "source with its symbols copied so often.", fertile(model, x[len(shown) // 2])),
        Picture("Translations", "By the teacher's search, at once, and the best of several at once.",
                table(list(rows), ("source", "teacher", "at once", f"best of {config.draws}", "reference"))),
    ]  # fmt: skip


@torch.no_grad()
def fertile(model: Any, x: Int64[Tensor, " S"]) -> Any:
    """The chances of the fertilities of one sentence, as an image."""
    from ...report import house_style, panels

    heard = model["student"].network.read(x[None])
    read = [model["teacher"].source.tokenizer.symbol(i) for i in x.tolist() if i != NOTHING]
    figure, grid = panels(1, 1, width=1.5 + 0.3 * len(read), height=2.6)
    with house_style():
        grid[0, 0].imshow(
            heard.fertility[0, : len(read)].exp().T.numpy(), cmap="Blues", vmin=0, vmax=1, aspect="auto", origin="lower"
        )
        grid[0, 0].set_xticks(range(len(read)), read, rotation=60, ha="right")
        grid[0, 0].set_ylabel("fertility")
    return figure


def solver(model: Any, config: Config) -> Amortised:
    """The student's answer, for the teacher's energy."""
    return Amortised(lambda x: candidate(model, x, 1))


def lines(model: Any, texts: Sequence[str]) -> dict[str, Tensor]:
    return {"x": model.source.tokenizer.encode(texts, longest=model.sequence.length)}


def tell(energy: Any, values: Mapping[str, Tensor], solution: Any) -> list[str]:
    return energy.target.tokenizer.decode(solution.value)


register(
    System(
        name="parallel_translate",
        title="Translating all words at once",
        rows=("R30",),
        paper="Gu, Bradbury, Xiong, Li & Socher 2018",
        config=Config,
        presets={
            "smoke": {
                "data": ("numbers",), "symbols": 120, "longest": 12, "dim": 32, "hidden": 64, "blocks": 2, "dropped": 0.0,
                "teacher_epochs": 12, "epochs": 12, "rate": 5e-3, "draws": 4, "timed": 5,
            },
        },
        build=build,
        data=data,
        train=train,
        evaluate=evaluate,
        figures=figures,
        main="teacher",
        lines=lines,
        solver=solver,
        tell=tell,
        metrics=(
            Metric("student_bleu", "higher", about="Of the student's likeliest fertilities."),
            Metric("noisy_bleu", "higher", about="Of the best of several candidates for both energies together."),
            Metric("greedy_bleu", "higher", about="Of the teacher, searched greedily."),
            Metric("beam_bleu", "higher", about="Of the teacher, with a beam."),
            Metric("share_of_teacher", "higher", gate=75.0, gate_source="as published (Gu et al. 2018: 74 to 82 %)", unit="%",
                   about="Of the student's BLEU in the teacher's better one."),
            Metric("noisy_share_of_teacher", "higher", unit="%", about="Of noisy parallel decoding's BLEU in it."),
            Metric("faster_than_greedy", "higher", about="Times, one sentence at a time, than the teacher's greedy search with a cache."),
            Metric("faster_than_beam", "higher", gate=5.0, gate_source="own; 15.6 published, against a beam of 4", paper=15.6,
                   about="Times, one sentence at a time, than the teacher's beam with a cache."),
            Metric("student_milliseconds", "lower", unit="ms", about="Median time of a sentence."),
            Metric("noisy_milliseconds", "lower", unit="ms", about="The same with several candidates, weighed."),
            Metric("greedy_milliseconds", "lower", unit="ms", about="The same of the teacher's greedy search."),
            Metric("beam_milliseconds", "lower", unit="ms", about="The same of its beam."),
            Metric("student_repeated", "lower", unit="%", about="Words that are the same as the one before, by the student."),
            Metric("noisy_repeated", "lower", unit="%", about="The same of the best of several."),
            Metric("teacher_repeated", "lower", unit="%", about="The same of the teacher's beam."),
        ),
    )
)  # fmt: skip
