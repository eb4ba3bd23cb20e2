"""Orthogonalisation by Newton-Schulz iterations: the nearest matrix whose singular values are all about one.

Source: Keller Jordan, "Muon: an optimizer for hidden layers in neural networks" (2024). Five iterations of an odd polynomial of
degree five, whose coefficients increase small singular values as fast as possible, to between about 0.7 and 1.2.
"""

from __future__ import annotations

import torch
from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ROUNDS = 5
MIN_NORM = 1e-7


def orthogonalize(matrices: Tensor) -> Tensor:  # (N, R, C) -> (N, R, C)
    """Replace each matrix's singular values s by p(p(...p(s / norm))), p(s) = a s + b s^3 + c s^5, five times.

    Singular vectors do not change. Uses the smaller Gram matrix, and the dtype of the input. The N matrices share every product.
    """
    a, b, c = COEFFICIENTS
    is_tall = matrices.size(-2) > matrices.size(-1)
    x = matrices.mT if is_tall else matrices
    x = x / torch.linalg.matrix_norm(x, keepdim=True).clamp(min=MIN_NORM)  # Frobenius: no singular value exceeds one
    for _ in range(ROUNDS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if is_tall else x
