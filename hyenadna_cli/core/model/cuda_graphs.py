"""Passes over short inputs of one shape, recorded once as a CUDA graph and replayed.

A short pass is some hundred small kernels, and a GPU does them faster than the host can ask for
them. A graph asks for all of them at once. It repeats the same work on the same addresses, so

- a shape is recorded only when it has come several times, and not beyond a number of tokens, from
  where on the kernels take longer than asking for them;
- it reads a buffer of its own, into which token ids are copied, and results are copied out of it;
- it holds as long as weights and what is derived from them lie unchanged where they were;
- a bounded number of shapes is kept, those used last.

Where recording fails, passes are run one kernel after the other, as without this.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from hyenadna_cli.core.model.weight_cache import WeightCache, state_of

log = logging.getLogger(__name__)

MAX_TOKENS = 65_536
"""Of a batch whose pass is recorded."""
MAX_GRAPHS = 8
"""They share their working memory, but each keeps its inputs and results."""
_RECORDED_WHEN_MET = 3
"""Times; recording costs two passes."""
_MAX_COUNTED = 1_000
"""Shapes whose number is remembered."""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class _Recording:
    state: object
    """Of the weights and of what is derived from them."""
    token_ids_BL: Tensor
    replay: Callable[[], None]
    result: Any


class CudaGraphs:
    """Recorded passes of one model."""

    def __init__(
        self,
        weight_cache: WeightCache,
        recorder_for: Callable[[torch.device], CudaRecorder | None] | None = None,
    ) -> None:
        """`recorder_for` a device, or None where there is none: CUDA's, by default."""
        self._weight_cache = weight_cache
        self._recorder_for = functools.cache(recorder_for or cuda_recorder)
        self._recordings: OrderedDict[Hashable, _Recording] = OrderedDict()
        self._n_met: Counter[Hashable] = Counter()
        self._is_off = False

    def run(
        self,
        key: Hashable,
        token_ids_BL: Tensor,
        weights: Iterable[Tensor],
        compute: Callable[[Tensor], Result],
    ) -> Result:
        """The result of `compute` on token ids, replayed where it was recorded.

        `key` is all that the pass depends on besides token ids and weights. Results are new tensors
        in lists, tuples, dictionaries and dataclasses.
        """
        if self._is_off or token_ids_BL.numel() > MAX_TOKENS:
            return compute(token_ids_BL)
        if (recorder := self._recorder_for(token_ids_BL.device)) is None:
            return compute(token_ids_BL)
        weights = list(weights)
        # A tensor made in inference mode must not be changed outside it.
        key = (key, token_ids_BL.shape, token_ids_BL.device, torch.is_inference_mode_enabled())
        recording = self._recordings.get(key)
        if recording is not None and recording.state != self._state(weights):
            self.clear()  # no other can be right either
            recording = None
        if recording is None:
            recording = self._recorded(key, token_ids_BL, weights, compute, recorder)
        if recording is None:
            return compute(token_ids_BL)
        self._recordings.move_to_end(key)
        recording.token_ids_BL.copy_(token_ids_BL)
        recording.replay()
        result: Result = _copied(recording.result)
        return result

    def clear(self) -> None:
        """Forget all recordings and counts."""
        self._recordings.clear()
        self._n_met.clear()

    def __deepcopy__(self, memo: dict[int, Any]) -> CudaGraphs:
        # Graphs hold the addresses of the model that they were recorded for.
        return CudaGraphs(memo.get(id(self._weight_cache), self._weight_cache), self._recorder_for)

    def _recorded(
        self,
        key: Hashable,
        token_ids_BL: Tensor,
        weights: list[Tensor],
        compute: Callable[[Tensor], Result],
        recorder: CudaRecorder,
    ) -> _Recording | None:
        """A recording, if this is the time for one and it works."""
        if len(self._n_met) >= _MAX_COUNTED:
            self._n_met.clear()
        self._n_met[key] += 1
        if self._n_met[key] < _RECORDED_WHEN_MET or any(w.is_inference() for w in weights):
            return None
        buffer_BL = token_ids_BL.clone()
        try:
            recorder.warm_up(lambda: compute(buffer_BL))
            # While work is recorded nothing is computed: what is derived then holds no numbers.
            with self._weight_cache.closed():
                replay, result = recorder.record(lambda: compute(buffer_BL))
        except RuntimeError as error:
            self.clear()
            self._is_off = True
            log.info("no CUDA graphs: %s", str(error).strip().split("\n")[0])
            return None
        recording = _Recording(self._state(weights), buffer_BL, replay, result)
        self._recordings[key] = recording
        if len(self._recordings) > MAX_GRAPHS:
            self._recordings.popitem(last=False)
        return recording

    def _state(self, weights: list[Tensor]) -> object:
        return self._weight_cache.generation, [state_of(weight) for weight in weights]


def cuda_recorder(device: torch.device) -> CudaRecorder | None:
    """What records work of a GPU; other devices have nothing of the kind."""
    return CudaRecorder(device) if device.type == "cuda" else None


class CudaRecorder:
    """Records CUDA graphs, in a stream of its own."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)
        # One for all graphs: results are copied out before the next replay writes over them.
        self._memory = torch.cuda.graph_pool_handle()

    def warm_up(self, work: Callable[[], object]) -> None:
        """Do it once, so that nothing is compiled, planned or loaded while it is recorded.

        In that stream, as libraries have working memory for each.
        """
        with torch.cuda.device(self._device):
            self._stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self._stream):
                work()
            torch.cuda.current_stream().wait_stream(self._stream)

    def record(self, work: Callable[[], Result]) -> tuple[Callable[[], None], Result]:
        """A function that does it again, and the result that this fills each time."""
        with torch.cuda.device(self._device):
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=self._memory, stream=self._stream):
                result = work()
        return graph.replay, result


def _copied(value: Any) -> Any:
    """The same with new tensors; lists, tuples, dictionaries and dataclasses are gone through."""
    if isinstance(value, Tensor):
        return value.clone()
    if isinstance(value, list | tuple):
        return type(value)(_copied(each) for each in value)
    if isinstance(value, dict):
        return {key: _copied(each) for key, each in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: _copied(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return type(value)(**fields)
    return value
