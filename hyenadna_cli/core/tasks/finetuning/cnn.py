"""A small convolutional network: the baseline that any sequence model has to beat.

    token ids -> embedding -> 3 x (convolution, layer norm, ReLU, residual) -> norm -> hidden states

As large as the baseline of GenomicBenchmarks (about 120,000 weights) and with its reach of some
50 bases; dilation takes the place of pooling, so that every base keeps its hidden state.
"""

# B batch, L positions (one base each), D width

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from hyenadna_cli.core.dna.tokenizer import PAD

_N_TOKENS = 16
_TAPS = 9
_DILATIONS = (1, 2, 4)


class SmallCNN(nn.Module):
    """Hidden states from 28 bases on each side; a head sits on it as on HyenaDNA.

    Padding is zero before every convolution, as is what lies past the ends: a sequence has the same
    hidden states alone and in any batch.
    """

    def __init__(self, *, width: int = 64, dropout: float = 0.1) -> None:
        super().__init__()
        self.width = width
        self.dropout = dropout
        self.embedding = nn.Embedding(_N_TOKENS, width)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(width, width, _TAPS, padding=_TAPS // 2 * dilation, dilation=dilation)
            for dilation in _DILATIONS
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in _DILATIONS)
        self.last_norm = nn.LayerNorm(width)

    def hidden_states(self, token_ids_BL: Tensor) -> list[Tensor]:
        """One tensor (B, L, D), as `HyenaDNA.hidden_states` gives for its last layer."""
        is_base_BL1 = (token_ids_BL != PAD)[..., None]
        x_BLD = self.embedding(token_ids_BL)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            inside_BDL = (x_BLD * is_base_BL1).transpose(1, 2)
            y_BLD = F.relu(norm(convolution(inside_BDL).transpose(1, 2)))
            x_BLD = x_BLD + F.dropout(y_BLD, self.dropout, self.training)
        return [self.last_norm(x_BLD)]
