"""Sequences: a Transformer that translates, beside Hugging Face's `generate` with the same weights, beside itself without a cache, and
beside a loop with `nn.Transformer`; an LSTM that reads a text piece by piece, beside the loop of PyTorch's own example.

Most of a pass over Multi30k teaches it roughly what goes with what, so that sentences end where they should. The peer then has its
weights: the value says how many of the 1,000 test sentences come out the same.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from .timing import interleaved

DIM, HEADS, BLOCKS, HIDDEN = 256, 8, 3, 512
SYMBOLS, LONGEST = 8000, 64
BATCH, STEPS = 100, 200
ONCE = {"repeats": 1, "calls": 1, "warm": True}  # what takes a minute, after a part of it has warmed up
#: Beam's width → how many times more sentences a second than the peer.
TARGETS = {1: 1.5, 5: 1.5}
Speed = Callable[[], Any]
Translator = Callable[[tuple[Tensor, ...], int], list[list[int]]]


def run() -> list[dict[str, Any]]:
    """A line for each comparison; ``ratio`` is the peer's time over ours."""
    torch.manual_seed(0)
    data, vocabulary, source = _multi30k()
    energy = _taught(data["train"], vocabulary, source)
    x = data["test"]["x"]
    batches = x[(x >= 0).sum(1).argsort()].split(BATCH)
    return [
        *_decoding(energy, batches, vocabulary, source),
        _cached(energy, batches),
        _training(data["train"], vocabulary, source),
        _language_model(),
    ]


# --- decoding -----------------------------------------------------------------------------------------------------------


def _decoding(energy: Any, batches: tuple[Tensor, ...], vocabulary: int, source: int) -> list[dict[str, Any]]:
    lines = []
    contenders: dict[str, Translator] = {"lowland": partial(_ours, energy)}
    if find_spec("transformers"):
        contenders["hf"] = _hugging_face(energy, vocabulary, source)
    for width in TARGETS:
        with torch.inference_mode():
            for translate in contenders.values():
                translate(batches[:1], width)
            whole = {name: partial(translate, batches, width) for name, translate in contenders.items()}
            times, found = interleaved(whole, **ONCE)
        count = sum(map(len, batches))
        same = ""
        if "hf" in found:
            equal = sum(bool(one == other) for one, other in zip(found["lowland"], found["hf"], strict=True))
            same = f"{equal} of {count} the same"
        ratio = times["hf"] / times["lowland"] if "hf" in times else None
        lines.append(
            {
                "name": f"{count} sentences translated, " + ("greedily" if width == 1 else f"beam {width}"),
                "ours": f"{count / times['lowland']:.0f} /s",
                "peer": f"Hugging Face generate {count / times['hf']:.0f} /s" if "hf" in times else "",
                "value": same,
                "ratio": ratio,
                "target": f"≥ {TARGETS[width]}",
                "met": None if ratio is None else ratio >= TARGETS[width],
                "note": f"the same weights, batches of {BATCH}",
            }
        )
    return lines


def _ours(energy: Any, batches: tuple[Tensor, ...], width: int) -> list[list[int]]:
    from lowland.inference import Beam, infer

    found = []
    for x in batches:
        y = infer(energy, "y", x=x, solver=Beam(width)).value
        found += [[symbol for symbol in row if symbol >= 0] for row in y.tolist()]
    return found


def _hugging_face(energy: Any, vocabulary: int, source: int) -> Translator:
    """`MarianMTModel`, the Transformer as published, with our weights; one more symbol stands for padding."""
    from transformers import GenerationConfig, MarianConfig, MarianMTModel

    ours, end, padding = energy.network, vocabulary, vocabulary + 1
    config = MarianConfig(
        vocab_size=vocabulary + 2, decoder_vocab_size=vocabulary + 2, max_position_embeddings=128, d_model=DIM,
        encoder_layers=BLOCKS, decoder_layers=BLOCKS, encoder_attention_heads=HEADS, decoder_attention_heads=HEADS,
        encoder_ffn_dim=HIDDEN, decoder_ffn_dim=HIDDEN, activation_function="relu", scale_embedding=True, dropout=0.0,
        share_encoder_decoder_embeddings=False, tie_word_embeddings=False, pad_token_id=padding, eos_token_id=end,
        decoder_start_token_id=end, forced_eos_token_id=None,
    )  # fmt: skip
    model = MarianMTModel(config).eval()
    encoder, decoder = model.model.encoder, model.model.decoder
    with torch.no_grad():
        encoder.embed_tokens.weight[:source] = ours.sources.weight
        decoder.embed_tokens.weight[: vocabulary + 1] = ours.symbols.weight
        model.lm_head.weight[: vocabulary + 1] = ours.symbols.weight
        model.lm_head.weight[padding] = 0
        model.final_logits_bias[0, padding] = -1e9
        for theirs in (encoder, decoder):
            theirs.embed_positions.weight.copy_(_waves(128))
        for block, layer in zip(ours.encoder, encoder.layers, strict=True):
            _copy_attention(block.within, layer.self_attn)
            _copy_rest(block, layer, [layer.self_attn_layer_norm, layer.final_layer_norm])
        for block, layer in zip(ours.decoder, decoder.layers, strict=True):
            _copy_attention(block.within, layer.self_attn)
            _copy_attention(block.across, layer.encoder_attn)
            _copy_rest(
                block, layer, [layer.self_attn_layer_norm, layer.encoder_attn_layer_norm, layer.final_layer_norm]
            )

    def translate(batches: tuple[Tensor, ...], width: int) -> list[list[int]]:
        settings = GenerationConfig(
            num_beams=width, do_sample=False, max_new_tokens=LONGEST + 1, length_penalty=0.0, use_cache=True,
            pad_token_id=padding, eos_token_id=end, decoder_start_token_id=end, bos_token_id=None,
        )  # fmt: skip
        found = []
        for x in batches:
            x = x[:, : int((x >= 0).sum(1).max())]
            there = x >= 0
            symbols = model.generate(
                torch.where(there, x, padding), attention_mask=there.long(), generation_config=settings
            )
            found += [[symbol for symbol in row if symbol < end] for row in symbols[:, 1:].tolist()]
        return found

    return translate


def _copy_attention(ours: Any, theirs: Any) -> None:
    theirs.q_proj.load_state_dict(ours.question.state_dict())
    theirs.out_proj.load_state_dict(ours.output.state_dict())
    for part, layer in enumerate((theirs.k_proj, theirs.v_proj)):
        layer.weight.copy_(ours.keys_and_values.weight.chunk(2)[part])
        layer.bias.copy_(ours.keys_and_values.bias.chunk(2)[part])


def _copy_rest(block: Any, layer: Any, norms: list[nn.LayerNorm]) -> None:
    layer.fc1.load_state_dict(block.network[0].state_dict())
    layer.fc2.load_state_dict(block.network[3].state_dict())
    for ours, theirs in zip(block.norms, norms, strict=True):
        theirs.load_state_dict(ours.state_dict())


def _waves(count: int) -> Tensor:
    speed = torch.exp(torch.arange(0, DIM, 2) * (-math.log(10_000) / DIM))
    angle = torch.arange(count)[:, None] * speed
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(-2)


def _cached(energy: Any, batches: tuple[Tensor, ...]) -> dict[str, Any]:
    """64 symbols of 100 sentences, remembering what was read, and reading everything again for each."""
    known = energy.given(x=batches[len(batches) // 2])
    network, context = energy.network, known.context
    count = len(batches[0])

    def remembering() -> Tensor:
        memory, symbol = known.begin(count, 1), torch.full((count, 1), energy.sequence.vocabulary)
        found = []
        for _ in range(LONGEST):
            costs, memory = known.extend(symbol, memory)
            symbol = costs[..., :-1].argmin(-1)
            found.append(symbol)
        return torch.cat(found, 1)

    def reading_again() -> Tensor:
        symbols = torch.full((count, 1), energy.sequence.vocabulary)
        for _ in range(LONGEST):
            last = network(symbols, context)[:, -1, :-1].argmax(-1, keepdim=True)
            symbols = torch.cat([symbols, last], 1)
        return symbols[:, 1:]

    with torch.inference_mode():
        times, found = interleaved({"cached": remembering, "uncached": reading_again}, repeats=1, calls=1)
    ratio = times["uncached"] / times["cached"]
    same = (found["cached"] == found["uncached"]).float().mean().item()
    return {
        "name": f"{LONGEST} symbols of {count} sentences, with and without a cache",
        "ours": f"{times['cached']:.2f} s",
        "peer": f"without {times['uncached']:.2f} s",
        "value": f"{100 * same:.1f} % of the symbols the same",
        "ratio": ratio,
        "target": "≥ 10",
        "met": ratio >= 10,
        "note": "",
    }


# --- training -----------------------------------------------------------------------------------------------------------


def _taught(data: dict[str, Tensor], vocabulary: int, source: int) -> Any:
    energy = _energy(vocabulary, source)
    _fit(energy, data, STEPS, "bf16-mixed")
    return energy.eval()


def _energy(vocabulary: int, source: int) -> Any:
    from lowland.energy import Autoregressive
    from lowland.nets import Transformer
    from lowland.spaces import Sequence

    network = Transformer(vocabulary, source, DIM, HEADS, BLOCKS, HIDDEN, dropped=0.1, norm="post")
    return Autoregressive(network, Sequence(vocabulary, LONGEST), Sequence(source, LONGEST))


def _fit(energy: Any, data: dict[str, Tensor], steps: int, precision: str | None = None) -> None:
    from lowland.objectives import LabelSmoothing
    from lowland.train import Player, Trainer

    objective = LabelSmoothing(0.0)
    player = Player(
        "all", energy, lambda batch: objective(energy, batch), lambda p: torch.optim.Adam(p, lr=5e-4), clip=1.0
    )
    trainer = Trainer(seed=0, precision=precision, shown=False)
    trainer.fit("all", player, data, steps=steps, batch_size=BATCH, lengths=(data["y"] >= 0).sum(1))


class Peer(nn.Module):
    """The same network from PyTorch's own parts; symbols are moved up by one, 0 is padding."""

    def __init__(self, vocabulary: int, source: int) -> None:
        super().__init__()
        self.sources, self.symbols = nn.Embedding(source + 1, DIM), nn.Embedding(vocabulary + 2, DIM)
        for table in (self.sources, self.symbols):
            nn.init.normal_(table.weight, std=DIM**-0.5)
        self.network = nn.Transformer(DIM, HEADS, BLOCKS, BLOCKS, HIDDEN, 0.1, batch_first=True)
        self.dropout = nn.Dropout(0.1)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        placed = [
            self.dropout(table(part) * math.sqrt(DIM) + _waves(part.shape[1]))
            for table, part in ((self.sources, x), (self.symbols, y))
        ]
        mask = nn.Transformer.generate_square_subsequent_mask(y.shape[1])
        h = self.network(
            *placed, tgt_mask=mask, src_key_padding_mask=x == 0, memory_key_padding_mask=x == 0, tgt_is_causal=True
        )
        return h @ self.symbols.weight.T


def _training(data: dict[str, Tensor], vocabulary: int, source: int) -> dict[str, Any]:
    steps, rows = 8, torch.arange(800)
    data = {name: part[rows] for name, part in data.items()}
    energy, peer = _energy(vocabulary, source).train(), Peer(vocabulary, source)
    lengths = (data["y"] >= 0).sum(1)
    order = lengths.argsort().split(BATCH)
    optimizer = torch.optim.Adam(peer.parameters(), lr=5e-4)

    def by_hand() -> None:
        for i in torch.randperm(len(order)).tolist():
            x, y = data["x"][order[i]] + 1, data["y"][order[i]] + 1
            x, y = x[:, : int((x > 0).sum(1).max())], y[:, : int((y > 0).sum(1).max())]
            edge = y.new_full((len(y), 1), vocabulary + 1)
            wanted = torch.cat([y, torch.zeros_like(edge)], 1)
            wanted = wanted.scatter(1, (y > 0).sum(1, keepdim=True), edge)
            optimizer.zero_grad()
            logits = peer(x, torch.cat([edge, y], 1))
            nn.functional.cross_entropy(logits.flatten(0, 1), wanted.flatten(), ignore_index=0).backward()
            nn.utils.clip_grad_norm_(peer.parameters(), 1.0)
            optimizer.step()

    contenders = {"lowland": lambda: _fit(energy, data, steps), "by hand": by_hand}
    name, symbols = f"training a Transformer, batches of {BATCH} sentences", int(lengths.sum()) + len(lengths)
    return _against_a_loop(name, "nn.Transformer", contenders, symbols, "both group sentences by length")


def _against_a_loop(name: str, peer: str, contenders: dict[str, Speed], symbols: int, note: str) -> dict[str, Any]:
    times, _ = interleaved(contenders, repeats=3, calls=2)
    ratio = times["by hand"] / times["lowland"]
    return {
        "name": name,
        "ours": f"{symbols / times['lowland']:.0f} symbols/s",
        "peer": f"{peer} by hand {symbols / times['by hand']:.0f} symbols/s",
        "value": "",
        "ratio": ratio,
        "target": "≥ 0.95",
        "met": ratio >= 0.95,
        "note": note,
    }


def _language_model() -> dict[str, Any]:
    """Two layers of 200 units, 20 streams of 35 symbols a step; the loop is that of PyTorch's word language model."""
    from lowland.energy import Autoregressive
    from lowland.nets import Recurrent
    from lowland.objectives import TruncatedLikelihood
    from lowland.spaces import Sequence
    from lowland.train import Player, Trainer

    symbols, width, layers, length, streams, steps = 9_999, 200, 2, 35, 20, 40
    stream = torch.randint(symbols, (steps * length + 1, streams))
    pieces = stream[1:].unflatten(0, (steps, length)).transpose(1, 2).flatten(0, 1)
    energy = Autoregressive(
        Recurrent(symbols, dim=width, hidden=width, layers=layers, tied=True), Sequence(symbols, length)
    )
    table, lstm = nn.Embedding(symbols + 1, width), nn.LSTM(width, width, layers, dropout=0.2)
    decoder, dropout = nn.Linear(width, symbols + 1), nn.Dropout(0.2)
    decoder.weight = table.weight
    peer = nn.ModuleList([table, lstm, decoder])

    def ours() -> None:
        objective = TruncatedLikelihood()
        player = Player(
            "all", energy, lambda batch: objective(energy, batch), lambda p: torch.optim.SGD(p, lr=1.0), clip=0.25
        )
        Trainer(seed=0, shown=False).fit(
            "all", player, {"y": pieces}, steps=steps, batch_size=streams, shuffle=False, drop_last=True
        )

    def by_hand() -> None:
        state = tuple(torch.zeros(layers, streams, width) for _ in range(2))
        for first in range(0, steps * length, length):
            read, wanted = stream[first : first + length], stream[first + 1 : first + length + 1]
            state = tuple(part.detach() for part in state)
            peer.zero_grad()
            h, state = lstm(dropout(table(read)), state)
            logits = decoder(dropout(h)).flatten(0, 1)
            nn.functional.nll_loss(logits.log_softmax(-1), wanted.flatten()).backward()
            nn.utils.clip_grad_norm_(peer.parameters(), 0.25)
            with torch.no_grad():
                for parameter in peer.parameters():
                    if parameter.grad is not None:
                        parameter.add_(parameter.grad, alpha=-1.0)

    name = f"training an LSTM, {streams} streams of {length} words"
    return _against_a_loop(
        name,
        "word language model",
        {"lowland": ours, "by hand": by_hand},
        pieces.numel(),
        "10,000 symbols, one of which is the beginning for us and the end of a line for them",
    )


def _multi30k() -> tuple[dict[str, dict[str, Tensor]], int, int]:
    """German x and English y as symbols, and how many there are of each."""
    from lowland.data import Tokenizer, dataset

    record = dataset("multi30k")
    texts = {split: record.load(split) for split in ("train", "test")}
    learnt = {
        name: Tokenizer.learn([line.lower() for line in texts["train"][name]], size=SYMBOLS) for name in ("de", "en")
    }
    found = {
        split: {
            variable: learnt[name].encode([line.lower() for line in texts[split][name]], longest=LONGEST)
            for variable, name in (("x", "de"), ("y", "en"))
        }
        for split in texts
    }
    return found, learnt["en"].vocabulary, learnt["de"].vocabulary


if __name__ == "__main__":
    for line in run():
        print(json.dumps(line))
