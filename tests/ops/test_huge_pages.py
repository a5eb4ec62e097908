"""Large buffers: what they hold, and what happens where there is no room for one."""

from __future__ import annotations

import errno
import mmap

import pytest
import torch

from hyenadna_cli.core.machine.out_of_memory import is_out_of_memory
from hyenadna_cli.ops.huge_pages import empty_huge


@pytest.mark.parametrize("shape", [(3,), (1_100, 1_000), (2, 1 << 20)])
def test_a_buffer_is_a_tensor_to_write_to(shape):
    buffer = empty_huge(*shape)

    buffer.fill_(2.0)

    assert buffer.shape == shape
    assert buffer.dtype == torch.float32
    assert float(buffer.sum()) == 2.0 * buffer.numel()


def test_no_room_is_out_of_memory_and_not_an_error_of_files(monkeypatch):
    def refused(*_arguments, **_more):
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr(mmap, "mmap", refused)

    with pytest.raises(MemoryError, match="8,388,608 bytes") as error:
        empty_huge(2, 1 << 20)
    assert is_out_of_memory(error.value)
