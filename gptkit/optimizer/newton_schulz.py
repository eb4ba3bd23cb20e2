"""Orthogonalisation by Newton-Schulz: the nearest matrix whose singular values are all about one.

Source: Keller Jordan, "Muon: an optimizer for hidden layers in neural networks" (2024). Five rounds of an odd polynomial of
degree five, whose coefficients lift small singular values as fast as possible and leave all of them between about 0.7 and 1.2.
"""

from __future__ import annotations

import torch
from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ROUNDS = 5
SMALLEST_NORM = 1e-7


def orthogonalize(matrices: Tensor) -> Tensor:  # (N, R, C) -> (N, R, C)
    """Replace each matrix's singular values s by p(p(...p(s / norm))), p(s) = a s + b s^3 + c s^5, five times.

    Singular vectors stay as they are.

    Works on the side with the smaller Gram matrix, in the dtype it is given; N matrices of one shape share every product.
    """
    a, b, c = COEFFICIENTS
    tall = matrices.size(-2) > matrices.size(-1)
    x = matrices.mT if tall else matrices
    x = x / torch.linalg.matrix_norm(x, keepdim=True).clamp(min=SMALLEST_NORM)  # Frobenius: no singular value exceeds one
    for _ in range(ROUNDS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x
