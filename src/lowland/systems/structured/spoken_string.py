"""Strings of spoken digits, read in two ways from the same kind of frames: by connectionist alignment, and by word models.

    frames       p(s | x, t): log-mel energies and slopes, a time-delay net, one frame every 20 ms
    alignment    E(x, y, z) = Σ_t −log p(z_t | x)                  z: digits or nothing, runs read once; no order within a digit
    word models  E(x, y, z) = Σ_t −log p(z_t | x) + κ log p(z_t)   z: four states in a row for each digit, a pause between digits
    ŷ, ẑ       = argmin_{y, z} E(x, y, z)                          the lowest path through the loop of all digits

Strings of 3 to 7 digits are put together from single recordings by one speaker, with pauses up to 0.3 s or cross-fades of 30 ms,
white noise 10 to 40 dB below, and random loudness of digits and strings. Nobody says where a digit begins.

Training: strings are drawn anew for each step. Alignment: −log p(y | x), over all alignments (connectionist temporal
    classification). Word models: first all alignments, then the best one, found again in each step (Viterbi re-alignment); how
    common each state is, is counted as training goes, and divided out.
No collapse: frames are normalised: what makes one state likely makes the others unlikely. Without the division by the priors
    the pause takes most frames of each digit; with it a state that is everywhere gains nothing.
Sources: Davis & Mermelstein, IEEE Trans. ASSP 28 (1980) (features); Graves, Fernández, Gomez & Schmidhuber, ICML (2006)
    (alignment); Bourlard & Morgan, Connectionist Speech Recognition (1994) (nets and word models, priors); Zeyer, Beck,
    Schlüter & Ney, Interspeech (2017) (all alignments, priors counted in training).
Expect: word error in per cent on 300 strings (1,467 words) of the official test recordings, seed 0: alignment 1.3, word models 0.7;
    94.0 and 96.7 per cent of the strings without any error. By alignment, a speaker who was not in training: 23.9 in the mean of
    the six, from 11.0 (yweweler) to 36.6 (george). The time in the ledger is that of a busy machine.
Known failure: a speaker it has not heard is read badly: five voices are few, and nothing here makes more of them. Strings are put
    together from single digits, so digits that run into each other as in quick speech were never seen. Word models find the words,
    but not where they begin and end: the first and last states of a word take in much of the pauses beside it.

Your own words: ``lowland train spoken_string --recordings FOLDER --words 12 --folds 2``, with WAV files of single words and
labels.csv: a line ``file,word,speaker`` for each. ``lowland infer RUN clip.wav`` reads a recording of up to five seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR

from ...data import Clips, Utterances, read_wav, recorded_words
from ...data.recordings import RATE
from ...energy import Alignment, WordModels
from ...errors import DataError, UsageError
from ...inference import infer
from ...nets import FilterBank, TimeDelayNet
from ...objectives import EnergyLoss, NegativeLogLikelihood, edit_distance, word_error
from ...spaces import Categorical, Real
from ...system import Data, Metric, System, register
from ...train import Player

PACE = 0.05  # how far the priors move with each batch
CHUNK = 64  # strings read at once
JUDGED = {"test": 300, "validation": 120, "unseen": 100}  # strings of each kind, of each unseen group


@dataclass(frozen=True)
class Config:
    """Configuration of the readers."""

    recordings: str = "fsdd"
    """Recordings: fsdd, tones (made up), or a folder of WAV files with labels.csv."""
    words: int = 10
    """How many different words there are."""
    folds: int = 6
    """Groups of speakers that are left out in turn; a speaker belongs to the group of its number modulo this."""
    seconds: float = 5.0
    """The longest string, in seconds."""
    states: int = 4
    """States of each word model."""
    division: float = 0.5
    """κ: how much of the states' priors is divided out, from 0 to 1."""
    channels: int = 80
    """Channels of the time-delay net."""
    alignment_steps: int = 450
    """Steps of training by alignment."""
    forward_steps: int = 100
    """Steps of training the word models over all alignments."""
    viterbi_steps: int = 180
    """Steps after that, with the best alignment."""
    unseen_steps: int = 200
    """Steps of training by alignment without one group of speakers."""
    batch_size: int = 32
    """Strings a step."""
    rate: float = 4e-3
    """Largest step of AdamW, in units of weight."""
    average: float = 0.97
    """Decay of the running average of the weights, a step."""

    @property
    def utterances(self) -> Utterances:
        """How strings are put together."""
        return Utterances(RATE, self.seconds)


class Acoustics(nn.Module):
    """Waves → logits of each frame ``(B, F, K)``, and how many frames are there ``(B,)``."""

    def __init__(self, outputs: int, channels: int) -> None:
        super().__init__()
        self.bank = FilterBank(RATE)
        self.net = TimeDelayNet(2 * self.bank.bands, outputs, channels)

    def forward(self, x: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        x = x[:, : max(1, int(length.max()))]
        frames = self.bank.frames(length)
        return self.net(self.bank(x, length), frames), self.net.frames(frames)

    def frames(self, length: int) -> int:
        """Of a wave of so many samples."""
        return int(self.net.frames(self.bank.frames(torch.tensor([length]))))


class Aligned(Alignment):
    """An alignment whose frames a net classifies: label 0 is nothing."""

    def __init__(self, config: Config) -> None:
        acoustics, samples = Acoustics(1 + config.words, config.channels), config.utterances.samples
        super().__init__(config.words, acoustics.frames(samples), x=Real(samples), length=Categorical(samples + 1))
        self.acoustics = acoustics

    @classmethod
    def example(cls) -> Aligned:
        return cls(Config(words=2, seconds=0.05, channels=4)).eval()

    def frames(self, x: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        logits, frames = self.acoustics(x, length)
        return -logits.log_softmax(-1), frames


def build(config: Config) -> nn.ModuleDict:
    acoustics, samples = Acoustics(1 + config.words * config.states, config.channels), config.utterances.samples
    models = WordModels(
        acoustics, words=config.words, states=config.states, positions=acoustics.frames(samples), division=config.division,
        pace=PACE, x=Real(samples), length=Categorical(samples + 1),
    )  # fmt: skip
    unseen = {f"unseen{fold}": Aligned(config) for fold in range(config.folds)}
    return nn.ModuleDict({"alignment": Aligned(config), "word_models": models, **unseen})


def data(config: Config) -> Data:
    found = recorded_words(config.recordings, config.words)
    if not 2 <= config.folds <= len(found.speakers):
        raise UsageError(
            f"spoken_string: folds: wanted 2 to {len(found.speakers)}, one for each speaker or group of them, got {config.folds}."
        )
    group = found.clips.speakers % config.folds
    pools = {"all": found.clips[found.train]}
    test = {"all": _strings(config, found.clips[found.test], JUDGED["test"], 1)}
    for fold in range(config.folds):
        pools[f"unseen{fold}"] = found.clips[found.train & (group != fold)]
        test[f"unseen{fold}"] = _strings(config, found.clips[group == fold], JUDGED["unseen"], 2 + fold)
    validation = _strings(config, found.clips[found.validation], JUDGED["validation"], 0)
    train = {name: {"clip": torch.arange(len(pool))} for name, pool in pools.items()}
    return Data(train, validation, test, found.sources, found.classes, {"pools": pools, "speakers": found.speakers})


def _strings(config: Config, clips: Clips, count: int, seed: int) -> dict[str, Tensor]:
    """At most so many strings, always the same ones; what comes first is spread over all recordings."""
    count = min(count, len(clips))
    first = torch.arange(count) * len(clips) // count
    return config.utterances.draw(clips, first, torch.Generator().manual_seed(seed))


def train(model: Any, config: Config, data: Data, trainer: Any) -> None:
    models = model["word_models"]
    summed, best = models.marginalize("z"), models.minimize("z")
    likelihood, low = NegativeLogLikelihood(), EnergyLoss()
    stages = [
        ("alignment", model["alignment"], partial(likelihood, model["alignment"].marginalize("z")), config.alignment_steps),
        ("word_models", models, partial(low, summed), config.forward_steps),
        ("word_models_viterbi", models, partial(low, best), config.viterbi_steps),
    ]  # fmt: skip
    for fold in range(config.folds):
        energy = model[f"unseen{fold}"]
        stages.append((f"unseen{fold}", energy, partial(likelihood, energy.marginalize("z")), config.unseen_steps))
    for stage, energy, objective, steps in stages:
        pool = stage if stage.startswith("unseen") else "all"
        check = partial(_validation, energy, data) if pool == "all" else None
        trainer.fit(
            stage,
            Player(
                stage,
                energy,
                objective,
                optimizer=partial(torch.optim.AdamW, lr=config.rate, weight_decay=0.02),
                schedule=partial(_cycle, config.rate),
                clip=20.0,
                average=config.average,
            ),
            data.train[pool],
            steps=steps,
            batch_size=config.batch_size,
            transform=partial(_draw, config.utterances, data.extra["pools"][pool], energy.spaces["y"].length),
            validate=check,
            validate_every=2,
        )


def _cycle(rate: float, optimizer: torch.optim.Optimizer, steps: int) -> OneCycleLR:
    return OneCycleLR(optimizer, rate, total_steps=max(steps, 2), pct_start=0.15)


def _draw(
    utterances: Utterances, clips: Clips, length: int, batch: Mapping[str, Tensor], generator: torch.Generator
) -> dict[str, Tensor]:
    """Strings that begin with the recordings of the batch."""
    drawn = utterances.draw(clips, batch["clip"], generator)
    return {**drawn, "y": nn.functional.pad(drawn["y"], (0, length - drawn["y"].shape[1]), value=-1)}


def _validation(energy: Any, data: Data) -> dict[str, float]:
    return {"validation_word_error": 100 * word_error(read_strings(energy, data.validation), data.validation["y"])}


def read_strings(energy: Any, batch: Mapping[str, Tensor]) -> Tensor:
    """The string of the lowest path of each sample, ``(N, L)``, no longer than it must be."""
    asked = zip(batch["x"].split(CHUNK), batch["length"].split(CHUNK), strict=True)
    found = torch.cat([infer(energy.minimize("z"), "y", x=x, length=length).value for x, length in asked])
    return found[:, : max(1, int((found >= 0).sum(1).max()))]


def evaluate(model: Any, config: Config, data: Data) -> dict[str, float]:
    figures = {}
    for name in ("alignment", "word_models"):
        got, wanted = read_strings(model[name], data.test["all"]), data.test["all"]["y"]
        figures[f"{name}_word_error"] = 100 * word_error(got, wanted)
        figures[f"{name}_strings"] = 100 * float((edit_distance(got, wanted) == 0).float().mean())
    unseen = list(_unseen(model, config, data).values())
    return figures | {"unseen_speaker_word_error": sum(unseen) / len(unseen), "unseen_speaker_worst": max(unseen)}


def _unseen(model: Any, config: Config, data: Data) -> dict[str, float]:
    """Word error in per cent on each group of speakers, by the net that has not heard them."""
    found = {}
    for fold in range(config.folds):
        name = " and ".join(data.extra["speakers"][fold :: config.folds])
        test = data.test[f"unseen{fold}"]
        found[name] = 100 * word_error(read_strings(model[f"unseen{fold}"], test), test["y"])
    return found


def figures(model: Any, config: Config, data: Data) -> list[Any]:
    from ...report import Picture, bars, table

    test, speakers = data.test["all"], data.extra["speakers"]
    read = {name: read_strings(model[name], test) for name in ("alignment", "word_models")}
    errors = {name.replace("_", " "): 100 * word_error(got, test["y"]) for name, got in read.items()}
    unseen = {f"without {name}": value for name, value in _unseen(model, config, data).items()}
    wrong = sum(edit_distance(got, test["y"]) > 0 for got in read.values())
    rows = [
        tuple(_said(strings[i], data.labels) for strings in (test["y"], read["alignment"], read["word_models"]))
        for i in torch.as_tensor(wrong).argsort(descending=True, stable=True)[:10].tolist()
    ]
    return [
        Picture("One string of the test split", f"Above its log-mel energies ({', '.join(speakers)} are the speakers; this is one of "
                "them), in the middle which word the word models' best path is in, below what the alignment's frames say.",
                _string(model, {name: value[:1] for name, value in test.items()}, config)),
        Picture("Word errors", "Of all words said. `without …`: by alignment, on all recordings of speakers who were not in training.",
                bars({**errors, **unseen}, label="word error", unit="%", levels={"wanted": 3.0})),
        Picture("What was said, and what was read", "Strings of the test split, first those that are read wrongly by one or both.",
                table(rows, ("said", "alignment", "word models"))),
    ]  # fmt: skip


def _said(string: Tensor, labels: tuple[str, ...]) -> str:
    return " ".join(labels[word] for word in string.tolist() if word >= 0)


def _string(model: Any, sample: Mapping[str, Tensor], config: Config) -> Any:
    from ...report import house_style, panels

    known: dict[str, Any] = {"x": sample["x"], "length": sample["length"]}
    models, aligned = model["word_models"], model["alignment"]
    features = models.network.bank(sample["x"][:, : int(sample["length"])], sample["length"])[
        0, : models.network.bank.bands
    ]
    string = infer(models.minimize("z"), "y", **known).value
    path = infer(models.given(**known, y=string), "z").value[0]
    word = torch.where(path > 0, (path - 1) // (config.states + 1), -1)
    energies, _ = aligned.frames(**known)
    figure, axes = panels(3, 1, width=7.4, height=5.2)
    with house_style():
        for place, values, name in zip(
            axes[:, 0],
            (features, nn.functional.one_hot(word[path >= 0] + 1, config.words + 1).T, (-energies[0]).exp().T),
            ("log-mel energies", "word models: best path", "alignment: frames"),
            strict=True,
        ):
            place.imshow(values.numpy(), aspect="auto", origin="lower", cmap="gray_r", interpolation="nearest")
            place.set_title(name, loc="left", fontsize=8)
            place.set_xticks([])
        for place in axes[1:, 0]:
            place.set_yticks(range(config.words + 1), ["–", *map(str, range(config.words))], fontsize=6)
    return figure


def read(paths: list[str], config: Config) -> dict[str, Tensor]:
    """One WAV file each."""
    waves, most = [read_wav(path, RATE) for path in paths], config.utterances.samples
    for path, wave in zip(paths, waves, strict=True):
        if len(wave) > most:
            raise DataError(f"{path}: wanted at most {config.seconds} s, got {len(wave) / RATE:.1f} s; cut it.")
    x = torch.stack([nn.functional.pad(wave, (0, most - len(wave))) for wave in waves])
    return {"x": x, "length": torch.tensor([len(wave) for wave in waves])}


register(
    System(
        name="spoken_string",
        title="Strings of spoken digits: read by alignment and by word models",
        rows=("R21",),
        paper="Graves et al. 2006; Bourlard & Morgan 1994",
        config=Config,
        presets={
            "smoke": {
                "recordings": "tones", "words": 3, "folds": 2, "seconds": 2.0, "channels": 16, "batch_size": 8,
                "alignment_steps": 12, "forward_steps": 12, "viterbi_steps": 6, "unseen_steps": 6,
            }
        },
        build=build,
        data=data,
        train=train,
        evaluate=evaluate,
        figures=figures,
        read=read,
        main="word_models",
        metrics=(
            Metric("alignment_word_error", "lower", gate=3.0, gate_source="own", unit="%",
                   about="Words put in, left out or exchanged, of all words said: strings of the official test recordings, by alignment."),
            Metric("word_models_word_error", "lower", gate=3.0, gate_source="own", unit="%",
                   about="The same by word models."),
            Metric("alignment_strings", "higher", unit="%", about="Strings of three to seven words without any error, by alignment."),
            Metric("word_models_strings", "higher", unit="%", about="The same by word models."),
            Metric("unseen_speaker_word_error", "lower", unit="%",
                   about="By alignment, each speaker read by a net that has heard only the other five; mean of the six."),
            Metric("unseen_speaker_worst", "lower", unit="%", about="The same, of the speaker who is read worst."),
        ),
    )
)  # fmt: skip
