"""Draw how much translations lose as sentences grow, from the ledger: ``python docs/lengths.py``."""

from tables import DOCS, RESULTS, TRANSLATORS, metrics

from lowland.report import lines

LENGTHS = ("short", "medium", "long")


def draw():
    """BLEU of the thirds of the test sentences, a line for each net that is in the ledger."""
    found = {}
    for preset, net in TRANSLATORS.items():
        if (RESULTS / "translate" / f"{preset}.json").exists():
            measured = metrics("translate", preset)
            found[net] = [measured[f"bleu_{length}"] for length in LENGTHS]
    figure = lines([1, 2, 3], found, xlabel="third of the test sentences, by words of the source", ylabel="BLEU")
    figure.axes[0].set_xticks([1, 2, 3], LENGTHS)
    return figure


if __name__ == "__main__":
    path = DOCS / "images" / "translate_lengths.png"
    draw().savefig(path, dpi=110, bbox_inches="tight", facecolor="white")
    print(path)
