"""Word vectors: words that are used alike lie close together, and so do words that are written alike.

    E(x, y) = −⟨u(x), v_y⟩ − log p(y) − log ν      x: a word, as what it is written with;  y: a word that stands beside it
    u(x)    = mean of the vectors of the word itself, if it was seen, and of its parts of three to five letters

The same contrast as negative sampling, written as what it is: noise-contrastive estimation of which words meet, the noise's own density in
the energy. An unseen word has no vector of its own, but it has parts. In the same run: the same without parts; PPMI–SVD of the very same
pairs; the neural probabilistic language model beside Kneser–Ney counts; and topics of questions by a bag of words and pairs of words.

Training: Penn Treebank's words. Skip-gram: Adam on noise-contrastive estimation (strategy C2), noise p^¾, frequent words thinned out,
    windows of random width. The language model and the topics: maximum likelihood (C1), rates that fall to zero.
No collapse: a flat energy can't tell neighbours from noise; for the others the probabilities add up to 1.
Sources: Mikolov, Sutskever, Chen, Corrado & Dean, NIPS 2013; Gutmann & Hyvärinen, AISTATS 2010; Bojanowski, Grave, Joulin & Mikolov, TACL 5
    (2017); Joulin, Grave, Bojanowski & Mikolov, EACL 2017; Bengio et al., JMLR 3 (2003); Levy & Goldberg, NIPS 2014 (PPMI–SVD).
Differences: 1. A million words in place of billions. 2. No WordSim and no Google analogies are to be had here. Words count as synonyms if
    dictionaries give them the same translation in two languages of seven or more; analogies are inflections made by rule from the
    vocabulary (company : companies), which favours vectors that see letters: the same vectors without parts are reported beside. 3. No AG
    News either: topics are domains of Freebase that SimpleQuestions ask about, the twenty most frequent, learnt from its validation part.
    4. Every twentieth word of the vocabulary below rank 1,000 is hidden from the skip-gram, to be asked for as an unseen one.
Expect: synonyms lie nearer than 78.9 % of the words with parts, 70.9 % without, 72.3 % by PPMI–SVD; 52.1, 0.6 and 2.4 % of the analogies;
    a neighbour of a hidden word is told from another's 52.9 times in 100; perplexity 141.4 by the window, 141.1 by counts, 115.2 by both;
    topics 84.7 %, by words alone 84.6 % (seed 0).
Known failure: without parts, vectors of a million words are worse than PPMI–SVD's. The letters of a hidden word say next to nothing of the
    words it stands beside. The window alone is no better than counts after four passes: what it knows is what they don't, so that both
    together are 26 below. Pairs of words tell a topic hardly better than words do.

``echo respelling | lowland infer RUN -`` gives the nearest words of a word a line, seen or not; ``lowland embed RUN FILE`` their vectors;
``lowland train word_vectors --data my.txt`` learns from your own text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.distributions import Categorical as Draws
from torch.nn.functional import normalize
from torch.optim.lr_scheduler import LambdaLR

from ...data import (
    LONGEST_TEXT,
    LONGEST_WORD,
    KeptTokenizer,
    Tokenizer,
    dataset,
    inflections,
    neighbours,
    parallel_text,
    read_lines,
    streams,
    synonyms,
    text_pieces,
    word_pieces,
)
from ...energy import Autoregressive, Energy, NetworkTable, SkipGram, mixed
from ...nets import KneserNey, Window
from ...objectives import (
    NegativeLogLikelihood,
    NoiseContrastive,
    Objective,
    TruncatedLikelihood,
    analogies,
    auroc,
    nearness,
)
from ...spaces import NOTHING, Sequence
from ...system import Data, Metric, System, register
from ...train import Player

END = "<eos>"
#: Symbols in a piece of a text.
PIECE = 35


@dataclass(frozen=True)
class Config:
    """How vectors are learnt and judged."""

    data: str = "ptb"
    """Text: ptb, numbers (embedded, in words), or a file of your own."""
    vocabulary: int = 10_000
    """At most so many words."""
    dim: int = 100
    """Length of a vector."""
    buckets: int = 30_000
    """Parts of words share this many vectors, by hashing."""
    window: int = 4
    """Words beside a word that may count as its neighbours, on either side."""
    thin: float = 1e-4
    """Words more frequent than this are thinned out."""
    negatives: int = 5
    """ν: draws of noise for each pair."""
    epochs: int = 4
    """Times through the pairs."""
    batch_size: int = 4096
    """Pairs in a batch."""
    rate: float = 1e-2
    """Step size of Adam for the skip-gram at the start, in units of the weights; it falls to zero."""
    seen: int = 5
    """Words before that the language model sees."""
    hidden: int = 128
    """Its width."""
    text_epochs: int = 4
    """Times through the text for it."""
    text_rate: float = 3e-3
    """Its step size."""
    order: int = 5
    """Longest grams that Kneser–Ney counts."""
    topics: int = 20
    """Domains that questions are sorted into; 0 for no questions."""
    topic_epochs: int = 5
    """Times through the questions."""


class Bag(nn.Module):
    """The mean of the vectors of all that a text has, and one layer upon it."""

    def __init__(self, buckets: int, dim: int, kinds: int) -> None:
        super().__init__()
        self.pieces = nn.EmbeddingBag(buckets + 1, dim, mode="mean", padding_idx=buckets)
        self.output = nn.Linear(dim, kinds)

    def forward(self, x: Int64[Tensor, "N P"]) -> Float[Tensor, "N K"]:
        return self.output(self.pieces(torch.where(x == NOTHING, len(self.pieces.weight) - 1, x)))


def build(config: Config) -> nn.ModuleDict:
    words, dim = config.vocabulary, config.dim
    model = {
        "skip_gram": SkipGram(words, words + config.buckets, LONGEST_WORD, dim),
        "whole": SkipGram(words, words + config.buckets, LONGEST_WORD, dim),
        "window": Autoregressive(Window(words, config.hidden, config.seen, dropped=0.1), Sequence(words, PIECE)),
    }
    model["skip_gram"].add_module("kept", KeptTokenizer())
    for name in ("topics", "words_alone") if config.topics else ():
        bag = Bag(config.buckets, dim // 2, config.topics)
        model[name] = NetworkTable(bag, Sequence(config.buckets, LONGEST_TEXT), config.topics)
    return nn.ModuleDict(model)


# --- data ---------------------------------------------------------------------------------------------------------------


def settle(config: Config) -> Config:
    """A text has as many words as it has, and only Penn Treebank comes with questions."""
    if config.data == "ptb":
        return config
    tokenizer = Tokenizer.learn(_lines(config)[0]["train"], "word", config.vocabulary)
    return replace(config, vocabulary=tokenizer.vocabulary, topics=0 if config.data != "numbers" else config.topics)


def _lines(config: Config) -> tuple[dict[str, list[str]], dict[str, Any]]:
    if config.data == "ptb":
        found = dataset("ptb")
        names = {"train": "train", "validation": "valid", "test": "test"}
        lines = {ours: found.load(theirs)["text"] for ours, theirs in names.items()}
        sources = {"ptb": found.record(*found.splits)}
    elif config.data == "numbers":
        numbers = parallel_text(("numbers",))
        lines = {"train": numbers.train[1], "validation": numbers.validation[1], "test": numbers.test[1]}
        sources = numbers.sources
    else:
        mine = read_lines(config.data)
        cuts = [0, len(mine) * 17 // 20, len(mine) * 9 // 10, len(mine)]
        lines = {name: mine[cuts[k] : cuts[k + 1]] for k, name in enumerate(("train", "validation", "test"))}
        sources = {config.data: {"split": "all", "samples": len(mine), "sha256": {}}}
    return {name: [f"{line} {END}" for line in part] for name, part in lines.items()}, sources


def data(config: Config) -> Data:
    lines, sources = _lines(config)
    tokenizer = Tokenizer.learn(lines["train"], "word", config.vocabulary)
    long = {name: (rows := tokenizer.encode(part))[rows != NOTHING] for name, part in lines.items()}
    words = [tokenizer.symbol(k) for k in range(tokenizer.vocabulary)]
    often = torch.bincount(long["train"], minlength=len(words))
    meant = torch.tensor([word.isalpha() for word in words])
    rare = [k for k in often.argsort(descending=True, stable=True).tolist() if meant[k]][min(1000, len(words) // 2) :]
    known = meant.clone()
    known[rare[::20]] = False
    width = (config.window, config.thin, torch.Generator().manual_seed(0))
    x, y = neighbours(long["train"], known, often, *width)
    unseen = neighbours(long["test"], meant, often, *width)
    unseen = unseen[:, ~known[unseen[0]] & known[unseen[1]]]
    questions, asked = _questions(config)
    written = word_pieces(words, tokenizer, config.buckets)
    return Data(
        train={"x": x, "y": y, **questions["train"]},
        validation={"text": long["validation"], **questions["validation"]},
        test={"text": long["test"], "x": unseen[0], "y": unseen[1], **questions["test"]},
        sources={**sources, **asked},
        extra={
            "text": long["train"], "tokenizer": tokenizer.to_json(), "often": often, "known": known, "written": written,
            "whole": written.where(torch.arange(LONGEST_WORD) == 0, NOTHING),
        },
    )  # fmt: skip


def _questions(config: Config) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """Questions and their domains: bags with pairs of words, and without; numbers are asked whether they have hundreds."""
    if not config.topics:
        return {"train": {}, "validation": {}, "test": {}}, {}
    if config.data == "numbers":
        said = parallel_text(("numbers",))
        found = {"train": said.train[1], "validation": said.validation[1], "test": said.test[1]}
        asked = {name: (part, [int("hundred" in text) for text in part]) for name, part in found.items()}
        sources: dict[str, Any] = {}
    else:
        described = dataset("simplequestions")
        parts = {split: described.load(split) for split in described.splits}
        domains = {split: [relation.split("/")[1] for relation in part["relation"]] for split, part in parts.items()}
        kinds = [name for name, _ in Counter(domains["valid"]).most_common(config.topics)]
        asked = {}
        for split, part in parts.items():
            rows = [
                (text, kinds.index(name))
                for text, name in zip(part["question"], domains[split], strict=True)
                if name in kinds
            ]
            asked[split] = ([text for text, _ in rows], [kind for _, kind in rows])
        texts, labels = asked.pop("valid")
        asked = {
            "train": (texts[1000:], labels[1000:]),
            "validation": (texts[:1000], labels[:1000]),
            "test": asked["test"],
        }
        sources = {"simplequestions": described.record(*described.splits)}
    return {
        name: {
            "topics": text_pieces(texts, config.buckets),
            "words_alone": text_pieces(texts, config.buckets, pairs=False),
            "topic": torch.tensor(labels),
        }
        for name, (texts, labels) in asked.items()
    }, sources


# --- training -----------------------------------------------------------------------------------------------------------


def train(model: Any, config: Config, data: Data, trainer: Any) -> None:
    extra = data.extra
    noise = (extra["often"] * extra["known"]).float().pow(0.75).clamp_min(1e-9)
    contrast = NoiseContrastive(Draws(noise), config.negatives, name="y")
    pairs = {"x": data.train["x"], "y": data.train["y"]}

    def begin() -> None:
        model["skip_gram"].kept.keep(Tokenizer.from_json(extra["tokenizer"]))
        for name in ("skip_gram", "whole"):
            model[name].against(noise / noise.sum(), config.negatives)

    trainer.once("begin", begin)
    for name, table in (("skip_gram", extra["written"]), ("whole", extra["whole"])):
        trainer.fit(
            name,
            _player(name, model[name], contrast, config.rate),
            pairs,
            epochs=config.epochs,
            batch_size=config.batch_size,
            drop_last=True,
            transform=lambda batch, generator, table=table: {"x": table[batch["x"]], "y": batch["y"]},
        )
    held = data.validation["text"]
    trainer.fit(
        "window",
        _player("window", model["window"], TruncatedLikelihood(), config.text_rate),
        {"y": streams(extra["text"], 20, PIECE)},
        epochs=config.text_epochs,
        batch_size=20,
        shuffle=False,
        validate=lambda: {"validation_perplexity": costs(model["window"], held).mean().exp().item()},
    )
    for name in ("topics", "words_alone") if config.topics else ():
        asked = {"x": data.train[name], "y": data.train["topic"]}
        player = _player(name, model[name], NegativeLogLikelihood(), 1e-2)
        trainer.fit(name, player, asked, epochs=config.topic_epochs, batch_size=64)


def _player(name: str, energy: Energy, objective: Objective, rate: float) -> Player:
    """Adam, its rate falling to zero in a straight line."""
    return Player(
        name,
        energy,
        lambda batch: objective(energy, batch),
        optimizer=lambda parameters: torch.optim.Adam(parameters, lr=rate),
        schedule=lambda optimizer, steps: LambdaLR(optimizer, lambda step: 1 - step / (steps + 1)),
        clip=1.0,
        memory={"objective": objective},
    )


# --- figures of merit ---------------------------------------------------------------------------------------------------


@torch.no_grad()
def costs(energy: Autoregressive, text: Int64[Tensor, " L"]) -> Float[Tensor, " L"]:
    """−log p of each symbol of a text, in nats, all that came before in reach."""
    onward = Autoregressive(energy.network, Sequence(energy.sequence.vocabulary, 10 * PIECE))
    reads = TruncatedLikelihood()
    pieces = nn.functional.pad(text, (0, -len(text) % (10 * PIECE)), value=NOTHING).split(10 * PIECE)
    return torch.cat([reads.costs(onward, {"y": piece[None]})[0] for piece in pieces])[: len(text)]


def svd_vectors(x: Tensor, y: Tensor, words: int, dim: int) -> Float[Tensor, "V D"]:
    """Positive pointwise mutual information of the pairs, and its first singular vectors, times the roots of the singular values."""
    import numpy as np
    from scipy.sparse import coo_matrix
    from sklearn.utils.extmath import randomized_svd

    counts = coo_matrix((np.ones(len(x)), (x.numpy(), y.numpy())), shape=(words, words)).tocsr().tocoo()
    one = np.asarray(counts.sum(1)).ravel()
    beside = np.asarray(counts.sum(0)).ravel() ** 0.75
    mutual = np.log(counts.data * beside.sum() / (one[counts.row] * beside[counts.col]))
    positive = coo_matrix((np.maximum(mutual, 0), (counts.row, counts.col)), shape=(words, words)).tocsr()
    u, s, _ = randomized_svd(positive, min(dim, words - 1), random_state=0)
    return torch.from_numpy(u * np.sqrt(s)).float()


def evaluate(model: Any, config: Config, data: Data) -> dict[str, float]:
    return {
        **_vectors(model, config, data),
        **_perplexities(model["window"], config, data),
        **_topics(model, config, data),
    }


def _vectors(model: Any, config: Config, data: Data) -> dict[str, float]:
    extra, spelt = data.extra, _words(model["skip_gram"])
    known, often = extra["known"].cpu(), extra["often"].cpu()
    tables = {"skip_gram": "written", "whole": "whole"}
    vectors = {name: model[name].vectors(extra[table]).cpu() for name, table in tables.items()}
    vectors["svd"] = svd_vectors(data.train["x"].cpu(), data.train["y"].cpu(), config.vocabulary, config.dim)
    families = inflections(spelt, known, often)
    same = (
        synonyms(spelt, known)[1::2] if config.data == "ptb" else torch.tensor([[1, 2]])
    )  # the others were for tuning
    found = {f"{name}_synonyms": 100 * nearness(vectors[name], same, known) for name in vectors}
    found |= {f"{name}_analogies": 100 * analogies(vectors[name], families, known) for name in vectors}
    for kind in ("synonyms", "analogies"):
        found[f"{kind}_above_svd"] = found[f"skip_gram_{kind}"] - found[f"svd_{kind}"]
    return {**found, "unseen_auroc": _unseen(model["skip_gram"], data)}


def _unseen(energy: SkipGram, data: Data) -> float:
    """How often a neighbour of a hidden word, known by its parts alone, lies lower than a neighbour of another hidden word."""
    x, y = data.test["x"], data.test["y"]
    rows = data.extra["written"][x].clone()
    rows[:, 0] = NOTHING  # the word's own vector, which nothing has trained
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(0)).to(y.device)
    return auroc(energy(x=rows, y=y), energy(x=rows, y=y[order])) if len(y) else 0.5


def _perplexities(energy: Autoregressive, config: Config, data: Data) -> dict[str, float]:
    text, held = data.test["text"], data.validation["text"]
    counts = KneserNey(data.extra["text"].cpu(), config.vocabulary, config.order)
    net, early = costs(energy, text).cpu(), costs(energy, held).cpu()
    grams, before = counts.costs(text.cpu()), counts.costs(held.cpu())
    share = min((k / 20 for k in range(1, 20)), key=lambda share: float(mixed(early, before, share).mean()))
    found = {"window": net, "kneser_ney": grams, "mixture": mixed(net, grams, share)}
    perplexities = {f"{name}_perplexity": cost.mean().exp().item() for name, cost in found.items()}
    return {
        **perplexities,
        "below_kneser_ney": perplexities["kneser_ney_perplexity"] - perplexities["mixture_perplexity"],
    }


def _topics(model: Any, config: Config, data: Data) -> dict[str, float]:
    """% of the questions whose domain is found; 0 if none are asked."""
    found: dict[str, float] = {"topics_accuracy": 0.0, "words_alone_accuracy": 0.0}
    for name in ("topics", "words_alone") if config.topics else ():
        answers = model[name].costs(data.test[name]).argmin(1)
        found[f"{name}_accuracy"] = 100 * (answers == data.test["topic"]).float().mean().item()
    return found


# --- pictures, and what a user may ask ----------------------------------------------------------------------------------


def lines(energy: SkipGram, texts: list[str]) -> dict[str, Tensor]:
    """A word each."""
    tokenizer = _kept(energy)
    buckets = energy.pieces.num_embeddings - 1 - tokenizer.vocabulary
    return {"x": word_pieces([text.strip().lower() for text in texts], tokenizer, buckets)}


@torch.no_grad()
def nearest(energy: SkipGram, x: Int64[Tensor, "N P"], count: int = 8) -> list[list[str]]:
    """The words whose vectors point most nearly the same way, the word itself left out."""
    words = _words(energy)
    every = normalize(energy.vectors(lines(energy, words)["x"].to(x.device)), dim=1)
    near = normalize(energy.vectors(x), dim=1) @ every.T
    near[:, [k for k, word in enumerate(words) if not word.isalpha()]] = -torch.inf
    own = (x[:, 0] >= 0) & (x[:, 0] < len(words))
    near[own.nonzero()[:, 0], x[own, 0]] = -torch.inf
    return [[words[k] for k in row] for row in near.topk(min(count, len(words))).indices.tolist()]


def tell(energy: SkipGram, values: Mapping[str, Tensor], solution: Any) -> list[str]:
    """Nearest words."""
    return [", ".join(row) for row in nearest(energy, values["x"])]


def embed(energy: SkipGram, values: Mapping[str, Tensor]) -> Float[Tensor, "N D"]:
    """u of each word."""
    return energy.vectors(values["x"])


def _kept(energy: SkipGram) -> Tokenizer:
    kept: Any = energy.kept
    return kept.tokenizer


def _words(energy: SkipGram) -> list[str]:
    tokenizer = _kept(energy)
    return [tokenizer.symbol(k) for k in range(tokenizer.vocabulary)]


def figures(model: Any, config: Config, data: Data) -> list[Any]:
    from ...report import Picture, panels, table

    energy, often, known = model["skip_gram"], data.extra["often"].cpu(), data.extra["known"].cpu()
    words = _words(energy)
    order = (often * known).argsort(descending=True).tolist()
    common = [k for k in order if known[k] and len(words[k]) > 4]
    asked = [(words[k], "yes") for k in common[:200:20]]
    asked += [
        (word, "no") for word in ("stockholding", "unprofitably", "computerize", "televangelist", "renegotiating")
    ]
    near = nearest(energy, lines(energy, [word for word, _ in asked])["x"])
    rows = [[word, seen, ", ".join(found)] for (word, seen), found in zip(asked, near, strict=True)]
    chosen = torch.tensor(common[:160])
    plane = _plane(normalize(energy.vectors(data.extra["written"][chosen]), dim=1).cpu())
    figure, axes = panels(1, 1, width=9, height=7)
    axis = axes[0, 0]
    (left, low), (right, high) = plane.amin(0).tolist(), plane.amax(0).tolist()
    axis.set(xlim=(left, right), ylim=(low, high), xticks=[], yticks=[])
    for (across, up), k in zip(plane.tolist(), chosen.tolist(), strict=True):
        axis.text(across, up, words[k], fontsize=7, ha="center", va="center")
    return [
        Picture("A map of words", "The most frequent words of more than four letters, laid out so that those whose vectors point the same "
                "way lie close (t-SNE).", figure),
        Picture("Nearest words", "Words that lie closest, also of words that are not in the text, which have parts alone.",
                table(rows, ["word", "seen", "nearest"])),
    ]  # fmt: skip


def _plane(vectors: Float[Tensor, "N D"]) -> Float[Tensor, "N two"]:
    from sklearn.manifold import TSNE

    near = min(15.0, (len(vectors) - 1) / 3)
    return torch.from_numpy(TSNE(perplexity=near, init="pca", random_state=0).fit_transform(vectors.numpy()))


register(
    System(
        name="word_vectors",
        title="Word vectors: what a word means and how it is written",
        rows=("R26",),
        paper="Mikolov et al. 2013; Bojanowski et al. 2017; Bengio et al. 2003",
        config=Config,
        presets={
            "smoke": {
                "data": "numbers", "dim": 16, "buckets": 500, "thin": 0.1, "epochs": 3, "batch_size": 512, "hidden": 16, "text_epochs": 3,
                "order": 3, "topics": 2, "topic_epochs": 2,
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
        embed=embed,
        main="skip_gram",
        metrics=(
            Metric("skip_gram_synonyms", "higher", unit="%", about="Words that lie farther from a word than its synonym does."),
            Metric("whole_synonyms", "higher", unit="%", about="The same for vectors that don't see letters."),
            Metric("svd_synonyms", "higher", unit="%", about="The same for PPMI–SVD of the same pairs."),
            Metric("synonyms_above_svd", "higher", gate=0.0, gate_source="own", unit="%",
                   about="By how much the skip-gram with parts is above."),
            Metric("skip_gram_analogies", "higher", unit="%", about="Inflections made by rule: a : b :: c : ?"),
            Metric("whole_analogies", "higher", unit="%", about="The same for vectors that don't see letters."),
            Metric("svd_analogies", "higher", unit="%", about="The same for PPMI–SVD."),
            Metric("analogies_above_svd", "higher", gate=0.0, gate_source="own", unit="%",
                   about="By how much the skip-gram with parts is above."),
            Metric("unseen_auroc", "higher", gate=0.5, gate_source="own: what a flat energy has",
                   about="How often a neighbour of a word that was hidden lies lower than a neighbour of another."),
            Metric("window_perplexity", "lower", paper=140.2,
                   about="Of the test text, by the last five words alone; the paper's figure is from Mikolov et al. 2011."),
            Metric("kneser_ney_perplexity", "lower", paper=141.2, about="Of Kneser–Ney counts of the same text."),
            Metric("below_kneser_ney", "higher", gate=0.0, gate_source="Bengio et al. 2003",
                   about="By how much net and counts together are below the counts alone."),
            Metric("mixture_perplexity", "lower", about="Of both together, shares chosen on the validation text."),
            Metric("topics_accuracy", "higher", gate=80.0, gate_source="own, as fastText on 20 Newsgroups", unit="%",
                   about="Domains of questions, by their words and pairs of words."),
            Metric("words_alone_accuracy", "higher", unit="%", about="The same by words alone."),
        ),
    )
)  # fmt: skip
