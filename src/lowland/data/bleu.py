"""BLEU: how many runs of one to four words a translation shares with a reference, by sacrebleu, always with one signature.

Needs the extra `text` (``pip install "lowland[text]"``).

Sources: Papineni, Roukos, Ward & Zhu, ACL 2002; Post, A Call for Clarity in Reporting BLEU Scores, WMT 2018.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import UsageError

#: What is computed: one reference, lower case, words as mteval-v13a cuts them, zero counts smoothed exponentially.
SIGNATURE = "nrefs:1|case:lc|eff:no|tok:13a|smooth:exp"


def bleu(answers: Sequence[str], references: Sequence[str]) -> float:
    """BLEU of a whole set of translations, from 0 to 100, under `SIGNATURE`.

    Raises:
        UsageError: If there are no translations, or not as many as references.
    """
    try:
        from sacrebleu.metrics.bleu import BLEU
    except ImportError:
        raise UsageError('BLEU needs the package sacrebleu: pip install "lowland[text]".') from None
    if not answers or len(answers) != len(references):
        raise UsageError(f"bleu: wanted as many translations as references, got {len(answers)} and {len(references)}.")
    return BLEU(lowercase=True, tokenize="13a", smooth_method="exp").corpus_score(answers, [references]).score
