"""Real data sets, verified: `load("mnist", "train")` gives named tensors from the original files, or says why not.

Each set is described once, at the top of the module that reads it; `datasets()` finds them all. Files are looked for in
the folder that the environment variable LOWLAND_DATA names, then in the user's cache, and are downloaded where a public
address is known. Beside the sets: reading one's own files, data made of formulas, splitting, patches and whitening, deskewing and
distortions.
"""

from .amounts import Amounts, labelled_amounts, read_fields
from .bleu import SIGNATURE as BLEU_SIGNATURE
from .bleu import bleu
from .characters import Characters, character_strings
from .datafile import DataFile, Edition, FileState
from .dataset import Dataset
from .episodes import Episodes, join, read_episodes
from .expectations import expected_clips, matched_clips
from .field import HEIGHT as LINE_HEIGHT
from .field import Field, normalise_field
from .files import image_folder, read_images, read_table
from .framing import frame_ink, frame_line
from .generated import SOURCES, hidden_sources, lookalikes, spiral, spiral_log_density
from .kept_tokenizer import KeptTokenizer
from .labelled import Labelled, labelled_images
from .lines import Lines, compose_lines, distort_lines, gather_lines, join_lines, similar_rows, splice_lines
from .matched import frame_strokes, match_ink
from .parallel import Parallel, parallel_text, spelt
from .patches import Whitening, extract_patches, whiten_images
from .photographs import Photographs, contrast_normalised, grey_photographs, whitened
from .pieces import LONGEST_TEXT, LONGEST_WORD, text_pieces, word_pieces
from .recordings import Recordings, recorded_words
from .registry import Row, dataset, datasets, describe, listing, load, verify
from .segmentation import BAD, JUNK, UNNAMED, Cuts, cut_line, cut_lines, cut_recall, name_pieces
from .sound import read_wav, sound_folder
from .splits import holdout, stratified
from .stories import (
    Lexicon,
    Questions,
    questions_in,
    read_answered,
    read_questions,
    rename,
    small_world,
    things,
    words_of,
)
from .strangers import gone_wrong, other_writing, shuffle_patches, strokes
from .strings import StringRecipe, compose_strings
from .text import read_lines, read_parallel, streams
from .tokenizer import Tokenizer
from .towers import Towers, block_towers
from .traffic import Traffic, read_traffic
from .transforms import deskew, random_affine, random_elastic
from .utterances import Clips, Utterances
from .word_alignment import align, fertilities
from .word_pairs import inflections, neighbours, synonyms

__all__ = [
    "align",
    "fertilities",
    "Lexicon",
    "Questions",
    "questions_in",
    "read_answered",
    "read_questions",
    "rename",
    "small_world",
    "things",
    "words_of",
    "Tokenizer",
    "streams",
    "KeptTokenizer",
    "Parallel",
    "parallel_text",
    "spelt",
    "bleu",
    "BLEU_SIGNATURE",
    "read_lines",
    "read_parallel",
    "read_wav",
    "sound_folder",
    "Recordings",
    "recorded_words",
    "Clips",
    "Utterances",
    "Characters",
    "character_strings",
    "StringRecipe",
    "compose_strings",
    "gone_wrong",
    "other_writing",
    "shuffle_patches",
    "strokes",
    "load",
    "datasets",
    "dataset",
    "verify",
    "listing",
    "describe",
    "Dataset",
    "DataFile",
    "Edition",
    "FileState",
    "Row",
    "Episodes",
    "Towers",
    "block_towers",
    "expected_clips",
    "matched_clips",
    "join",
    "read_episodes",
    "Traffic",
    "read_traffic",
    "stratified",
    "holdout",
    "read_images",
    "image_folder",
    "frame_ink",
    "frame_line",
    "frame_strokes",
    "match_ink",
    "labelled_images",
    "Labelled",
    "read_table",
    "spiral",
    "hidden_sources",
    "lookalikes",
    "spiral_log_density",
    "SOURCES",
    "Photographs",
    "contrast_normalised",
    "grey_photographs",
    "whitened",
    "extract_patches",
    "Whitening",
    "whiten_images",
    "deskew",
    "random_affine",
    "random_elastic",
    "LINE_HEIGHT",
    "Field",
    "normalise_field",
    "Amounts",
    "labelled_amounts",
    "read_fields",
    "Lines",
    "gather_lines",
    "join_lines",
    "similar_rows",
    "compose_lines",
    "splice_lines",
    "distort_lines",
    "BAD",
    "JUNK",
    "UNNAMED",
    "Cuts",
    "cut_line",
    "cut_lines",
    "cut_recall",
    "name_pieces",
    "LONGEST_TEXT",
    "LONGEST_WORD",
    "text_pieces",
    "word_pieces",
    "inflections",
    "neighbours",
    "synonyms",
]
