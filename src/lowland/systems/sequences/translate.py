"""Translation: four networks say the next word, one search finds the sentence.

    E(x, y) = Σ_t −log p(y_t | y_1 … y_{t−1}, x)
    ŷ       = argmin_y E(x, y) / ((5 + |y|) / 6)^α            by beam search

They differ in how y_t depends on x. An encoder–decoder squeezes x into the state in which the writer begins; attention lets each state
look back at all of x: its weights are the gradient of a free energy over positions; gated convolutions do that in every block, without
recurrence; the Transformer looks at y in the same way, too.

Training: Multi30k's 29,000 captions, as parts of words (4,000 in each language, learnt on the training split, case kept). AdamW, warm-up
    and cosine to 0, smoothed labels, running average of the weights, batches of sentences that are about equally long, bfloat16 on a
    CPU (``--precision bf16-mixed``); evaluation is in single precision. α is chosen on the validation split;
    sizes and rates are usual ones, and the passes are what an hour of a busy machine had room for.
No collapse: at every place the probabilities of all symbols add up to 1, so lowering one raises the others.
Sources: Sutskever, Vinyals & Le, NIPS 2014; Cho et al., EMNLP 2014; Bahdanau, Cho & Bengio, ICLR 2015; Luong, Pham & Manning, EMNLP 2015;
    Gehring, Auli, Grangier, Yarats & Dauphin, ICML 2017; Vaswani et al., NIPS 2017; Wu et al. (2016) for the search. The reference
    figures are those of Trevett's notebooks (pytorch-seq2seq), with another tokeniser and scorer: words of spaCy in lower case.
Expect: BLEU of the test split of 2016, seed 0 (sacrebleu, lower case, 13a): 39.9 by the Transformer in 8 passes, 35.3 by gated convolutions
    in 4, 34.1 with attention in 7, 21.4 by the encoder–decoder in 5; 37.1 by the Transformer from English to German. On the third
    with the longest sentences 36.7, 34.1, 31.8 and 18.1 of the first four: what attention is worth grows from 12 to 14. Words spelt alike
    are written looking at their like: 87, 80 and 80 % of them. The times in the ledger are those of a busy machine; alone, a
    pass takes one core 1.5 minutes.
Known failure: captions are all it knows: of words it has not seen it makes up others ("Gulasch").

Your own text: ``lowland train translate --data my.de my.en``; then ``lowland infer RUN - < new.de`` translates line by line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor

from ... import spaces
from ...data import KeptTokenizer, Tokenizer, bleu, parallel_text, spelt
from ...energy import Autoregressive, NextSymbol, stepwise
from ...inference import Beam, infer
from ...nets import GatedConvolution, Recurrent, Transformer
from ...objectives import LabelSmoothing
from ...spaces import NOTHING
from ...system import Data, Metric, System, register
from ...train import Player, cosine_decay

UNKNOWN = 0  # the symbol of what the vocabulary lacks: it may be read, and is never written
CHUNK = 100  # sentences translated at once
TUNED = 400  # sentences that α is chosen on


@dataclass(frozen=True)
class Config:
    """Configuration of a translator."""

    data: tuple[str, ...] = ("multi30k",)
    """Text: multi30k, numbers (embedded), or two files whose lines translate each other, the source first."""
    source: str = "de"
    """Language that is read: de, en or fr of multi30k."""
    target: str = "en"
    """Language that is written."""
    net: Literal["transformer", "convolutional", "attention", "encoder_decoder"] = "transformer"
    """What says the next symbol."""
    backwards: bool = False
    """Whether the recurrent nets read the source from its end alone."""
    kind: Literal["pair", "word"] = "pair"
    """Symbols: parts of words made of frequent pairs, or what stands between spaces."""
    symbols: int = 4000
    """At most so many in each language."""
    longest: int = 100
    """Symbols of a sentence at most; longer ones are left out of the training."""
    dim: int = 256
    """Length of what stands for a symbol."""
    hidden: int = 512
    """Units of a recurrent state, or in the middle of the network at each position of a Transformer."""
    blocks: int = 3
    """Layers of the encoder and of the decoder."""
    dropped: float = 0.1
    """Share of units that dropout leaves out."""
    epochs: int = 8
    """Passes over the data."""
    batch_size: int = 64
    """Sentences a step."""
    rate: float = 1e-3
    """Largest step of AdamW, in units of weight."""
    warm_up: float = 0.15
    """Part of the training in which the step grows."""
    smoothing: float = 0.1
    """Share of the pull that goes to all symbols alike."""
    average: float = 0.99
    """Decay of the running average of the weights, a step."""
    width: int = 5
    """Beginnings that the search keeps."""
    length_weights: tuple[float, ...] = (0.0, 0.6, 1.2)
    """α to choose among by BLEU of held-out sentences: how much is made up for what a longer sentence pays."""


class Translation(Autoregressive):
    """The energy, how both languages are spelt, and the α that suits the search."""

    @classmethod
    def example(cls) -> Translation:
        return cls(Transformer(5, 5, dim=8, heads=2, blocks=1, hidden=8, dropped=0.0), Config(symbols=5, longest=4))

    def __init__(self, network: NextSymbol, config: Config) -> None:
        space = spaces.Sequence(config.symbols, config.longest)
        super().__init__(network, space, space)
        self.source, self.target = KeptTokenizer(), KeptTokenizer()
        self.length_weight: Tensor
        self.register_buffer("length_weight", torch.tensor(0.0))


def build(config: Config) -> Translation:
    words = {"vocabulary": config.symbols, "source": config.symbols, "dim": config.dim, "dropped": config.dropped}
    if config.net == "transformer":
        return Translation(Transformer(**words, hidden=config.hidden, blocks=config.blocks), config)
    if config.net == "convolutional":
        return Translation(GatedConvolution(**words, dilations=(1,) * config.blocks), config)
    attention = "dot" if config.net == "attention" else None
    return Translation(
        Recurrent(**words, hidden=config.hidden, layers=config.blocks, cell="GRU", attention=attention,
                  backwards=config.backwards),
        config,
    )  # fmt: skip


def data(config: Config) -> Data:
    text = parallel_text(config.data, config.source, config.target)
    splits, texts, tokenizers = spelt(text, config.kind, config.symbols, config.longest)
    extra = {"texts": texts, "tokenizers": tokenizers}
    return Data(splits["train"], splits["validation"], splits["test"], text.sources, extra=extra)


def train(energy: Any, config: Config, data: Data, trainer: Any) -> None:
    trainer.once("tokenizers", partial(keep, energy, data))
    trainer.fit(
        config.net,
        Player(
            config.net,
            energy,
            partial(LabelSmoothing(config.smoothing), energy),
            optimizer=partial(torch.optim.AdamW, lr=config.rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True),
            schedule=partial(cosine_decay, warm_up=config.warm_up),
            clip=1.0,
            average=config.average,
        ),
        data.train,
        epochs=config.epochs,
        batch_size=config.batch_size,
        lengths=sum((values != NOTHING).sum(1) for values in data.train.values()),  # type: ignore[arg-type]
        validate=lambda: {"validation_cost": cost(energy, data.validation)},
    )
    trainer.once("length_weight", partial(tune, energy, config, data))


def keep(energy: Translation, data: Data) -> None:
    """How both languages are spelt becomes a part of the model."""
    for kept, tokenizer in zip((energy.source, energy.target), data.extra["tokenizers"], strict=True):
        kept.keep(tokenizer)


@torch.no_grad()
def tune(energy: Translation, config: Config, data: Data) -> dict[str, float]:
    """Take the weight for length that is best on sentences held out; BLEU by weight."""
    x, references = data.validation["x"][:TUNED], data.extra["texts"]["validation"][1][:TUNED]
    found = {}
    for weight in config.length_weights:
        energy.length_weight.fill_(weight)
        found[str(weight)] = bleu(translated(energy, config, x), references)
    energy.length_weight.fill_(float(max(found, key=found.__getitem__)))
    return found


def cost(energy: Any, batch: Mapping[str, Tensor]) -> float:
    """Mean energy of a symbol, in nats, ends included."""
    order = (batch["y"] != NOTHING).sum(1).argsort().split(CHUNK)
    total = sum(float(energy(x=batch["x"][rows], y=batch["y"][rows]).sum()) for rows in order)
    return total / float((batch["y"] != NOTHING).sum() + len(batch["y"]))


def search(energy: Any, config: Config) -> Beam:
    return Beam(config.width, length_weight=float(energy.length_weight), forbidden=(UNKNOWN,))


def translated(energy: Any, config: Config, x: Tensor) -> list[str]:
    """The sentences of lowest energy, of about equally long ones at once."""
    order = (x != NOTHING).sum(1).argsort()
    found = [infer(energy, "y", x=x[rows], solver=search(energy, config)).value for rows in order.split(CHUNK)]
    texts = energy.target.tokenizer.decode(torch.cat(found))
    return [texts[place] for place in order.argsort().tolist()]


def evaluate(energy: Any, config: Config, data: Data) -> dict[str, float]:
    answers = translated(energy, config, data.test["x"])
    sources, references = data.extra["texts"]["test"]
    figures = {
        "bleu": bleu(answers, references),
        "cost": cost(energy, data.test),
        "alignment": alignment(energy, data.test),
    }
    for name, rows in thirds(sources).items():
        figures[f"bleu_{name}"] = bleu([answers[i] for i in rows], [references[i] for i in rows])
    return figures


def thirds(sources: Sequence[str]) -> dict[str, list[int]]:
    """The shortest, middling and longest sentences, by words of the source."""
    order = sorted(range(len(sources)), key=lambda i: (len(sources[i].split()), i))
    cut = [round(len(order) * part / 3) for part in range(4)]
    return {name: order[cut[i] : cut[i + 1]] for i, name in enumerate(("short", "medium", "long"))}


@torch.no_grad()
def looked(energy: Any, x: Tensor, y: Tensor) -> Tensor | None:
    """How much the net looked at each symbol of x to write each of y, and its end: ``(N, T + 1, S)``; `None` if it can't look."""
    steps = stepwise(energy.given(x=x))
    memory, symbol, seen = steps.begin(len(y), 1), y.new_full((len(y), 1), energy.sequence.vocabulary), []
    for place in range(int((y != NOTHING).sum(1).max()) + 1):
        _, memory = steps.extend(symbol, memory)
        if (weights := steps.attention(memory)) is None:
            return None
        seen.append(weights[:, 0])
        symbol = y[:, place : place + 1].clamp_min(0)
    weights = torch.stack(seen, 1)
    return weights * (x != NOTHING)[:, None, : weights.shape[2]]


def alignment(energy: Any, batch: Mapping[str, Tensor]) -> float:
    """Of the words spelt alike in both languages, the share that the net writes looking at their like, in per cent; 0 if it can't look."""
    right = total = 0
    for rows in torch.arange(len(batch["x"])).split(CHUNK):
        x, y = batch["x"][rows], batch["y"][rows]
        seen = looked(energy, x, y)
        if seen is None:
            return 0.0
        for one, other, weights in zip(x.tolist(), y.tolist(), seen, strict=True):
            read, written = words(energy.source.tokenizer, one), words(energy.target.tokenizer, other)
            for word in read.keys() & written.keys():
                right += int(weights[written[word].start].argmax()) in read[word]
                total += 1
    return 100 * right / max(total, 1)


def words(tokenizer: Tokenizer, symbols: list[int]) -> dict[str, range]:
    """Words of three letters or more that occur once, and where their symbols are."""
    pieces = [tokenizer.symbol(index) for index in symbols if index != NOTHING]
    apart = any(piece.startswith("▁") for piece in pieces)  # else each symbol is a word
    starts = [i for i, piece in enumerate(pieces) if not (apart and piece.isalnum())]
    found: dict[str, list[range]] = {}
    for start, end in pairwise([*starts, len(pieces)]):
        word = "".join(pieces[start:end]).lstrip("▁").lower()
        if len(word) >= 3 and word.isalpha():
            found.setdefault(word, []).append(range(start, end))
    return {word: places[0] for word, places in found.items() if len(places) == 1}


def figures(energy: Any, config: Config, data: Data) -> list[Any]:
    from ...report import Picture, table

    sources, references = data.extra["texts"]["test"]
    rows = thirds(sources)
    shown = [i for part in rows.values() for i in part[:: max(1, len(part) // 4)]][:12]
    answers = translated(energy, config, data.test["x"][shown])
    found = [(sources[i], answer, references[i]) for i, answer in zip(shown, answers, strict=True)]
    looks = [rows["medium"][0], rows["long"][0]]
    asked = {"x": data.test["x"][looks]}
    drawn = draw(energy, asked, infer(energy, "y", **asked, solver=search(energy, config)))
    pictures = [
        Picture("Where it looked", f"Each row is a symbol that was written, for `{sources[i]}`: how much the net looked at each symbol "
                "of the source to write it. ▁ begins a word.", figure)
        for i, figure in zip(looks, drawn, strict=False)
    ]  # fmt: skip
    return [
        *pictures,
        Picture("Translations", "Sentences of the test split: from short to long.", table(found, ("source", "found", "reference"))),
    ]  # fmt: skip


def lines(energy: Any, texts: Sequence[str]) -> dict[str, Tensor]:
    return {"x": energy.source.tokenizer.encode(texts, longest=energy.sequence.length)}


def tell(energy: Any, values: Mapping[str, Tensor], solution: Any) -> list[str]:
    return energy.target.tokenizer.decode(solution.value)


def draw(energy: Any, values: Mapping[str, Tensor], solution: Any) -> list[Any]:
    """What was looked at in the source to write each symbol, where the net can look."""
    seen = looked(energy, values["x"], solution.value)
    if seen is None:
        return []
    return [_alignment(energy, *one) for one in zip(values["x"].tolist(), solution.value.tolist(), seen, strict=True)]


def _alignment(energy: Any, x: list[int], y: list[int], seen: Tensor) -> Any:
    from ...report import house_style, panels

    read = [energy.source.tokenizer.symbol(i) for i in x if i != NOTHING]
    written = [*(energy.target.tokenizer.symbol(i) for i in y if i != NOTHING), "(end)"]
    figure, axes = panels(1, 1, width=1.5 + 0.26 * len(read), height=1.2 + 0.22 * len(written))
    with house_style():
        place = axes[0, 0]
        place.imshow(seen[: len(written), : len(read)].numpy(), cmap="Blues", vmin=0, vmax=1, aspect="auto")
        place.set_xticks(range(len(read)), read, rotation=60, ha="right", fontsize=7)
        place.set_yticks(range(len(written)), written, fontsize=7)
    return figure


register(
    System(
        name="translate",
        title="Translation: an encoder–decoder, attention, gated convolutions and the Transformer",
        rows=("R28", "R29"),
        paper="Sutskever et al. 2014; Bahdanau et al. 2015; Gehring et al. 2017; Vaswani et al. 2017",
        config=Config,
        presets={
            "smoke": {
                "data": ("numbers",), "symbols": 80, "longest": 12, "dim": 64, "hidden": 128, "blocks": 1, "epochs": 12,
                "batch_size": 32, "length_weights": (0.0,), "rate": 4e-3, "dropped": 0.0, "width": 2,
            },
            "english_german": {"source": "en", "target": "de"},
            "convolutional": {"net": "convolutional", "blocks": 4, "dropped": 0.15, "epochs": 4},
            "attention": {"net": "attention", "blocks": 1, "dropped": 0.2, "epochs": 7},
            "encoder_decoder": {"net": "encoder_decoder", "blocks": 1, "dropped": 0.2, "epochs": 5, "rate": 1.5e-3},
        },
        build=build,
        data=data,
        train=train,
        evaluate=evaluate,
        figures=figures,
        lines=lines,
        tell=tell,
        draw=draw,
        solver=search,
        metrics=(
            Metric("bleu", "higher", gate=36.5, gate_source="Trevett's notebooks, another tokeniser and scorer", paper=36.5,
                   about="BLEU of Multi30k's test split of 2016 by beam search: sacrebleu, nrefs:1|case:lc|eff:no|tok:13a|smooth:exp.",
                   presets={
                       "english_german": {"gate": None, "gate_source": "", "paper": None},
                       "convolutional": {"gate": 34.1, "paper": 34.1},
                       "attention": {"gate": 28.3, "paper": 28.3},
                       "encoder_decoder": {"gate": 20.6, "paper": 20.6},
                   }),
            Metric("bleu_short", "higher", about="The same of the third of the sentences whose source has the fewest words."),
            Metric("bleu_medium", "higher", about="The same of the middle third."),
            Metric("bleu_long", "higher", about="The same of the third with the most."),
            Metric("alignment", "higher", unit="%",
                   about="Words spelt alike in both languages that are written looking at their like; 0 for a net that can't look."),
            Metric("cost", "lower", unit="nats", about="Mean energy of a symbol of the references of the test split, ends included."),
        ),
    )
)  # fmt: skip
