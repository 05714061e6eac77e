"""Multi30k: captions of photographs in English, German and French, translated sentence by sentence."""

from __future__ import annotations

from typing import Any

from ..errors import DataError
from .datafile import DataFile, Edition
from .dataset import Dataset, Find
from .text import read_lines

LANGUAGES = ("en", "de", "fr")
_NAMES = {"train": "train", "valid": "val", "test": "test_2016_flickr"}
_PLACE = "https://raw.githubusercontent.com/multi30k/dataset/master/data/task1/raw/"
_FILES = {
    "test_2016_flickr.de.gz": (22_890, "9204244e408ccb38d2a55cfcd344df15005fc42a07a6e55ca6c52b6ababb8cc8"),
    "test_2016_flickr.en.gz": (21_077, "611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9"),
    "test_2016_flickr.fr.gz": (22_310, "6d326e188d259fb1d04ac19eae3af956559b3a0b93d7635e56c90987c40c8b90"),
    "train.de.gz": (637_044, "726e39b2fa9eb9ffb6dc763fb35a179f80fae06ffc5d28b6ace5faa883de28a6"),
    "train.en.gz": (568_929, "d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f"),
    "train.fr.gz": (604_242, "622e75069e9f4c577425c4f277116ce66e63a2401c0a2312d90073cb12379a3c"),
    "val.de.gz": (24_681, "f0cba2f995189cf5770f29a8a9a537a3ad3f51657ad873405082ff6863a5e75a"),
    "val.en.gz": (21_650, "14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28"),
    "val.fr.gz": (23_001, "ca3106f1a72390591d25f6c45cb4cd39dec4cd3f123e099748a3ce5256c160e9"),
}


def _load(find: Find, split: str) -> dict[str, Any]:
    found: dict[str, Any] = {language: read_lines(find(f"{_NAMES[split]}.{language}.gz")) for language in LANGUAGES}
    if len(counts := {language: len(lines) for language, lines in found.items()}) and len(set(counts.values())) > 1:
        raise DataError(f"multi30k: wanted as many lines in each language, got {counts}.")
    return found


MULTI30K = Dataset(
    name="multi30k",
    what="Captions of photographs: English ones, and their German and French translations. Test is that of 2016.",
    shapes=dict.fromkeys(LANGUAGES, "list of str: one sentence each, the same in every language"),
    splits={"train": 29_000, "valid": 1_014, "test": 1_000},
    source="The Multi30k repository, task 1, raw text.",
    licence="None stated; the Flickr30k captions are for research and non-commercial use.",
    citation="Elliott, Frank, Sima'an & Specia, Multi30K: Multilingual English–German Image Descriptions (2016).",
    loader=_load,
    files=tuple(
        DataFile(name, (Edition(length, checksum, (_PLACE + name,)),)) for name, (length, checksum) in _FILES.items()
    ),
)
