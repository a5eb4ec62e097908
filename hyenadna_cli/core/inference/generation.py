"""Sampling DNA: one base at a time, exactly as the whole pass would have it.

    prompt -> run_prefix, once -> Decoder.step, base by base -> sampled tokens -> Generated

Each step costs a constant plus its share of the online convolutions: O(L log^2 L) for L bases.
The draws of a sequence depend on (seed, its number) alone: which sequences are computed together
can move a base only where a draw falls within rounding of the border between two bases.
"""

# B sequences, V padded vocabulary, A tokens that may be sampled, D d_model, P projected channels,
# K short-filter taps

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hyenadna_cli.core.config.settings import ModelConfig
from hyenadna_cli.core.dna import tokenizer
from hyenadna_cli.core.inference.batching import Done
from hyenadna_cli.core.inference.sampling import Sampling
from hyenadna_cli.core.model.blocks import Block, linear
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.core.model.prefix import Prefix, PrefixLayer, blocks_of, run_prefix
from hyenadna_cli.core.outputs.journal import NO_JOURNAL, Journal
from hyenadna_cli.errors import CheckpointError, UsageError
from hyenadna_cli.ops.online_conv import OnlineConv

_REPORT_STEPS = 64
"""Bases between two reports of progress."""
_BATCH_BYTES = {"cpu": 1 << 30, "cuda": 8 << 30}
"""States of the sequences generated together."""
_COLDEST = torch.finfo(torch.float64).tiny
_MOST_TOGETHER = 128
"""More sequences than this gain nothing on a CPU."""


@dataclass(frozen=True, slots=True)
class Generated:
    """A sampled sequence."""

    prompt: int
    """Index of its prompt."""
    number: int
    """Which of the sequences of this prompt, from 0."""
    sequence: str
    """What was sampled, without the prompt."""


class Decoder:
    """Logits of sequences that grow by one token at a time.

    `prefix`, with one row, is what all of them start with; `n_positions` tokens may follow it.
    """

    @torch.inference_mode()
    def __init__(
        self, model: HyenaDNA, *, n_sequences: int, n_positions: int, prefix: Prefix | None = None
    ) -> None:
        self._model = model
        layers: Sequence[PrefixLayer | None] = (
            [None] * model.config.n_layer if prefix is None else prefix.layers
        )
        self._blocks = [
            _BlockDecoder(model, block, layer, n_sequences=n_sequences, n_positions=n_positions)
            for block, layer in zip(blocks_of(model), layers, strict=True)
        ]

    @torch.inference_mode()
    def step(self, token_ids_B: Tensor) -> Tensor:
        """Logits (B, V) of the token that follows these."""
        x_BD = self._model.embed_tokens(token_ids_B)
        for block in self._blocks:
            x_BD = block.step(x_BD)
        return self._model.logits(self._model.backbone.ln_f(x_BD))


class _BlockDecoder:
    """One block and its caches: the last projections, and the online convolutions."""

    def __init__(
        self,
        model: HyenaDNA,
        block: Block,
        layer: PrefixLayer | None,
        *,
        n_sequences: int,
        n_positions: int,
    ) -> None:
        self._block, self._execution = block, model.execution
        mixer = block.mixer
        taps_PK = mixer.short_filter.weight[:, 0]
        n_channels, n_taps = taps_PK.shape
        self._taps_KP1 = taps_PK.T[..., None].contiguous()
        bias_P = mixer.short_filter.bias
        assert bias_P is not None
        self._bias_P1 = bias_P[:, None]
        self._recent: deque[Tensor] = deque(maxlen=n_taps)
        """The last K projections, (P, B) each."""
        for row in range(n_taps - 1):
            if layer is None:
                self._recent.append(taps_PK.new_zeros(n_channels, n_sequences))
            else:
                self._recent.append(layer.projections_PBK[..., row].expand(-1, n_sequences))
        self._convs = [
            OnlineConv(
                filter_DL,
                mixer.filter_fn.bias,
                n_sequences=n_sequences,
                carried_DBL=None if layer is None else layer.carried[number],
            )
            for number, filter_DL in enumerate(mixer.filter_fn(n_positions))
        ]

    def step(self, x_BD: Tensor) -> Tensor:
        """The residual stream after this block, of one position."""
        block, mixer = self._block, self._block.mixer
        self._recent.append(mixer.project(block.norm1(x_BD), self._execution))
        conv_PB = self._bias_P1
        for taps_P1, projection_PB in zip(self._taps_KP1, self._recent, strict=True):
            conv_PB = torch.addcmul(conv_PB, projection_PB, taps_P1)
        *gates, v_DB = conv_PB.chunk(mixer.order + 1)
        for gate_DB, conv in zip(reversed(gates), (None, *self._convs), strict=True):
            v_DB = (v_DB if conv is None else conv.step(v_DB)) * gate_DB
        x_BD = x_BD + linear(v_DB.T, mixer.out_proj, self._execution)
        mlp_BD: Tensor = block.mlp(block.norm2(x_BD), self._execution)
        return x_BD + mlp_BD


def sample(logits_BV: Tensor, draws_B: Tensor, sampling: Sampling) -> Tensor:
    """Token ids (B), each the inverse of its distribution at a uniform draw in [0, 1)."""
    allowed_A = torch.tensor(sampling.token_ids, device=logits_BV.device)
    logits_BA = logits_BV[:, allowed_A].double()
    if sampling.temperature == 0:
        return allowed_A[logits_BA.argmax(dim=-1)]
    # The largest is 0 whatever divides it, and no divisor is too small for its reciprocal.
    logits_BA = logits_BA - logits_BA.amax(dim=-1, keepdim=True)
    p_BA = torch.softmax(logits_BA / max(sampling.temperature, _COLDEST), dim=-1)
    if sampling.top_k is not None or sampling.top_p < 1:
        sorted_BA, order_BA = p_BA.sort(dim=-1, descending=True, stable=True)
        if sampling.top_k is not None:
            sorted_BA[:, sampling.top_k :] = 0
        sorted_BA /= sorted_BA.sum(dim=-1, keepdim=True)
        sorted_BA[sorted_BA.cumsum(dim=-1) - sorted_BA >= sampling.top_p] = 0
        p_BA = torch.zeros_like(p_BA).scatter(-1, order_BA, sorted_BA)
    # In the order of the vocabulary: sorted by probability, rounding could exchange two equals.
    cumulative_BA = p_BA.cumsum(dim=-1)
    is_below_BA = cumulative_BA <= draws_B[:, None] * cumulative_BA[:, -1:]
    return allowed_A[is_below_BA.sum(dim=-1).clamp(max=allowed_A.numel() - 1)]


def generate(
    model: HyenaDNA,
    prompts: Sequence[str],
    *,
    length: int,
    n_sequences: int,
    sampling: Sampling,
    batch_size: int | None = None,
    journal: Journal = NO_JOURNAL,
) -> Iterator[Done[Generated]]:
    """Sample `n_sequences` continuations of `length` bases of every prompt, in order.

    What is sampled together is a chunk of the journal. Before the first base of an empty prompt
    the model has nothing to go by: that base is drawn with equal probabilities, whatever the
    temperature and the truncation. Raises ValueError if a prompt and its continuation are longer
    than the model reads.
    """
    device = next(model.parameters()).device
    n_together = batch_size or sequences_together(model.config, device, length=length)
    for index, prompt in enumerate(prompts):
        if len(prompt) + length > model.config.l_max:
            raise ValueError(f"{len(prompt) + length:,} bases; at most {model.config.l_max:,}")
        prefix: Prefix | None = None
        for first in range(0, n_sequences, n_together):
            numbers = range(first, min(first + n_together, n_sequences))
            letters = np.empty((len(numbers), length), np.uint8)
            if journal.has_chunk:
                journal.recall(letters)
                yield Done(float(letters.size), [])
            else:
                prefix = prefix or _prefix(model, prompt, n_later=length, device=device)
                streams = [index * n_sequences + number for number in numbers]
                draws_BL = torch.from_numpy(_draws(sampling.seed, streams, length)).to(device)
                ids_BL = torch.empty(len(numbers), length, dtype=torch.int64, device=device)
                for n_done in _continue(model, prefix, draws_BL, ids_BL, sampling):
                    yield Done(float(n_done * len(numbers)), [])
                letters[:] = ids_BL.to(torch.uint8).cpu().numpy()
                journal.keep(letters)
            rows = [
                Generated(index, number, tokenizer.decode(row))
                for number, row in zip(numbers, letters, strict=True)
            ]
            yield Done(0.0, rows)


def sequences_together(config: ModelConfig, device: torch.device, *, length: int) -> int:
    """How many sequences of `length` bases to generate at once."""
    n_bytes = decoder_bytes(config, length=length)
    return max(1, min(_MOST_TOGETHER, _BATCH_BYTES[device.type] // n_bytes))


def plan_generation(
    config: ModelConfig,
    device: torch.device,
    *,
    n_prompts: int,
    n_sequences: int,
    length: int,
    batch_size: int | None,
) -> dict[str, int]:
    """The size of a run, by the names that --dry-run prints."""
    n_together = batch_size or sequences_together(config, device, length=length)
    n_together = min(n_together, n_sequences)
    n_bytes = n_together * decoder_bytes(config, length=length)
    return {
        "prompts": n_prompts,
        "sequences": n_sequences * n_prompts,
        "bases": n_sequences * n_prompts * length,
        "batches": -(-n_sequences // n_together) * n_prompts,
        "peak_memory_mb": -(-n_bytes // 1_000_000),
    }


def check_lengths(
    prompts: Iterable[tuple[str, str]],
    length: int,
    config: ModelConfig,
    *,
    model_name: str,
) -> None:
    """Refuse what the model cannot read: prompts, as (name, sequence), and `length` bases after.

    Raises CheckpointError, or UsageError for no base at all.
    """
    if length < 1:
        raise UsageError(f"--length {length}: sample at least 1 base")
    for name, sequence in prompts:
        if len(sequence) + length > config.l_max:
            framed = f" after the {len(sequence):,} of prompt {name!r}" if sequence else ""
            raise CheckpointError(
                f"{length:,} bases{framed}: {model_name} reads at most {config.l_max:,}; "
                "ask for fewer, or use a model with a longer context"
            )


def decoder_bytes(config: ModelConfig, *, length: int) -> int:
    """States of one sequence, in float32."""
    return 4 * config.n_layer * (config.order - 1) * config.d_model * length


@torch.inference_mode()
def _prefix(model: HyenaDNA, prompt: str, *, n_later: int, device: torch.device) -> Prefix | None:
    if not prompt:
        return None
    ids_1L = torch.from_numpy(tokenizer.encode(prompt).astype(np.int64))[None].to(device)
    return run_prefix(model, model.embed_tokens(ids_1L), n_later=n_later)


def _continue(
    model: HyenaDNA, prefix: Prefix | None, draws_BL: Tensor, ids_BL: Tensor, sampling: Sampling
) -> Iterator[int]:
    """Fill `ids_BL` from left to right; yields how many positions are new, now and then."""
    n_sequences, length = ids_BL.shape
    decoder = Decoder(model, n_sequences=n_sequences, n_positions=length, prefix=prefix)
    of_position = sampling
    if prefix is None:
        logits_BV = torch.zeros(n_sequences, model.config.padded_vocab_size, device=ids_BL.device)
        # Among equals, the most likely would be those that come first in the vocabulary.
        of_position = dataclasses.replace(sampling, temperature=1.0, top_k=None, top_p=1.0)
    else:
        with torch.inference_mode():
            logits_BV = model.logits(prefix.last_BD).expand(n_sequences, -1)
    n_reported = 0
    for position in range(length):
        ids_BL[:, position] = sample(logits_BV, draws_BL[:, position], of_position)
        of_position = sampling
        n_done = position + 1
        if n_done < length:
            logits_BV = decoder.step(ids_BL[:, position])
        if n_done == length or n_done % _REPORT_STEPS == 0:
            yield n_done - n_reported
            n_reported = n_done


def _draws(seed: int, streams: Sequence[int], length: int) -> np.ndarray:
    """Uniform draws in [0, 1), a row per stream; it depends on the seed and its stream only."""
    rows = [
        np.random.Generator(np.random.Philox(key=np.array([seed, stream], np.uint64)))
        for stream in streams
    ]
    return np.stack([row.random(length) for row in rows])
