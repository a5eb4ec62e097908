"""The journal: what was kept whole is recalled, what was not is computed again."""

from __future__ import annotations

import multiprocessing
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyenadna_cli.core.outputs.journal import NO_JOURNAL, journal_path, open_journal
from hyenadna_cli.errors import OutputError, UsageError

IDENTITY = {"model": "m", "settings": {"window": 64, "strand": "+"}, "shard": None}


class Killed(BaseException):
    pass


def interrupted(output, *chunks, identity=IDENTITY):
    """A run that keeps `chunks`, each a list of entries, and ends without success."""
    with (
        suppress(Killed),
        open_journal(output, identity, resume=False, overwrite=False) as journal,
    ):
        for entries in chunks:
            for number, arrays in enumerate(entries, start=1):
                journal.keep(*arrays, ends_chunk=number == len(entries))
        raise Killed


def recalled(output, *, identity=IDENTITY, overwrite=False):
    """The chunks that a resumed run finds, as sums of their (3,) float64 arrays."""
    found = []
    with open_journal(output, identity, resume=True, overwrite=overwrite) as journal:
        while journal.has_chunk:
            array = np.empty(3)
            journal.recall(array)
            found.append(array.tolist())
    return found


def chunk(value):
    return [[np.full(3, float(value))]]


def test_finished_chunks_are_recalled_to_the_bit_and_the_journal_goes_with_success(tmp_path):
    output = tmp_path / "x.tsv"
    kept = [np.array([[0.1, np.nan], [-np.inf, 3e-308]]), np.array([True, False]), np.empty((0, 4))]
    interrupted(output, [kept])

    with open_journal(output, IDENTITY, resume=True, overwrite=False) as journal:
        assert (journal.has_chunk, journal.is_resumed) == (True, True)
        arrays = [np.zeros_like(array) for array in kept]
        journal.recall(*arrays)
        assert not journal.has_chunk

    for array, expected in zip(arrays, kept, strict=True):
        np.testing.assert_array_equal(array, expected)
    assert list(tmp_path.iterdir()) == []


@given(cut=st.integers(0, 400), flip=st.integers(0, 399))
def test_whatever_a_killed_process_left_only_whole_chunks_are_recalled(tmp_path_factory, cut, flip):
    output = tmp_path_factory.mktemp("run") / "x.tsv"
    interrupted(output, *[chunk(i) for i in range(6)])
    path = journal_path(output)
    data = bytearray(path.read_bytes())
    start = data.index(b"}\n") + 2
    place = start + flip % (len(data) - start)
    data[place] ^= 1
    path.write_bytes(bytes(data[: start + cut]))
    size = (len(data) - start) // 6

    found = recalled(output)

    n_whole = min((place - start) // size, min(cut, 6 * size) // size)
    if start + cut <= place:
        n_whole = min(cut // size, 6)
    assert found == [[float(i)] * 3 for i in range(n_whole)]


def test_a_chunk_of_which_the_last_entry_is_missing_does_not_count(tmp_path):
    output = tmp_path / "x.h5"
    interrupted(output, chunk(0))
    with (
        suppress(Killed),
        open_journal(output, IDENTITY, resume=True, overwrite=False) as journal,
    ):
        journal.recall(np.empty(3))
        journal.keep(np.ones(3), ends_chunk=False)
        raise Killed

    assert recalled(output) == [[0.0] * 3]


def test_a_resumed_run_goes_on_keeping(tmp_path):
    output = tmp_path / "x.h5"
    interrupted(output, chunk(0))
    for value in (1, 2):
        with (
            suppress(Killed),
            open_journal(output, IDENTITY, resume=True, overwrite=False) as journal,
        ):
            while journal.has_chunk:
                journal.recall(np.empty(3))
            journal.keep(*chunk(value)[0][0])
            raise Killed

    assert recalled(output) == [[float(i)] * 3 for i in range(3)]


def test_a_run_of_other_settings_is_refused_and_says_which(tmp_path):
    output = tmp_path / "x.tsv"
    interrupted(output, chunk(0))
    other = {**IDENTITY, "settings": {"window": 128, "strand": "+"}}

    with pytest.raises(UsageError, match="window 64, not 128"):
        recalled(output, identity=other)
    assert recalled(output, identity=other, overwrite=True) == []


def test_without_resume_a_run_starts_over(tmp_path):
    output = tmp_path / "x.tsv"
    interrupted(output, chunk(0))

    with open_journal(output, IDENTITY, resume=False, overwrite=False) as journal:
        assert (journal.has_chunk, journal.is_resumed) == (False, False)


def test_nothing_finished_leaves_nothing(tmp_path):
    interrupted(tmp_path / "x.tsv")

    assert list(tmp_path.iterdir()) == []


def test_unfinished_files_of_a_killed_run_are_removed_and_no_others(tmp_path):
    output = tmp_path / "x.vcf.gz"
    mine = ["x.vcf.gz.tmp.12.node", "x.vcf.gz.csi.tmp.3.a", "x.vcf.gz.manifest.json.tmp.3.a"]
    others = ["x.vcf.gz.csi", "x.vcf.gz.tmp.notes", "y.vcf.gz.tmp.12.node", "x.vcf.gz.h5.tmp.1.a"]
    for name in (*mine, *others):
        (tmp_path / name).touch()

    with open_journal(output, IDENTITY, resume=True, overwrite=False):
        pass

    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(others)


def _hold(output, is_held, is_over):
    with open_journal(output, IDENTITY, resume=False, overwrite=False):
        is_held.set()
        is_over.wait(30)


def test_two_runs_of_one_output_are_refused(tmp_path):
    context = multiprocessing.get_context("fork")
    is_held, is_over = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(tmp_path / "x.tsv", is_held, is_over))
    other.start()
    assert is_held.wait(30)

    with (
        pytest.raises(OutputError, match="another run"),
        open_journal(tmp_path / "x.tsv", IDENTITY, resume=True, overwrite=True),
    ):
        pass

    is_over.set()
    other.join()
    assert recalled(tmp_path / "x.tsv") == []


def test_a_stream_keeps_nothing():
    NO_JOURNAL.keep(np.ones(3))

    assert not NO_JOURNAL.has_chunk
