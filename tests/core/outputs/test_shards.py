"""Shards are runs of whole chunks, and chunks depend on the input alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyenadna_cli.core.outputs import shards
from hyenadna_cli.core.outputs.shards import Shard, chunks, shard_range
from hyenadna_cli.errors import UsageError


def test_a_chunk_closes_with_the_record_that_fills_it():
    lengths = [1_000] * 300 + [shards.CHUNK_BASES] * 2 + [10]

    cut = list(chunks(lengths, length_of=int))

    assert [len(chunk) for chunk in cut] == [256, 45, 1, 1]


def test_a_stream_is_cut_while_it_is_read():
    def records():
        yield from ([1] * shards.CHUNK_RECORDS)
        raise AssertionError("the first chunk was complete")

    assert len(next(chunks(records(), length_of=int))) == shards.CHUNK_RECORDS


def test_no_records_make_no_chunk():
    assert list(chunks([], length_of=int)) == []
    assert shard_range([], Shard(1, 1)) == range(0)


@given(
    lengths=st.lists(st.sampled_from([0, 1, 200_000, 999_999, 3_000_000]), max_size=80),
    count=st.integers(1, 12),
)
def test_shards_follow_each_other_without_a_gap_at_chunk_ends(lengths, count):
    """Law: the shards of any N, put together, are all records, and no chunk is split."""
    ends = {0}
    for chunk in chunks(lengths, length_of=int):
        ends.add(max(ends) + len(chunk))

    parts = [shard_range(lengths, Shard(index, count)) for index in range(1, count + 1)]

    assert [number for part in parts for number in part] == list(range(len(lengths)))
    assert all({part.start, part.stop} <= ends for part in parts if part)


def test_shards_are_balanced_by_bases():
    lengths = [500_000] * 40 + [1_000] * 40_000

    parts = [shard_range(lengths, Shard(index, 4)) for index in range(1, 5)]

    bases = [sum(lengths[number] for number in part) for part in parts]
    assert max(bases) - min(bases) <= 2 * shards.CHUNK_BASES


def test_a_shard_is_written_as_it_is_read():
    assert str(Shard.parse("3/16")) == "3/16"


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "1/0", "a/b", "-1/3", "1/2/3", ""])
def test_a_shard_that_does_not_exist_is_refused(text):
    with pytest.raises(UsageError, match="i/N"):
        Shard.parse(text)


SLURM = {
    "SLURM_ARRAY_TASK_ID": "3",
    "SLURM_ARRAY_TASK_MIN": "1",
    "SLURM_ARRAY_TASK_MAX": "7",
    "SLURM_ARRAY_TASK_STEP": "1",
    "SLURM_ARRAY_TASK_COUNT": "7",
}


@pytest.mark.parametrize(
    ("environment", "shard"),
    [
        (SLURM, "3/7"),
        ({**SLURM, "SLURM_ARRAY_TASK_MIN": "0", "SLURM_ARRAY_TASK_COUNT": "8"}, "4/8"),
        ({**SLURM, "SLURM_ARRAY_TASK_STEP": "2", "SLURM_ARRAY_TASK_COUNT": "4"}, "2/4"),
        ({"LSB_JOBINDEX": "2", "LSB_JOBINDEX_END": "5"}, "2/5"),
        (
            {
                "LSB_JOBINDEX": "0",
                "SGE_TASK_ID": "4",
                "SGE_TASK_FIRST": "1",
                "SGE_TASK_LAST": "4",
                "SGE_TASK_STEPSIZE": "1",
            },
            "4/4",
        ),
    ],
)
def test_an_array_task_is_a_shard(environment, shard):
    assert str(Shard.of_array_task(environment)) == shard


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"SGE_TASK_ID": "undefined"},
        {"LSB_JOBINDEX": "0"},
        {**SLURM, "SLURM_ARRAY_TASK_MIN": "3"},
        {**SLURM, "SLURM_ARRAY_TASK_COUNT": "2"},  # --array=1,3,7
        {"LSB_JOBINDEX": "2"},
    ],
)
def test_outside_an_array_and_in_a_part_of_one_the_shard_is_not_guessed(environment):
    with pytest.raises(UsageError, match="--shard"):
        Shard.of_array_task(environment)
