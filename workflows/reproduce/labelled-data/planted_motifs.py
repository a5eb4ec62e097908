r"""Write labelled sequences whose signal is known: motifs planted into random DNA.

    python planted_motifs.py chromatin out.tsv.gz     # 919 targets, as many TF, DHS, HM as DeepSEA
    python planted_motifs.py regression out.tsv.gz    # activity from motifs, their order and GC

One table a set, with a `split` column. The same seed gives the same bytes. What is planted:

chromatin   16 motifs of 8 bases, each in a quarter of the sequences, on a random strand. A TF
            target (`cell3|TF3.18|None`) is one motif, a DHS target any of three, an HM target two
            of five at once; of what would be positive, 5 % is not.
regression  6 motifs of 8 bases, each in two fifths of the sequences. activity = their weights,
            summed, + 1.5 where the first stands before the second, + 2 x (GC fraction - 0.5),
            + noise of standard deviation 0.3.
"""

from __future__ import annotations

import argparse
import gzip
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

_BASES = np.array(list("ACGT"))
_GROUP_SIZES = {"DHS": 125, "TF": 690, "HM": 104}
_MARKS = ("H3K4me3", "H3K27ac", "H3K4me1", "H3K36me3", "H3K9me3", "H3K27me3", "H2A.Z", "H4K20me1")
_WEIGHTS = (1.0, 0.8, -1.0, 0.6, -0.6, 0.4)


def motifs(random: np.random.Generator, n: int, length: int) -> list[str]:
    """Random words that are neither low in complexity nor near another one or its other strand."""
    found: list[str] = []
    while len(found) < n:
        word = "".join(random.choice(_BASES, length))
        far = all(_distance(word, other) > 3 for other in (*found, *map(_reverse, found)))
        if far and len(set(word)) > 2:
            found.append(word)
    return found


def _distance(a: str, b: str) -> int:
    return sum(x != y for x, y in zip(a, b, strict=True))


def _reverse(sequence: str) -> str:
    return sequence[::-1].translate(str.maketrans("ACGT", "TGCA"))


def background(random: np.random.Generator, length: int) -> str:
    """Random DNA; its GC fraction differs from sequence to sequence."""
    gc = random.uniform(0.35, 0.65)
    share = np.array([1 - gc, gc, gc, 1 - gc]) / 2
    return "".join(random.choice(_BASES, length, p=share))


def plant(
    random: np.random.Generator, sequence: str, words: Sequence[str]
) -> tuple[str, list[int]]:
    """The sequence with each word in a place of its own, and where each begins."""
    slot = len(sequence) // max(len(words), 1)
    order = random.permutation(len(words))
    starts = [0] * len(words)
    for place, index in enumerate(order.tolist()):
        word = words[index]
        start = place * slot + int(random.integers(0, slot - len(word) + 1))
        sequence = sequence[:start] + word + sequence[start + len(word) :]
        starts[index] = start
    return sequence, starts


def chromatin(
    random: np.random.Generator, n_rows: int, length: int
) -> tuple[list[str], list[list[str]]]:
    """Column names and rows (sequence, then 919 targets)."""
    words = motifs(random, 16, 8)
    names, parts, wanted = [], [], []
    for group, size in _GROUP_SIZES.items():
        for index in range(size):
            cell = f"cell{index // 16 + 1}"
            if group == "TF":
                factor = index % len(words)
                names.append(f"{cell}|TF{factor + 1}.{index}|None")
                parts.append([factor])
            else:
                kind = "DNase" if group == "DHS" else _MARKS[index % len(_MARKS)]
                names.append(f"{cell}|{kind}|{index + 1}")
                n_words = 3 if group == "DHS" else 5
                parts.append(random.choice(len(words), n_words, replace=False).tolist())
            wanted.append(2 if group == "HM" else 1)
    rows = []
    for _ in range(n_rows):
        present = random.random(len(words)) < 1 / 4
        chosen = np.flatnonzero(present).tolist()
        planted = [_either_strand(random, words[index]) for index in chosen]
        sequence, _ = plant(random, background(random, length), planted)
        is_on = np.array([present[part].sum() >= n for part, n in zip(parts, wanted, strict=True)])
        is_on &= random.random(len(names)) >= 0.05
        rows.append([sequence, *is_on.astype(int).astype(str).tolist()])
    return ["sequence", *(f"y_{name}" for name in names)], rows


def _either_strand(random: np.random.Generator, word: str) -> str:
    return _reverse(word) if random.random() < 0.5 else word


def regression(
    random: np.random.Generator, n_rows: int, length: int
) -> tuple[list[str], list[list[str]]]:
    """Column names and rows (sequence, activity)."""
    words = motifs(random, len(_WEIGHTS), 8)
    rows = []
    for _ in range(n_rows):
        chosen = np.flatnonzero(random.random(len(words)) < 0.4).tolist()
        sequence, starts = plant(
            random, background(random, length), [words[index] for index in chosen]
        )
        activity = sum(_WEIGHTS[index] for index in chosen)
        place = dict(zip(chosen, starts, strict=True))
        if 0 in place and 1 in place and place[0] < place[1]:
            activity += 1.5
        gc = (sequence.count("G") + sequence.count("C")) / length
        activity += 2 * (gc - 0.5) + random.normal(0, 0.3)
        rows.append([sequence, f"{activity:.4f}"])
    return ["sequence", "label"], rows


def write(path: Path, columns: Iterable[str], rows: list[list[str]], sizes: Sequence[int]) -> None:
    """A TSV with the split of each row; gzip without a date, so that equal sets are equal files."""
    names = ["train"] * sizes[0] + ["valid"] * sizes[1] + ["test"] * sizes[2]
    lines = ["\t".join(["split", *columns])]
    lines += ["\t".join([name, *row]) for name, row in zip(names, rows, strict=True)]
    text = ("\n".join(lines) + "\n").encode("ascii")
    path.write_bytes(gzip.compress(text, mtime=0) if path.suffix == ".gz" else text)


def main() -> None:
    """Write one set."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kind", choices=["chromatin", "regression"])
    parser.add_argument("output", type=Path)
    parser.add_argument(
        "--rows", type=int, nargs=3, default=[6_000, 500, 1_500], metavar=("TRAIN", "VALID", "TEST")
    )
    parser.add_argument("--length", type=int, default=200, help="bases of every sequence")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    random = np.random.default_rng(arguments.seed)
    make = {"chromatin": chromatin, "regression": regression}[arguments.kind]
    columns, rows = make(random, sum(arguments.rows), arguments.length)
    write(arguments.output, columns, rows, arguments.rows)


if __name__ == "__main__":
    main()
