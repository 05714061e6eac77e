"""Draw the documentation's pictures from trained runs: ``python docs/pictures.py runs/any_part-… runs/kmeans-… …``

The best picture of each run becomes ``docs/images/<system>.png``; others that pages show are named in `SHOWN`.
"""

import sys
from pathlib import Path

import torch
from PIL import Image

from lowland.train import load

IMAGES = Path(__file__).parent / "images"
#: Words of a picture's title, and the file it becomes.
SHOWN = {
    "any_part": {"landscape": "landscape"},
    "falling_blocks": {"can that be": "falling_blocks_clips"},
    "strategies": {"would draw": "strategies_draws", "on digits": "strategies_digits", "rolls to": "strategies_rolled"},
}


def draw(run: str) -> None:
    model = load(run)
    system = model.system
    torch.manual_seed(0)
    with torch.no_grad():
        pictures = list(system.figures(model.module, model.config, system.data(model.config)))
    save(pictures[0], system.name)
    for picture in pictures:
        for words, name in SHOWN.get(system.name, {}).items():
            if words in picture.title.lower():
                save(picture, name)


def save(picture, name: str) -> None:
    path = IMAGES / f"{name}.png"
    picture.figure.savefig(path, dpi=110, bbox_inches="tight", facecolor="white")
    with Image.open(path) as drawn:
        small = drawn.convert("RGB").quantize(256)
    small.save(path, optimize=True)
    print(path)


if __name__ == "__main__":
    IMAGES.mkdir(exist_ok=True)
    for folder in sys.argv[1:]:
        draw(folder)
