"""The pool of threads."""

from __future__ import annotations

import pytest
import torch

from hyenadna_cli.ops import workers


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_work_within_work_is_done_by_the_thread_itself():
    """Threads that all waited for the pool would wait for ever."""
    done = []

    def outer(number: int) -> None:
        workers.for_each(lambda inner: done.append((number, inner)), range(3))

    workers.for_each(outer, range(8))

    assert sorted(done) == [(number, inner) for number in range(8) for inner in range(3)]


@pytest.mark.usefixtures("two_threads")
def test_what_work_raises_comes_back():
    def fail(number: int) -> None:
        raise ValueError(str(number))

    with pytest.raises(ValueError, match=r"\d"):
        workers.for_each(fail, range(4))


def test_pieces_are_even_and_never_empty():
    assert workers.pieces(10, 3) == [range(3), range(3, 6), range(6, 10)]
    assert workers.pieces(2, 5) == [range(1), range(1, 2)]
    assert workers.pieces(0, 4) == [range(0)]
