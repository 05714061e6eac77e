"""The check reader: cut a handwritten amount in many places, recognise every candidate piece, and take the cheapest path.

    E(x, y, z) = Σ_{pieces ∈ z} −log p(name | piece; x)      +∞ unless the names of z are junk* (digit junk*)+ and its digits are y
    F(x, y)    = −log Σ_z exp(−E(x, y, z))                   ŷ = argmin_y F(x, y)

x is a normalised field: ground and rules removed, upright, 40 rows. z says which of the cuts are used and what each piece is:
a digit of up to eight neighbouring pieces, or junk (points, dashes, paper), one piece at a time. A convolutional net gives the
probabilities of ten digits, junk, and of "no character" (a part of a digit, or two), which is in no path.

Training: first the recogniser alone on strings written with MNIST's and USPS's digits; then, for each fold, on characters (every
    candidate piece, named by the digits' boxes); then the whole, from strings alone, by the discriminative forward criterion
    F(x, y) + log Σ_ȳ exp(−F(x, ȳ)) through the graph. Lines are distorted anew for each step, half of them get digits of other
    lines, a quarter are written with MNIST's and USPS's digits. AdamW, one cycle of the rate, running average of the weights.
No collapse: the criterion is a likelihood: what lowers one string's energy raises the others' by their probability. Trained to
    lower F(x, y) alone, all pieces would become digits of energy 0.
Sources: LeCun, Bottou, Bengio & Haffner, Proc. IEEE 86 (1998), sections IV–VIII and X; the data are those of Diem et al., ICFHR
    (2014).
Expect: per cent of the 1,208 amounts of ORAND-CAR-A, each read by the reader of its fold: 87.7 (standard deviation over the five
    folds 1.8), from characters only 74.3 (2.8); 51 correct, 1 wrong, 48 rejected; 99.87 of the true boundaries have a cut. With
    150 + 150 + 320 steps in place of 200 + 250 + 600: 86.1, 69.0 and 54 correct. Half an hour on a busy core. It is the graph that
    wins, not the longer training: on a split inside the training folds characters only give 72.7 after 300 steps and 73.6 after
    850, and 88.0 after 300 and 900 through the graph.
Known failure: some labels are wrong (7 of the 33 mistakes of one validation split, by eye), and being surely contradicted they
    are what limits the share that can be accepted at 1 % error. Folds are drawn by image: a writer may be in several.

Differences from the paper:

1. Each candidate is recognised from columns of one convolutional pass over the line, not from its own normalised image.
2. All weights are trained globally, not a small subset; penalties are log-probabilities, with no temperature of their own.
3. Amounts are strings of digits; the grammar knows nothing of where points may stand.

Your own amounts: ``lowland train check_reader --images FOLDER``, images of dark ink on light paper and in the same folder a table
``labels.csv`` with a line ``image.png,12500`` for each. ``lowland infer RUN check.png --out FOLDER`` reads one and draws its cuts.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import nll_loss, pad
from torch.optim.lr_scheduler import OneCycleLR

from ...data import (
    BAD,
    JUNK,
    LINE_HEIGHT,
    Lines,
    compose_lines,
    cut_lines,
    cut_recall,
    dataset,
    distort_lines,
    gather_lines,
    join_lines,
    labelled_amounts,
    labelled_images,
    load,
    name_pieces,
    read_fields,
    similar_rows,
    splice_lines,
)
from ...energy import Acceptor, Energy, Min, PieceEnergies, Segments
from ...inference import readings
from ...nets import SegmentRecogniser
from ...objectives import NegativeLogLikelihood, rejection_curve
from ...spaces import Categorical, Real
from ...system import Data, Metric, System, register
from ...train import Player

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDEST = 256  # columns of the widest line
LEAST = 3.0  # columns between neighbouring cuts, at least
POSITIONS = int(WIDEST / LEAST)
CHUNK = 64  # lines read at once


@dataclass(frozen=True)
class Config:
    """Configuration of the check reader."""

    images: str = "orand_car_a"
    """Data: orand_car_a, digits (strings written with embedded digits), or a folder of images with a labels.csv."""
    glyphs: Literal["mnist", "digits"] = "mnist"
    """Single digits that strings are written with: mnist (with usps), or digits (embedded)."""
    folds: int = 5
    """Parts of the data; each is read by a reader that was trained on the others."""
    glyph_steps: int = 200
    """Steps on written strings, once for all folds."""
    character_steps: int = 250
    """Steps on characters, each fold."""
    whole_steps: int = 600
    """Steps through the graph, each fold."""
    batch_size: int = 32
    """Lines a step."""
    rate: float = 2e-3
    """Largest step of AdamW on characters, in units of weight; the whole is trained with half of it."""
    average: float = 0.99
    """Decay of the running average of the weights, a step."""
    spliced: float = 0.5
    """Part of the real lines of a step in which digits of other lines stand, half of their digits."""
    written: float = 0.25
    """Part of the lines of a step that are written with single digits."""
    channels: tuple[int, ...] = (16, 32, 64, 96, 128)
    """Maps of the five stages of the recogniser's trunk."""
    longest: int = 8
    """The most neighbouring pieces that make one candidate."""
    bfloat16: bool = True
    """Whether the recogniser computes in half precision: twice as fast on processors that can, much slower on others."""


class CheckReader(Segments):
    """E(x, y, z): −log p of the pieces of a path. ``x``: ink; ``cuts``: columns; ``length``: how many pieces there are."""

    wide_junk: Tensor

    @classmethod
    def example(cls) -> CheckReader:
        return cls(SegmentRecogniser(LINE_HEIGHT, channels=(2, 2, 2, 2, 4), hidden=4, longest=2)).eval()

    def __init__(self, recogniser: SegmentRecogniser) -> None:
        grammar = Acceptor.of("junk* (digit junk*)+", JUNK + 1, digit=tuple(range(10)), junk=JUNK)
        spell, longest = (*range(10), -1), recogniser.longest
        line = {"x": Real(LINE_HEIGHT, WIDEST), "cuts": Real(POSITIONS + 1), "length": Categorical(POSITIONS + 1)}
        super().__init__(
            grammar, spell, positions=POSITIONS, longest=longest, max_length=POSITIONS, weighted=False, **line
        )
        self.recogniser = recogniser
        self.composed = PieceEnergies(grammar, spell, positions=POSITIONS, longest=longest, max_length=POSITIONS)
        forbidden = torch.zeros(longest, JUNK + 1)
        forbidden[1:, JUNK] = torch.inf
        self.register_buffer("wide_junk", forbidden, persistent=False)

    def names(self, x: Tensor, cuts: Tensor, length: Tensor) -> Float[Tensor, "B N D C"]:
        """Log-probabilities of what each piece is, up to the last piece of the longest line."""
        last = int(length.max())
        width = int(cuts.max().ceil())
        width += -width % 8
        return self.recogniser(x[..., :width], cuts[:, : last + 1])

    def pieces(self, x: Tensor, cuts: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        found = self.wide_junk - self.names(x, cuts, length)[..., : JUNK + 1]
        return pad(found, (0, 0, 0, 0, 0, POSITIONS - found.shape[1])), length

    def given(self, **observed: Any) -> Energy:
        """With the line known, its pieces are recognised once."""
        if not {"x", "cuts", "length"} <= observed.keys():
            return super().given(**observed)
        line = {name: observed.pop(name) for name in ("x", "cuts", "length")}
        pieces, length = self.pieces(**line)
        return self.composed.given(x=pieces, length=length, **observed)


def build(config: Config) -> nn.ModuleDict:
    names = ["glyphs", *(f"{stage}_{fold}" for fold in range(config.folds) for stage in ("characters", "whole"))]
    size = {"channels": config.channels, "longest": config.longest, "bfloat16": config.bfloat16}
    return nn.ModuleDict({name: CheckReader(SegmentRecogniser(LINE_HEIGHT, JUNK + 2, **size)) for name in names})


def data(config: Config) -> Data:
    amounts = labelled_amounts(config.images, WIDEST)
    singles = labelled_images(config.glyphs)
    x, y, sources = singles.train["x"], singles.train["y"], {config.glyphs: singles.sources[config.glyphs]}
    if config.glyphs == "mnist":
        usps = load("usps", "train")
        framed = pad(nn.functional.interpolate(usps["x"][:, None], (20, 20), mode="bilinear")[:, 0], (4, 4, 4, 4))
        x, y = torch.cat([x, framed]), torch.cat([y, usps["y"]])
        sources |= {"usps": dataset("usps").record("train")}
    count = len(amounts.lines.y)
    order = torch.from_numpy(numpy.random.default_rng(0).permutation(count))
    fold = torch.empty(count, dtype=torch.int64)
    for number, rows in enumerate(order.tensor_split(config.folds)):
        fold[rows] = number
    return Data(
        train={**amounts.lines._asdict(), "fold": fold},
        sources={**amounts.sources, **sources},
        labels=tuple("0123456789"),
        extra={"glyphs": (x, y), "marked": amounts.marked},
    )


def train(model: Any, config: Config, data: Data, trainer: Any) -> None:
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(2, 8, (config.glyph_steps * config.batch_size,), generator=generator).sort().values
    lengths = lengths.reshape(config.glyph_steps, -1)[torch.randperm(config.glyph_steps, generator=generator)]
    written = partial(_written, data.extra["glyphs"], config)
    _fit(trainer, "glyphs", model["glyphs"], _characters, {"length": lengths}, written, config.rate, config)
    for fold in range(config.folds):
        characters, whole = model[f"characters_{fold}"], model[f"whole_{fold}"]
        known = _lines(data).at((data.train["fold"] != fold).nonzero()[:, 0])
        changed = partial(_changed, known, data, config)
        trainer.once(f"start {fold}", partial(_copy, model["glyphs"], characters))
        if data.extra["marked"]:
            rows = similar_rows(known.widths, config.character_steps, config.batch_size, generator)
            _fit(trainer, f"characters {fold}", characters, _characters, {"rows": rows}, changed, config.rate, config)
        trainer.once(f"go on {fold}", partial(_copy, characters, whole))
        rows = similar_rows(known.widths, config.whole_steps, config.batch_size, generator)
        _fit(trainer, f"whole {fold}", whole, _strings, {"rows": rows}, changed, config.rate / 2, config)


def _fit(
    trainer: Any, stage: str, energy: CheckReader, loss: Any, batches: Any, transform: Any, rate: float, config: Config
) -> None:
    """One stage; its batches are drawn beforehand, so that lines of about the same width are together."""
    player = Player(
        "recogniser", energy, partial(loss, energy), clip=2.0, average=config.average,
        optimizer=lambda weights: torch.optim.AdamW(weights, lr=rate, weight_decay=0.02),
        schedule=lambda optimizer, steps: OneCycleLR(optimizer, rate, total_steps=max(steps, 2) + 1, pct_start=0.1, div_factor=10),
    )  # fmt: skip
    trainer.fit(stage, player, batches, epochs=1, batch_size=1, shuffle=False, transform=transform)


def _copy(source: CheckReader, target: CheckReader) -> None:
    target.load_state_dict(source.state_dict())


def _lines(data: Data) -> Lines:
    return Lines(**{name: data.train[name] for name in Lines._fields})


def _written(
    glyphs: tuple[Tensor, Tensor], config: Config, batch: Mapping[str, Tensor], generator: torch.Generator
) -> Any:
    """Strings of the lengths given, written with single digits."""
    length = batch["length"][0][:, None]
    size = (len(length), int(length.max()))
    y = torch.where(torch.arange(size[1]) < length, torch.randint(10, size, generator=generator), -1)
    return _observed(distort_lines(compose_lines(*glyphs, y, generator), generator, widest=WIDEST), config.longest)


def _changed(known: Lines, data: Data, config: Config, batch: Mapping[str, Tensor], generator: torch.Generator) -> Any:
    """Lines of the training folds, some with digits of others; in place of some, strings written with single digits."""
    rows = batch["rows"][0]
    rows = rows[torch.randperm(len(rows), generator=generator)]
    written = round(config.written * len(rows))
    spliced = round(config.spliced * (len(rows) - written)) if data.extra["marked"] else 0
    parts = [known.at(rows[written + spliced :])]
    if written:
        y = known.y[rows[:written]]
        y = torch.where(y < 0, -1, torch.randint(10, y.shape, generator=generator))
        glyphs, labels = data.extra["glyphs"]
        parts.append(compose_lines(glyphs, labels, y, generator))
    if spliced:
        parts.append(splice_lines(known, rows[written : written + spliced], 0.5, generator))
    return _observed(distort_lines(join_lines(*parts), generator, widest=WIDEST), config.longest)


def _observed(lines: Lines, longest: int | None = None) -> dict[str, Tensor]:
    """What the energy sees of lines, and with `longest` what each piece is."""
    cuts = cut_lines(lines.strokes, lines.widths, POSITIONS, LEAST)
    seen = {
        "x": pad(lines.ink, (0, WIDEST - lines.ink.shape[2])),
        "cuts": cuts.places,
        "length": cuts.pieces,
        "y": pad(lines.y, (0, POSITIONS - lines.y.shape[1]), value=-1),
    }
    return seen if longest is None else seen | {"names": name_pieces(cuts, lines.spans, lines.y, longest)}


def _characters(energy: CheckReader, batch: Mapping[str, Tensor]) -> Tensor:
    """Cross entropy of what each piece is; no-characters, of which there are many, count a quarter."""
    found = energy.names(batch["x"], batch["cuts"], batch["length"])
    weight = torch.ones(found.shape[-1], device=found.device).index_fill(
        0, torch.tensor(BAD, device=found.device), 0.25
    )
    return nll_loss(found.flatten(0, 2), batch["names"][:, : found.shape[1]].flatten(), weight)


def _strings(energy: CheckReader, batch: Mapping[str, Tensor]) -> Any:
    """Discriminative forward training: F(x, y) − F(x), through the graph."""
    possible = (batch["y"] >= 0).sum(1) <= batch["length"]
    batch = {name: value[possible] for name, value in batch.items()}
    return NegativeLogLikelihood("y")(_given(energy, batch).marginalize("z"), batch)


def _given(energy: CheckReader, line: Mapping[str, Tensor]) -> Energy:
    return energy.given(**{name: line[name] for name in ("x", "cuts", "length")})


class Judged(NamedTuple):
    """How held-out lines were read, in the order of the data."""

    right: Tensor  # (N,) bool
    probability: Tensor  # (N,): of the answer


def _judge(model: Any, config: Config, data: Data, stage: str) -> Judged:
    """Every line read by the reader that was not trained on it."""
    lines, count = _lines(data), len(data.train["y"])
    judged = Judged(torch.zeros(count, dtype=torch.bool), torch.zeros(count))
    for fold in range(config.folds):
        rows = (data.train["fold"] == fold).nonzero()[:, 0]
        for chunk in rows[lines.widths[rows].argsort()].split(CHUNK):
            seen = _observed(lines.at(chunk))
            found = readings(_given(model[f"{stage}_{fold}"], seen))
            judged.probability[chunk] = found.probabilities[:, 0]
            judged.right[chunk] = (found.strings[:, 0] == seen["y"]).all(1)
    return judged


def _by_fold(judged: Judged, data: Data, config: Config) -> Tensor:
    return torch.stack([100 * judged.right[data.train["fold"] == fold].float().mean() for fold in range(config.folds)])


def evaluate(model: Any, config: Config, data: Data) -> dict[str, float]:
    lines = _lines(data)
    figures: dict[str, float] = {}
    for stage in ("characters", "whole"):
        judged = _judge(model, config, data, stage)
        right, wrong = rejection_curve(judged.right, judged.probability)
        figures[f"{stage}_accuracy"] = 100 * float(judged.right.float().mean())
        figures[f"{stage}_spread"] = float(_by_fold(judged, data, config).std())
        figures[f"{stage}_correct_at_1_error"] = 100 * float(right[wrong <= 0.01].max())
    figures["gain"] = figures["whole_accuracy"] - figures["characters_accuracy"]
    cuts = cut_lines(lines.strokes, lines.widths, POSITIONS, LEAST)
    recall = cut_recall(cuts, lines.spans, (lines.y >= 0).sum(1)) if data.extra["marked"] else 0.0
    figures["cut_recall"] = 100 * recall
    return figures | _speed(model["whole_0"], lines)


def _speed(energy: CheckReader, lines: Lines) -> dict[str, float]:
    """Lines a second: the best path of composed lattices alone, and everything from normalised field to answer and confidence."""
    batch = lines.at(torch.arange(min(CHUNK, len(lines.y))))
    structure = _given(energy, _observed(batch)).structure("y", "z")[0]  # type: ignore[index]
    seconds = []
    for work in (lambda: structure.read(Min()), lambda: readings(_given(energy, _observed(batch)))):
        work()
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return {
        name: len(batch.y) / second
        for name, second in zip(("lattices_per_second", "lines_per_second"), seconds, strict=True)
    }


def tell(energy: Any, values: Mapping[str, Tensor], solution: Any) -> list[str]:
    """The amount, how sure the reader is of it, and what else it might be."""
    found = readings(_given(energy, values), count=4)
    told = []
    for strings, chances in zip(found.strings, found.probabilities.tolist(), strict=True):
        answer, *others = ((_text(string), chance) for string, chance in zip(strings, chances, strict=True))
        rejected = ", ".join(f"{text} ({chance:.3f})" for text, chance in others if chance > 5e-4)
        told.append(f"{answer[0]} (confidence {answer[1]:.3f}); rejected: {rejected or 'nothing else is likely'}")
    return told


def _text(string: Tensor) -> str:
    return "".join(str(digit) for digit in string.tolist() if digit >= 0)


def observe(paths: list[str], config: Config) -> dict[str, Tensor]:
    """Image files as the energy sees them."""
    fields = read_fields(paths, WIDEST)
    spans, y = [torch.zeros(1, 2)] * len(fields), [torch.tensor([0])] * len(fields)
    seen = _observed(gather_lines([field.ink for field in fields], [field.strokes for field in fields], spans, y))
    return {name: seen[name] for name in ("x", "cuts", "length")}


def draw(energy: CheckReader, values: Mapping[str, Tensor], solution: Any) -> list[Figure]:
    """The cuts on each line, and the pieces of the best path with their digits."""
    from ...report import segmentations

    return [
        segmentations(
            [_drawn(energy, {name: value[row : row + 1] for name, value in values.items()})], columns=1, width=5.0
        )
        for row in range(len(values["x"]))
    ]


def _drawn(energy: CheckReader, line: Mapping[str, Tensor], wanted: str = "") -> Any:
    """One line, its cuts, and the best path that spells its answer."""
    from ...report import CutLine

    found = _given(energy, line)
    answer = readings(found)
    path = found.structure("z", y=answer.strings[:, 0])[0].read(Min())[0][0].tolist()  # type: ignore[index]
    ends = [end for end, label in enumerate(path, 1) if label >= 0]
    pieces = [(first, last, str(path[last - 1])) for first, last in pairwise([0, *ends]) if path[last - 1] != JUNK]
    cuts = line["cuts"][0, : int(line["length"][0]) + 1].tolist()
    caption = f"{_text(answer.strings[0, 0])}, p = {float(answer.probabilities[0, 0]):.3f}"
    return CutLine(line["x"][0, :, : int(cuts[-1])], cuts, pieces, caption + (f"; labelled {wanted}" if wanted else ""))


def figures(model: Any, config: Config, data: Data) -> list[Any]:
    from ...report import Picture, bars
    from ...report import lines as chart

    judged = {stage: _judge(model, config, data, stage) for stage in ("characters", "whole")}
    curves = {stage: rejection_curve(*found) for stage, found in judged.items()}
    names = {"characters": "characters only", "whole": "trained through the graph"}
    folds = {f"{names[stage]}, fold {fold}": float(value) for stage, found in judged.items()
             for fold, value in enumerate(_by_fold(found, data, config))}  # fmt: skip
    whole, first = judged["whole"], data.train["fold"] == 0
    wrong = (~whole.right & first).nonzero()[:, 0]
    wrong = wrong[whole.probability[wrong].argsort(descending=True)]
    right, mistaken = ({names[stage]: curve[which] for stage, curve in curves.items()} for which in (0, 1))
    return [
        Picture("Lines of the first fold, as they are read",
                "Blue: cuts; orange: pieces of the best path that are digits; what lies between is junk.",
                _gallery(model["whole_0"], data, first.nonzero()[:, 0][:12])),
        Picture("Correct and wrong",
                "All held-out lines, the surest accepted first: what is neither correct nor wrong is rejected.",
                chart(right, mistaken, xlabel="read correctly, %", ylabel="read wrongly, %", levels={"1 % wrong": 1.0})),
        Picture("Each fold", "String accuracy on the fold that the reader was not trained on.",
                bars(folds, unit="%", label="strings read correctly")),
        Picture("The surest mistakes of the first fold", "Some are mistakes of the labels.",
                _gallery(model["whole_0"], data, wrong[:12])),
    ]  # fmt: skip


def _gallery(energy: CheckReader, data: Data, rows: Tensor) -> Figure:
    from ...report import segmentations

    seen = [_observed(_lines(data).at(row[None])) for row in rows]
    return segmentations([_drawn(energy, line, _text(line["y"][0])) for line in seen])


register(
    System(
        name="check_reader",
        title="Check reader: a graph of candidate characters, a grammar, and training through both",
        rows=("R04",),
        paper="LeCun, Bottou, Bengio & Haffner 1998",
        config=Config,
        presets={
            "smoke": {"images": "digits", "glyphs": "digits", "folds": 2, "glyph_steps": 4, "character_steps": 4, "whole_steps": 4,
                      "channels": (4, 8, 8, 12, 16), "bfloat16": False},
        },
        build=build,
        data=data,
        train=train,
        evaluate=evaluate,
        figures=figures,
        main="whole_0",
        unknown="y",
        read=observe,
        tell=tell,
        draw=draw,
        metrics=(
            Metric("whole_accuracy", "higher", gate=82.0, gate_source="own; ICFHR 2014's winner: 80.7", paper=89.75, unit="%",
                   about="Strings read correctly by the reader of the fold, trained through the graph; beside it the best "
                   "published figure, of another net on the full set's own split."),
            Metric("whole_spread", "lower", unit="%", about="Standard deviation of that over the folds."),
            Metric("characters_accuracy", "higher", unit="%", about="The same before training through the graph."),
            Metric("characters_spread", "lower", unit="%", about="Standard deviation of that over the folds."),
            Metric("gain", "higher", gate=0.0, gate_source="own", unit="%", about="What training through the graph adds."),
            Metric("whole_correct_at_1_error", "higher", gate=50.0, gate_source="LeCun et al. 1998, X-D", paper=82.0, unit="%",
                   about="Strings read correctly when so many are rejected that at most 1 % of all are read wrongly; the "
                   "paper's is of machine-printed business checks."),
            Metric("characters_correct_at_1_error", "higher", paper=68.0, unit="%",
                   about="The same from characters only; the paper's is of its earlier system."),
            Metric("cut_recall", "higher", unit="%",
                   about="Boundaries of digits that have a cut in their gap, give or take 2 columns of a line 26 high; 0 if "
                   "nobody marked the digits."),
            Metric("lattices_per_second", "higher", gate=300.0, gate_source="own",
                   about="Best paths of a batch of 64 composed lattices."),
            Metric("lines_per_second", "higher", about="Lines from normalised field to answer and confidence."),
        ),
    )
)  # fmt: skip
