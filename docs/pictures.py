"""Draw the documentation's pictures from trained runs: ``python docs/pictures.py runs/any_part-… runs/kmeans-… …``

The best picture of each run becomes ``docs/images/<system>.png``; the landscape of any_part is the front page's.
"""

import sys
from pathlib import Path

import torch

from lowland.train import load

IMAGES = Path(__file__).parent / "images"


def draw(run: str) -> None:
    model = load(run)
    system = model.system
    torch.manual_seed(0)
    with torch.no_grad():
        pictures = list(system.figures(model.module, model.config, system.data(model.config)))
    save(pictures[0], system.name)
    for picture in pictures:
        if system.name == "any_part" and "landscape" in picture.title.lower():
            save(picture, "landscape")


def save(picture, name: str) -> None:
    path = IMAGES / f"{name}.png"
    picture.figure.savefig(path, dpi=110, bbox_inches="tight", facecolor="white")
    print(path)


if __name__ == "__main__":
    IMAGES.mkdir(exist_ok=True)
    for folder in sys.argv[1:]:
        draw(folder)
