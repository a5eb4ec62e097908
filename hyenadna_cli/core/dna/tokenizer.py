"""DNA to token ids and back: one token per base, the official table.

0 [CLS], 1 [SEP], 2 [BOS], 3 [MASK], 4 [PAD], 5 [RESERVED], 6 [UNK], 7 A, 8 C, 9 G, 10 T, 11 N
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hyenadna_cli.core.config.choices import Specials

CLS, SEP, BOS, MASK, PAD, RESERVED, UNK, A, C, G, T, N = range(12)
BASES = (A, C, G, T)
"""Token ids of the four bases, in the order in which results list them."""

TokenIds = npt.NDArray[np.uint8]

_LETTERS = "ACGTN"
_TABLE = bytearray([UNK]) * 256
for _id, _letter in enumerate(_LETTERS, start=A):
    _TABLE[ord(_letter)] = _TABLE[ord(_letter.lower())] = _id
_NAMES = ("[CLS]", "[SEP]", "[BOS]", "[MASK]", "[PAD]", "[RESERVED]", "[UNK]", *_LETTERS)


def encode(sequence: str) -> TokenIds:
    """Token ids of a DNA string, lower case read as upper; other letters become [UNK]."""
    return np.frombuffer(sequence.encode("ascii", "replace").translate(_TABLE), dtype=np.uint8)


def add_specials(token_ids: TokenIds, specials: Specials) -> TokenIds:
    """Frame one sequence: `sep` appends [SEP], `cls-sep` also prepends [CLS]."""
    if specials == "none":
        return token_ids
    front = [CLS] if specials == "cls-sep" else []
    return np.concatenate([np.array(front, np.uint8), token_ids, np.array([SEP], np.uint8)])


def decode(token_ids: TokenIds) -> str:
    """The text of token ids. Raises ValueError for the padding rows of the vocabulary (12 on)."""
    if token_ids.size and int(token_ids.max()) >= len(_NAMES):
        raise ValueError(f"token id {int(token_ids.max())} has no letter")
    return "".join(_NAMES[token_id] for token_id in token_ids)
