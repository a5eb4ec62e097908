"""AdamW with Muon for the matrices of the blocks.

Muon replaces a matrix's momentum by the nearest matrix whose singular values are equal, so that
rare directions learn as fast as common ones (Jordan et al. 2024, github.com/KellerJordan/Muon).
Its updates are scaled to the size of AdamW's, so that both share one learning rate and one weight
decay (Liu et al. 2025, arXiv:2502.16982).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

_MOMENTUM = 0.95
_ADAMW_SIZE = 0.2
"""Root mean square of an AdamW update, in learning rates (Liu et al. 2025)."""
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the odd polynomial of degree 5 that drives singular values from (0, 1] to about 1."""
_ITERATIONS = 5

_MATRICES = ("mixer.in_proj.weight", "mixer.out_proj.weight", "mlp.fc1.weight", "mlp.fc2.weight")


def is_matrix_of_block(name: str) -> bool:
    """Whether the parameter of this name is one that Muon is made for.

    Not the embedding, a head or a filter: their rows or inputs are not directions of the residual
    stream.
    """
    return ".layers." in name and name.endswith(_MATRICES)


class MuonAdamW(torch.optim.AdamW):
    """Muon for the parameter groups that say `muon`, AdamW for the others.

    State of a matrix: `momentum`, of its shape. A matrix that stacks several square ones, as the
    projection to x1, x0 and v does, is taken apart first.
    """

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step of every group; the gradients of the matrices are used up."""
        for group in self.param_groups:
            if group["muon"]:
                for weight in group["params"]:
                    if weight.grad is not None:
                        self._step_matrix(weight, group["lr"], group["weight_decay"])
                        weight.grad = None  # AdamW passes over parameters without one
        super().step(closure)

    def _step_matrix(self, weight: nn.Parameter, learning_rate: float, decay: float) -> None:
        gradient = weight.grad
        assert gradient is not None
        state = self.state[weight]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(weight)
        momentum: Tensor = state["momentum"]
        momentum.lerp_(gradient, 1 - _MOMENTUM)
        ahead = gradient.lerp(momentum, _MOMENTUM)  # Nesterov
        n_rows, n_columns = weight.shape
        side = n_columns if n_rows % n_columns == 0 and n_rows > 2 * n_columns else n_rows
        parts = [orthogonalised(part) for part in ahead.split(side)]
        size = _ADAMW_SIZE * math.sqrt(max(side, n_columns))
        weight.mul_(1 - learning_rate * decay)
        weight.add_(torch.cat(parts), alpha=-learning_rate * size)


def orthogonalised(matrix: Tensor) -> Tensor:
    """Compute U V^T of a matrix U S V^T, to about a third: singular values end in 0.7 to 1.2.

    Newton-Schulz iteration in the matrix's own precision (Jordan et al. 2024); a matrix of zeros
    stays one.
    """
    a, b, c = _COEFFICIENTS
    is_tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if is_tall else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(_ITERATIONS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if is_tall else x
