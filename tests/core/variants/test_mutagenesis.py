"""Every SNV of a region: the same numbers as scoring them one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hyenadna_cli.core.config.settings import ModelConfig
from hyenadna_cli.core.dna.coordinates import Interval
from hyenadna_cli.core.inference.batching import BatchLimits
from hyenadna_cli.core.io.fasta import Genome
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.core.variants import mutagenesis
from hyenadna_cli.core.variants.alleles import Centred, Grid, Variant, assess
from hyenadna_cli.core.variants.chunks import ScoreSettings
from hyenadna_cli.core.variants.mutagenesis import mutagenize
from hyenadna_cli.core.variants.scoring import score
from hyenadna_cli.core.variants.stretches import Stretches

LIMITS = BatchLimits(max_tokens=1_000)
GRID = Grid(window=100, min_context=20)


@pytest.fixture(scope="module")
def model():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        model = HyenaDNA(ModelConfig(d_model=8, n_layer=2, d_inner=16, l_max=128)).eval().double()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2 and "implicit_filter" not in name:
                parameter *= 10
    return model


@pytest.fixture
def genome(fasta_file):
    random = np.random.default_rng(5)
    bases = "".join(random.choice(list("ACGTacgt"), 330))
    with Genome(fasta_file({"chr1": bases[:150] + "NN" + bases[152:] + "N" * 90})) as genome:
        yield genome


def one_by_one(model, region, genome, settings):
    """Statuses, and scores by position and alternative base, through the variant scorer."""
    bases = genome.fetch(region).upper()
    alts = [tuple(b for b in "ACGT" if b != base) if base != "N" else () for base in bases]
    sites = [
        assess(
            Variant("chr1", region.start + n, base, alts[n]),
            Stretches(genome),
            layout=settings.layout,
            max_allele_length=1,
        )
        for n, base in enumerate(bases)
    ]
    done = score(model, sites, genome, settings, limits=LIMITS)
    rows = [row for batch in done for row in batch.rows]
    values = {name: np.full((len(bases), 4), np.nan) for name in settings.scores}
    for n, row in enumerate(rows):
        for alt, allele in zip(alts[n], row, strict=True):
            for name in settings.scores:
                values[name][n, "ACGT".index(alt)] = allele.values[name]
    return [row[0].status if row else "NON_ACGT" for row in rows], values


@pytest.mark.slow
@pytest.mark.parametrize("layout", [GRID, Centred(upstream=40, downstream=30)])
@pytest.mark.parametrize("scores", [("site",), ("site", "llr")])
@pytest.mark.parametrize(
    ("strands", "full_vocabulary"), [(("+",), True), (("-",), False), (("+", "-"), False)]
)
def test_a_region_scores_as_its_snvs_do(
    model, genome, monkeypatch, layout, scores, strands, full_vocabulary
):
    monkeypatch.setattr(mutagenesis, "_PIECE", 170)
    settings = ScoreSettings(
        layout=layout, scores=scores, strands=strands, full_vocabulary=full_vocabulary
    )
    region = Interval("chr1", 0, 400)

    batches = list(mutagenize(model, region, genome, settings, limits=LIMITS))
    statuses, values = one_by_one(model, region, genome, settings)

    pieces = [piece for done in batches for piece in done.rows]
    assert sum(done.n_bases for done in batches) == pytest.approx(400)
    assert [piece.interval.start for piece in pieces] == [0, 170, 340]
    assert [status for piece in pieces for status in piece.statuses] == statuses
    assert {"OK", "OK_EDGE", "NON_ACGT"} <= set(statuses)
    site = np.concatenate([piece.site for piece in pieces])
    np.testing.assert_allclose(site, values["site"], rtol=0, atol=1e-9)
    if "llr" in scores:
        llr = np.concatenate([piece.llr for piece in pieces])
        np.testing.assert_allclose(llr, values["llr"], rtol=0, atol=1e-9)


def test_windows_of_n_are_not_scored(model, genome):
    settings = ScoreSettings(layout=GRID, scores=("site",), max_n_fraction=0.01)

    (done,) = mutagenize(model, Interval("chr1", 120, 180), genome, settings, limits=LIMITS)

    (piece,) = done.rows
    assert set(piece.statuses) == {"N_WINDOW", "NON_ACGT"}
    assert np.isnan(piece.site).all()


def test_other_scores_are_refused(model, genome):
    settings = ScoreSettings(layout=GRID, scores=("jsd",))

    with pytest.raises(ValueError, match="jsd"):
        next(mutagenize(model, Interval("chr1", 0, 9), genome, settings, limits=LIMITS))


@pytest.mark.parametrize("window", [64, 100, 101])
@pytest.mark.parametrize("min_context", [1, 16, 31])
@pytest.mark.parametrize("strand", ["+", "-"])
def test_the_windows_of_bases_are_those_of_snvs(window, min_context, strand):
    grid = Grid(window=window, min_context=min_context)

    starts, is_edge = grid.of_bases(Interval("chr1", 0, 500), strand, contig_length=500)

    places = [grid.place(Interval("chr1", n, n + 1), strand, contig_length=500) for n in range(500)]
    assert starts.tolist() == [place.start for place in places]
    assert is_edge.tolist() == [place.is_edge for place in places]
