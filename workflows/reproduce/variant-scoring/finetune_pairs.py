r"""Whether training the whole model on pairs of REF and ALT windows beats the linear probe.

    hyenadna embed --vcf labelled.vcf --fasta genome.fa --window 128 --allele diff-at-variant \
        --pool mean,first --info CLASS -o alleles.h5ad
    python finetune_pairs.py alleles.h5ad genome.fa --positive P/LP --negative B/LB > pairs.tsv

Of SNVs only. The probe is fitted as `finetune --probe --features embedding` does, on the same
splits. From there on, its weights and all of the model's are trained on the pairs, one strand of
each at random; both strands are judged. A row for each epoch; 0 is the probe. The epoch that
counts is the best one on the validation rows.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from hyenadna_cli.core.dna.coordinates import Interval
from hyenadna_cli.core.dna.sequence import reverse_complement
from hyenadna_cli.core.dna.tokenizer import encode
from hyenadna_cli.core.io.fasta import Genome
from hyenadna_cli.core.model.checkpoints import catalogue, checkpoint
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.core.tasks.alleles.data import LabelledAlleles, read_labelled_alleles
from hyenadna_cli.core.tasks.alleles.settings import LabelledAlleleSettings
from hyenadna_cli.core.tasks.finetuning.probing import LinearProbe, fit_probe
from hyenadna_cli.core.tasks.metrics.bootstrap import resampler
from hyenadna_cli.core.tasks.metrics.ranks import rank_metrics

# N alleles, S strands, A alleles (REF, ALT), L positions, D features

_BATCH = 32


def pairs(alleles: LabelledAlleles, fasta: Path) -> Tensor:
    """Token ids of all windows, the variant in the middle of each strand's: (N, S, A, L)."""
    half = alleles.window // 2
    rows = []
    with Genome(fasta) as genome:
        places = zip(alleles.chroms, alleles.starts.tolist(), alleles.texts.alts, strict=True)
        for contig, start, alt in places:
            plus = genome.fetch(Interval(contig, start - half, start + half)).upper()
            behind = Interval(contig, start + 1 - half, start + 1 + half)
            minus = reverse_complement(genome.fetch(behind).upper())
            both = [(plus, alt), (minus, reverse_complement(alt))]
            rows.append(
                [
                    [encode(text), encode(f"{text[:half]}{letter}{text[half + 1 :]}")]
                    for text, letter in both
                ]
            )
    return torch.from_numpy(np.array(rows, dtype=np.int64))


class Pairs(nn.Module):
    """A linear model of how hidden states differ from the variant on: their mean, and the first."""

    def __init__(self, model: HyenaDNA, probe: LinearProbe, scale_D: NDArray[np.float64]) -> None:
        super().__init__()
        self.model = model
        self.scale_D = nn.Parameter(torch.tensor(scale_D).float(), requires_grad=False)
        weight_D = (probe.weight_CD[1] - probe.weight_CD[0]) * scale_D
        self.weight_D = nn.Parameter(torch.tensor(weight_D).float())
        self.bias = nn.Parameter(torch.tensor(probe.bias_C[1] - probe.bias_C[0]).float())

    def features(self, tokens_NAL: Tensor) -> Tensor:
        """(N, D)."""
        hidden_NALD = self.model.hidden_states(tokens_NAL.flatten(0, 1))[0].unflatten(0, (-1, 2))
        half = tokens_NAL.shape[-1] // 2
        moved_NLD = hidden_NALD[:, 1, half:] - hidden_NALD[:, 0, half:]
        return torch.cat([moved_NLD.mean(1), moved_NLD[:, 0]], dim=1)

    def forward(self, tokens_NAL: Tensor) -> Tensor:
        """Logits (N,)."""
        return self.features(tokens_NAL) / self.scale_D @ self.weight_D + self.bias


@torch.inference_mode()
def logits(network: Pairs, tokens_NSAL: Tensor) -> NDArray[np.float64]:
    """The mean of both strands: (N,)."""
    network.eval()
    of_both = [
        network(part.flatten(0, 1)).view(-1, 2).mean(1) for part in tokens_NSAL.split(_BATCH)
    ]
    return torch.cat(of_both).double().numpy()


def report(
    epoch: int, valid: float, scores: NDArray[np.float64], targets: NDArray[np.int64]
) -> None:
    """Print a row."""
    drawn = resampler(len(targets), n_replicates=1_000, seed=0)
    auroc = rank_metrics(targets[:, None] == 1, scores[:, None], drawn)["auroc"].of(0)
    cells = [f"{number:.4f}" for number in (valid, auroc.value, auroc.low, auroc.high)]
    print(epoch, *cells, f"{time.process_time():.0f}", sep="\t", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("alleles", type=Path)
    parser.add_argument("fasta", type=Path)
    parser.add_argument("--positive", required=True)
    parser.add_argument("--negative", required=True)
    parser.add_argument("--groups", default="chrom")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--rate", type=float, default=1e-4)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    asked = LabelledAlleleSettings(
        label_column="CLASS",
        groups=arguments.groups,
        positive=arguments.positive,
        negative=arguments.negative,
    )
    alleles = read_labelled_alleles(arguments.alleles, asked, seed=0)
    stored_ND, targets = alleles.parts["embedding"], alleles.targets
    train, valid, test = (alleles.rows_of[split] for split in ("train", "valid", "test"))

    def judge(probe: LinearProbe) -> float:
        logits_NC = probe.scores(stored_ND[valid])
        return float(roc_auc_score(targets[valid], logits_NC[:, 1] - logits_NC[:, 0]))

    probe = fit_probe("binary", stored_ND[train], targets[train], n_outputs=2, judge=judge)
    location = catalogue.locate("builtin", revision=None, offline=True, cache_dir=None)
    model, _ = checkpoint.load(location.directory)
    network = Pairs(model, probe, stored_ND[train].std(0) + 1e-9)
    tokens_NSAL = pairs(alleles, arguments.fasta)
    with torch.inference_mode():
        sample = network.features(tokens_NSAL[test[:8]].flatten(0, 1)).view(8, 2, -1).mean(1)
    np.testing.assert_allclose(sample.numpy(), stored_ND[test[:8]], atol=1e-4)
    optimiser = torch.optim.AdamW(
        [
            {"params": [network.weight_D, network.bias], "weight_decay": 0.0},
            {"params": [*model.parameters()], "weight_decay": 0.1},
        ],
        lr=arguments.rate,
    )
    print("epoch", "valid", "test", "low", "high", "cpu_seconds", sep="\t")
    for epoch in range(arguments.epochs + 1):
        if epoch:
            network.train()
            for rows in np.array_split(
                np.random.default_rng(epoch).permutation(train), -(-len(train) // _BATCH)
            ):
                strands = torch.randint(2, (len(rows),))
                found = network(tokens_NSAL[rows, strands])
                loss = F.binary_cross_entropy_with_logits(
                    found, torch.from_numpy(targets[rows]).float()
                )
                optimiser.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(network.parameters(), 1.0)
                optimiser.step()
        of_valid = float(roc_auc_score(targets[valid], logits(network, tokens_NSAL[valid])))
        report(epoch, of_valid, logits(network, tokens_NSAL[test]), targets[test])


if __name__ == "__main__":
    main()
