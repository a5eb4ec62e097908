"""Large buffers: what they hold, and what happens where there is no room for one."""

from __future__ import annotations

import errno
import mmap

import pytest
import torch

from hyenadna_cli.core.machine.out_of_memory import is_out_of_memory
from hyenadna_cli.ops import huge_pages
from hyenadna_cli.ops.huge_pages import empty_huge


@pytest.fixture(autouse=True)
def _nothing_kept():
    huge_pages.forget()
    yield
    huge_pages.forget()


@pytest.mark.parametrize("shape", [(3,), (1_100, 1_000), (2, 1 << 20)])
def test_a_buffer_is_a_tensor_to_write_to(shape):
    buffer = empty_huge(*shape)

    buffer.fill_(2.0)

    assert buffer.shape == shape
    assert buffer.dtype == torch.float32
    assert float(buffer.sum()) == 2.0 * buffer.numel()


@pytest.mark.skipif(not hasattr(mmap, "MADV_HUGEPAGE"), reason="huge pages are Linux's")
def test_memory_that_no_tensor_holds_is_used_again():
    first = empty_huge(2, 1 << 20)
    at, part = first.data_ptr(), first[1]
    del first

    other = empty_huge(2, 1 << 20)
    assert other.data_ptr() != at  # a view holds it still
    del part
    smaller = empty_huge(3, 1 << 19)
    assert smaller.data_ptr() == at
    smaller.fill_(1.0)
    assert empty_huge(2, 1 << 20).data_ptr() != at  # and now the smaller one does


def test_memory_is_kept_up_to_a_bound_only():
    many = [empty_huge(4 << 20) for _ in range(6)]
    large = empty_huge(20 << 20)

    del many, large

    assert sum(map(len, huge_pages._kept)) <= huge_pages._FOR_PASSES


def test_training_keeps_more_until_it_ends():
    with huge_pages.kept_for_steps():
        large = empty_huge(20 << 20)
        at = large.data_ptr()
        del large
        again = empty_huge(20 << 20)
        assert again.data_ptr() == at
        del again
        assert huge_pages._kept

    assert not huge_pages._kept


def test_where_there_is_no_room_what_was_kept_makes_some(monkeypatch):
    kept = empty_huge(2, 1 << 20)
    del kept
    real, refusals = mmap.mmap, [OSError(errno.ENOMEM, "Cannot allocate memory")]

    def once_refused(*arguments, **more):
        if refusals:
            raise refusals.pop()
        return real(*arguments, **more)

    monkeypatch.setattr(mmap, "mmap", once_refused)

    buffer = empty_huge(9 << 20)

    assert buffer.shape == (9 << 20,)
    assert not huge_pages._kept


def test_no_room_is_out_of_memory_and_not_an_error_of_files(monkeypatch):
    def refused(*_arguments, **_more):
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr(mmap, "mmap", refused)

    with pytest.raises(MemoryError, match="8,388,608 bytes") as error:
        empty_huge(2, 1 << 20)
    assert is_out_of_memory(error.value)
