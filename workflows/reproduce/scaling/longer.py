"""A model carried to a longer context: equal on short inputs, and what its filters do beyond.

    python workflows/reproduce/scaling/longer.py builtin 65534 longer

Writes the model directory `longer`, with no step of training. On stdout a TSV: per block, which
share of the squared taps, and of their sum of magnitudes, lies beyond the old length.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from hyenadna_cli.core.model.checkpoints import checkpoint, known_answer
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.core.model.prefix import blocks_of
from hyenadna_cli.core.training.settings import settings
from hyenadna_cli.core.training.starting_model import StartingModel


def main(name: str, n_bases: int, output: Path) -> None:
    """Make the model, and measure it."""
    start = StartingModel.find(name)
    config, _ = settings(model={"l_max": n_bases + 2}, train={}, start=start)
    longer = HyenaDNA(config).eval()
    start.load_into(longer)
    stored, _ = checkpoint.load(start.source)
    ids = torch.randint(7, 11, (2, 8_192), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        difference = float((longer(ids) - stored.eval()(ids)).abs().max())
        sys.stdout.write(f"largest difference of logits over 8,192 bases\t{difference:.1e}\n")
        sys.stdout.write("block\tsquares_beyond\tmagnitude_beyond\tlargest_beyond\tlargest\n")
        for number, block in enumerate(blocks_of(longer), start=1):
            (taps_DL,) = block.mixer.filter_fn(config.l_max)
            size, beyond = taps_DL.abs(), taps_DL[:, config.filter_l_max :].abs()
            shares = beyond.square().sum() / size.square().sum(), beyond.sum() / size.sum()
            figures = (*shares, beyond.max(), size.max())
            row = "\t".join(f"{float(figure):.3g}" for figure in figures)
            sys.stdout.write(f"{number}\t{row}\n")
    output.mkdir()
    checkpoint.save(longer, output)
    known_answer.record_known_answer(longer, output)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
