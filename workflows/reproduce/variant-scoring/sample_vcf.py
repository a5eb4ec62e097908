r"""A seeded sample of the labelled records of a VCF, as many of each label, in file order.

    python sample_vcf.py clinvar.vcf.gz --label CLASS --values P/LP,B/LB --each 1000 > sample.vcf

Of several alleles the first one's label counts.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

from hyenadna_cli.core.io.vcf import VcfFile
from hyenadna_cli.core.io.vcf_info import InfoColumns


def main() -> None:
    """Print the header and the records drawn."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("vcf", type=Path)
    parser.add_argument("--label", default="CLASS", help="INFO key of the labels")
    parser.add_argument("--values", required=True, help="labels by commas")
    parser.add_argument("--each", type=int, default=1_000)
    parser.add_argument("--snvs", action="store_true", help="leave other records out")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    chooser = random.Random(arguments.seed)  # noqa: S311  not a secret
    lines: list[str] = []
    of_label: dict[str, list[int]] = {value: [] for value in arguments.values.split(",")}
    with VcfFile(arguments.vcf).open_vcf() as reader:
        labels = InfoColumns(arguments.vcf, reader.header, [arguments.label])
        for record in reader.records():
            ((label,), *_) = labels.of(record)
            is_snv = len(record.ref) == 1 and [*map(len, record.alts)] == [1]
            if label in of_label and (is_snv or not arguments.snvs):
                of_label[label].append(len(lines))
                lines.append("\t".join(record.columns))
        print(reader.header.text(), end="")
    chosen: list[int] = []
    for numbers in of_label.values():
        chosen += chooser.sample(numbers, min(arguments.each, len(numbers)))
    for number in sorted(chosen):
        print(lines[number])


if __name__ == "__main__":
    main()
