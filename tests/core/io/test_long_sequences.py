"""Sequences that are not held in memory: pieces of a FASTA, windows of a stored sequence."""

from __future__ import annotations

import gzip
import io
import tempfile
import tracemalloc
from pathlib import Path

import pytest
from Bio.SeqIO.FastaIO import SimpleFastaParser
from hypothesis import given
from hypothesis import strategies as st

from hyenadna_cli.core.dna.sequence import LetterCounts, n_fraction
from hyenadna_cli.core.io import long_sequences
from hyenadna_cli.core.io.fasta import SequenceFile
from hyenadna_cli.core.io.long_sequences import StoredSequence, fasta_pieces
from hyenadna_cli.core.io.records import RecordSource
from hyenadna_cli.core.outputs.atomic import scratch_directory
from hyenadna_cli.errors import InputFileError, OutputError


@pytest.fixture
def small_pieces(monkeypatch):
    """Everything longer than 8 letters is long."""
    monkeypatch.setattr("hyenadna_cli.core.io.long_sequences._BLOCK", 4)
    for module in ("long_sequences", "records", "twobit"):
        monkeypatch.setattr(f"hyenadna_cli.core.io.{module}.PIECE", 8)


def stored(*pieces):
    sequence = StoredSequence()
    for piece in pieces:
        sequence.append(piece)
    return sequence


def whole(text, monkeypatch, *, block, piece):
    """The records of a FASTA, put together from their pieces."""
    monkeypatch.setattr(long_sequences, "_BLOCK", block)
    monkeypatch.setattr(long_sequences, "PIECE", piece)
    records = []
    for title, letters, start, is_last in fasta_pieces(io.StringIO(text, newline=None)):
        if start == 0 and (not records or records[-1][2]):
            records.append([title, "", False])
        assert (records[-1][0], len(records[-1][1])) == (title, start)
        records[-1][1] += letters
        records[-1][2] = is_last
    return [(title, sequence) for title, sequence, _ in records]


@given(
    lines=st.lists(st.sampled_from([">a", "> b c ", ">", "ACGT", "AC GT ", "acgtn\t", "", "TT>A"])),
    line_end=st.sampled_from(["\n", "\r\n"]),
    is_ended=st.booleans(),
    block=st.integers(1, 40),
)
def test_pieces_put_together_are_what_biopython_reads(lines, line_end, is_ended, block):
    text = line_end.join([">first", *lines]) + line_end * is_ended

    with pytest.MonkeyPatch.context() as patch:
        read = whole(text, patch, block=block, piece=1_000)

    assert read == list(SimpleFastaParser(io.StringIO(text, newline=None)))


@given(
    sequences=st.lists(st.text("ACGTN", max_size=60)),
    line_bases=st.integers(1, 20),
    block=st.integers(1, 20),
    piece=st.integers(4, 30),
)
def test_where_a_long_record_is_cut_does_not_matter(sequences, line_bases, block, piece):
    text = "".join(
        f">{number}\n" + "".join(f"{s[i : i + line_bases]}\n" for i in range(0, len(s), line_bases))
        for number, s in enumerate(sequences)
    )

    with pytest.MonkeyPatch.context() as patch:
        read = whole(text or ">0\n", patch, block=block, piece=piece)

    assert read == [(str(number), s) for number, s in enumerate(sequences or [""])]


def test_a_stored_sequence_is_sliced_and_counted_as_a_string_is():
    text = "ACGTNnnacgt"
    sequence = stored(text[:4], "", text[4:])

    assert len(sequence) == 11
    assert sequence[:] == text
    slices = [slice(3, 7), slice(9, 99), slice(None, 2), slice(5, 5), slice(-3, None)]
    assert [sequence[window] for window in slices] == [text[window] for window in slices]
    assert (sequence.count("N"), sequence.count("n")) == (1, 2)
    assert n_fraction(sequence) == n_fraction(text)
    assert (len(stored()), stored()[:], n_fraction(stored())) == (0, "", 0.0)


@pytest.mark.parametrize("kind", ["plain", "gzip", "bgzip", "stdin", "region"])
def test_a_long_record_has_the_bases_of_a_short_one(
    small_pieces, fasta_file, bed_file, monkeypatch, kind
):
    sequence = "ACGTRacgtuNNnnACGT"
    compression = kind if kind in ("gzip", "bgzip") else "none"
    records = {"long": sequence, "short": "GG", "again": sequence[::-1]}
    fasta = str(fasta_file(records, compression=compression, is_indexed=False, line_bases=5))
    bed = None
    if kind == "region":
        bed = str(bed_file("long 0 18", "short 0 2", "again 0 18"))
    if kind == "stdin":
        text = io.TextIOWrapper(io.BytesIO(Path(fasta).read_bytes()))
        monkeypatch.setattr("sys.stdin", text)
        fasta = "-"

    with RecordSource(fasta, bed=bed) as source:
        if kind != "stdin":
            assert source.lengths.tolist() == [18, 2, 18]
        read = list(source.read())

    cleaned = "ACGTNacgttNNnnACGT"
    assert [record.sequence[:] for record in read] == [cleaned, "GG", cleaned[::-1]]
    assert [type(record.sequence) for record in read] == [StoredSequence, str, StoredSequence]
    assert (source.letters.n_ambiguous, source.letters.n_uracil) == (2, 2)
    assert read[0].read("-", 0, 6) == "ACGTnn"


def test_a_wrong_letter_of_a_long_record_has_its_place(small_pieces, fasta_file):
    path = fasta_file({"long": "ACGT" * 5 + "!A"}, is_indexed=False, line_bases=5)

    with pytest.raises(InputFileError, match=r"record long, position 21: '!' is not an IUPAC"):
        SequenceFile(path).lengths()


def test_a_long_record_takes_the_memory_of_a_piece(tmp_path):
    """On one line, which other readers hold whole; 40 Mb here."""
    path = tmp_path / "long.fa.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(b">long\n")
        for _ in range(40):
            file.write(b"ACGTACGTAC" * 100_000)

    def peak(read):
        tracemalloc.start()
        read(SequenceFile(path))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    assert peak(SequenceFile.lengths) < 8 * long_sequences.PIECE
    assert peak(lambda file: list(file.read(LetterCounts()))) < 8 * long_sequences.PIECE


@pytest.mark.parametrize("is_named", [True, False])
def test_a_long_record_without_a_place_for_its_file_is_said(
    small_pieces, tmp_path, is_named, monkeypatch
):
    gone = tmp_path / "gone"
    if is_named:
        token = scratch_directory.set(gone)
    else:
        monkeypatch.setattr(tempfile, "tempdir", str(gone))
    try:
        with pytest.raises(OutputError, match=r"gone: cannot keep a record .* TMPDIR or --tmp-dir"):
            stored("ACGT")
    finally:
        if is_named:
            scratch_directory.reset(token)
