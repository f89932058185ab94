"""Nystrom approximation of self-attention (Xiong et al. 2021), linear in the number of rows."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention


def segment_means(rows: Tensor, n_segments: int) -> Tensor:
    """Means of consecutive segments of nearly equal length, as landmarks.

    The published code pads to a multiple of the landmarks with zeros in front, and the padding then takes part in
    every softmax; segments whose lengths differ by one need none.

    Parameters
    ----------
    rows : Tensor, shape (heads, n, d)
    n_segments : int
        At most n.

    Returns
    -------
    Tensor, shape (heads, n_segments, d)
    """
    n = rows.shape[1]
    place = torch.arange(n, device=rows.device) * n_segments // n
    sums = rows.new_zeros(rows.shape[0], n_segments, rows.shape[2]).index_add(1, place, rows)
    return sums / torch.bincount(place, minlength=n_segments).to(rows).unsqueeze(1)


def pseudo_inverse(matrix: Tensor, iterations: int = 6) -> Tensor:
    """Moore-Penrose inverse by the iteration of Razavi et al., as the Nystromformer uses it.

    ``Z <- Z/4 (13 I - A Z (15 I - A Z (7 I - A Z)))`` from ``A^T / (|A|_1 |A|_inf)``. The published code takes the
    two norms over all heads and bags of a batch together, so that a prediction depends on its neighbours; here each
    head has its own.

    Parameters
    ----------
    matrix : Tensor, shape (heads, m, m)
    iterations : int
    """
    size = matrix.abs()
    norm = size.sum(dim=-1).amax(dim=-1) * size.sum(dim=-2).amax(dim=-1)  # (heads,)
    inverse = matrix.transpose(-1, -2) / norm[:, None, None]
    identity = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    for _ in range(iterations):
        product = matrix @ inverse
        inner = 15 * identity - product @ (7 * identity - product)
        inverse = inverse @ (13 * identity - product @ inner) / 4
    return inverse


def nystrom_attention(q: Tensor, k: Tensor, v: Tensor, n_landmarks: int) -> Tensor:
    """``softmax(q k~^T) softmax(q~ k~^T)^+ softmax(q~ k^T) v`` with landmarks ``q~``, ``k~``, scores over ``sqrt(d)``.

    Both outer products go through the fused kernel, so no matrix of n by landmarks is held. Bags of at most
    `n_landmarks` rows get exact attention, which the approximation tends to.

    Parameters
    ----------
    q, k, v : Tensor, shape (heads, n, d)
    n_landmarks : int

    Returns
    -------
    Tensor, shape (heads, n, d)
    """
    if q.shape[1] <= n_landmarks:
        return _fused(q, k, v)
    q_marks, k_marks = segment_means(q, n_landmarks), segment_means(k, n_landmarks)
    scores = (q_marks * q.shape[-1] ** -0.5) @ k_marks.transpose(-1, -2)
    inverse = pseudo_inverse(torch.softmax(scores, dim=-1))
    gathered = inverse @ _fused(q_marks, k, v)  # (heads, landmarks, d)
    return _fused(q, k_marks, gathered.to(q.dtype))


def _fused(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return scaled_dot_product_attention(q.unsqueeze(0), k.unsqueeze(0), v.unsqueeze(0)).squeeze(0)


class NystromLayer(nn.Module):
    """``x + Nystrom(LayerNorm(x))`` of one bag, with a depthwise convolution of the values along the rows.

    Parameters
    ----------
    dim : int
        Width of the rows, a multiple of `heads`.
    heads, landmarks : int
    kernel : int
        Rows that the convolution sees, odd.
    dropout : float
        After the output projection.
    """

    def __init__(
        self, dim: int, *, heads: int = 8, landmarks: int = 256, kernel: int = 33, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.heads, self.landmarks = heads, landmarks
        self.norm = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.local = nn.Conv2d(heads, heads, (kernel, 1), padding=(kernel // 2, 0), groups=heads, bias=False)
        self.out = nn.Sequential(nn.Linear(dim, dim), nn.Dropout(dropout))

    def forward(self, rows: Tensor) -> Tensor:
        """Rows of one bag after the layer, shape (n, dim)."""
        n, dim = rows.shape
        q, k, v = (
            self.qkv(self.norm(rows)).view(n, 3, self.heads, -1).permute(1, 2, 0, 3)
        )  # (heads, n, d_head)
        attended = nystrom_attention(q, k, v, self.landmarks) + self.local(v.unsqueeze(0)).squeeze(0)
        result: Tensor = rows + self.out(attended.transpose(0, 1).reshape(n, dim))
        return result
