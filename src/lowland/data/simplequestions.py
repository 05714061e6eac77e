"""SimpleQuestions: questions that one fact of Freebase answers, and which fact that is."""

from __future__ import annotations

from typing import Any

from ..errors import DataError
from .datafile import DataFile, Edition
from .dataset import Dataset, Find
from .text import read_lines


def _load(find: Find, split: str) -> dict[str, Any]:
    name = f"annotated_fb_data_{split}.txt.gz"
    rows = [line.split("\t") for line in read_lines(find(name))]
    for number, row in enumerate(rows, 1):
        if len(row) != 4:
            raise DataError(
                f"{name}, line {number}: wanted subject, relation, object and question, got {len(row)} fields."
            )
    fields = zip(*rows, strict=True)
    return {
        name: list(field) for name, field in zip(("subject", "relation", "object", "question"), fields, strict=True)
    }


SIMPLEQUESTIONS = Dataset(
    name="simplequestions",
    what="Questions in English with the fact of Freebase that answers each; the validation and the test part of the original.",
    shapes={
        "subject": "list of str: what is asked about",
        "relation": "list of str: www.freebase.com/ and a domain, a type and a property, with strokes between them",
        "object": "list of str: the answer",
        "question": "list of str",
    },
    splits={"valid": 10_845, "test": 21_687},
    source="A. Bordes et al., Facebook AI Research; as passed on with the code of D. Golub's SimpleQA.",
    licence="CC BY 3.0",
    citation="Bordes, Usunier, Chopra & Weston, Large-scale Simple Question Answering with Memory Networks (2015).",
    loader=_load,
    files=(
        DataFile(
            "annotated_fb_data_valid.txt.gz",
            (Edition(351_058, "2a13408edd1f20db613d58f0a39f4e2b1160aee3eeb07d5bf2da4d6c330136d2"),),
        ),
        DataFile(
            "annotated_fb_data_test.txt.gz",
            (Edition(701_355, "ec987c46d30fec90f2a1db4398b648e957afdd57456b9b3379e480e264337a23"),),
        ),
    ),
)
