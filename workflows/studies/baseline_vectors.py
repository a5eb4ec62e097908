"""What embeddings are compared with: the same file with other vectors.

    python baseline_vectors.py kmers embeddings.h5ad genome.fa -o kmers.h5ad
    python baseline_vectors.py random model -o random_weights

`kmers` writes an embedding file of the same regions whose vectors are the frequencies of words of 1
to 4 bases on both strands, so that the same probe and the same map can be made of them. `random`
writes a model directory of the same shape, with weights that have learned nothing, for `embed -m`.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
from pathlib import Path

import h5py
import numpy as np

LONGEST_WORD = 4


def kmers(embeddings: Path, genome: str, output: Path) -> None:
    """Replace the vectors of a pooled file by word frequencies."""
    from hyenadna_cli.core.dna.coordinates import Interval
    from hyenadna_cli.core.dna.sequence import reverse_complement
    from hyenadna_cli.core.io.embeddings_reading import read_embeddings
    from hyenadna_cli.core.io.fasta import Genome

    lengths = range(1, LONGEST_WORD + 1)
    words = ["".join(word) for n in lengths for word in itertools.product("ACGT", repeat=n)]
    place = {word: index for index, word in enumerate(words)}
    obs = read_embeddings(embeddings).obs
    vectors = np.zeros((len(obs["chrom"]), len(words)), np.float32)
    with Genome(genome) as fasta:
        regions = zip(obs["chrom"], obs["start"], obs["end"], strict=True)
        for row, (contig, start, end) in zip(vectors, regions, strict=True):
            text = fasta.fetch(Interval(str(contig), int(start), int(end))).upper()
            for n, strand in itertools.product(lengths, (text, reverse_complement(text))):
                for first in range(len(strand) - n + 1):
                    if (index := place.get(strand[first : first + n])) is not None:
                        row[index] += 0.5 / (len(strand) - n + 1)
    shutil.copyfile(embeddings, output)
    with h5py.File(output, "r+") as file:
        for name in ("X", "obsm"):
            attributes = dict(file[name].attrs)
            del file[name]
            made = (
                file.create_group(name)
                if name == "obsm"
                else file.create_dataset("X", data=vectors)
            )
            made.attrs.update(attributes)
        index = file["var/_index"]
        attributes = dict(index.attrs)
        del file["var/_index"]
        file["var"].create_dataset("_index", data=words, dtype=h5py.string_dtype())
        file["var/_index"].attrs.update(attributes)


def random(model: str, output: Path, seed: int) -> None:
    """A model of the same shape at its start."""
    import torch

    from hyenadna_cli.core.model.checkpoints import catalogue, checkpoint
    from hyenadna_cli.core.model.hyenadna import HyenaDNA

    location = catalogue.locate(model, revision=None, offline=False, cache_dir=None)
    config, _, _ = checkpoint.inspect(location.directory, name=model, revision=location.revision)
    torch.manual_seed(seed)
    output.mkdir(parents=True, exist_ok=True)
    checkpoint.save(HyenaDNA(config), output)


def main() -> None:
    """One or the other."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("kmers", "random"))
    parser.add_argument("given")
    parser.add_argument("genome", nargs="?")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    if given.what == "kmers":
        kmers(Path(given.given), given.genome, given.output)
    else:
        random(given.given, given.output, given.seed)


if __name__ == "__main__":
    main()
