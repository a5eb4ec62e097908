"""What the machine says of itself."""

from __future__ import annotations

import os

import pytest

from hyenadna_cli.core.machine import hardware


def test_no_more_cpus_are_usable_than_there_are():
    cpu = hardware.processor()

    assert 1 <= cpu.n_usable == hardware.usable_cpus() <= cpu.n_cpus
    assert cpu.name
    assert cpu.architecture


def test_affinity_is_what_counts():
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system has no affinity")
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        n_usable = hardware.usable_cpus()
    finally:
        os.sched_setaffinity(0, before)

    assert n_usable == 1


def test_no_more_memory_is_free_than_there_is():
    memory = hardware.memory()

    if memory.total is not None and memory.available is not None:
        assert 0 < memory.available <= memory.total


def test_a_share_of_time_is_a_share():
    busy = hardware.busy_share(0.05)

    assert busy is None or 0 <= busy <= 1
