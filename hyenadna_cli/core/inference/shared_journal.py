"""The journal of a run whose processes share each sequence: one keeps it, all follow it."""

from __future__ import annotations

import torch

from hyenadna_cli.core.model.context import Context
from hyenadna_cli.core.outputs.journal import Array, Journal


class SharedJournal(Journal):
    """What the first process has finished need not be computed by any.

    The others have no journal, and nothing is recalled to them: the first one writes the rows.
    """

    def __init__(self, journal: Journal, context: Context, device: torch.device) -> None:
        self._journal, self._context, self._device = journal, context, device

    @property
    def has_chunk(self) -> bool:
        """Whether the first process has the next chunk; to be asked by all of them together."""
        return self._context.any(self._journal.has_chunk, self._device)

    def recall(self, *arrays: Array) -> None:
        """Fill arrays with those of the next entry, in the first process."""
        if self._context.rank == 0:
            self._journal.recall(*arrays)

    def keep(self, *arrays: Array, ends_chunk: bool = True) -> None:
        """Add an entry, in the first process."""
        self._journal.keep(*arrays, ends_chunk=ends_chunk)
