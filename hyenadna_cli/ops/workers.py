"""A pool of threads for compiled loops and small matrix products, each serial within a thread.

One pool serves both: a chunk of the sequence then stays in one core's cache from one step to the
next, and no OpenMP team spins while another one works.
"""

from __future__ import annotations

import functools
import itertools
import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Item = TypeVar("Item")

_this_thread = threading.local()


def count() -> int:
    """How many threads work; torch's setting."""
    return torch.get_num_threads()


def for_each(work: Callable[[Item], object], items: Iterable[Item]) -> None:
    """Call `work` with every item, a thread taking the next as soon as it is free.

    The caller's grad and inference modes hold in the threads. Raises what `work` raises. One of the
    threads does everything itself: it cannot wait for others that may wait for it.
    """
    n_threads = count()
    todo = list(items)
    if n_threads == 1 or len(todo) == 1 or getattr(_this_thread, "is_of_pool", False):
        for item in todo:
            work(item)
        return
    is_inference, is_grad = torch.is_inference_mode_enabled(), torch.is_grad_enabled()
    numbers = itertools.count()

    def take() -> None:
        with torch.inference_mode(is_inference), torch.set_grad_enabled(is_grad):
            while (number := next(numbers)) < len(todo):
                work(todo[number])

    taken = [_pool(n_threads).submit(take) for _ in range(min(n_threads, len(todo)))]
    for future in taken:
        future.result()


def pieces(n_items: int, n_pieces: int) -> list[range]:
    """The numbers 0 ... n_items - 1 in about equal runs, none of them empty."""
    n_pieces = max(1, min(n_pieces, n_items))
    cuts = [n_items * number // n_pieces for number in range(n_pieces + 1)]
    return [range(start, stop) for start, stop in itertools.pairwise(cuts)]


@functools.lru_cache(maxsize=1)
def _pool(n_threads: int) -> ThreadPoolExecutor:
    def start() -> None:
        # Sets the thread's own OpenMP team size; the process-wide setting is restored right after.
        torch.set_num_threads(1)
        _this_thread.is_of_pool = True

    pool = ThreadPoolExecutor(n_threads, thread_name_prefix="hyenadna", initializer=start)
    started = [pool.submit(_wait_briefly) for _ in range(n_threads)]
    for future in started:
        future.result()
    torch.set_num_threads(n_threads)
    return pool


def _wait_briefly() -> None:
    """Long enough that the pool starts another thread for the next task."""
    import time

    time.sleep(0.005)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)
