"""Scaled dot-product attention over concatenated bags, and its weights for maps.

One head and no dropout inside attention: with a head as wide as the token (256) dropout would cost the
fused kernels on common GPUs. No function here but `attention_weights` ever holds a queries-by-keys matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from amkd_core.models.base import Lengths, split_bags

_FLASH_TYPES = (torch.float16, torch.bfloat16)
_FLASH_WIDEST_HEAD = 256
# Scores in float64 that are held at a time: 32 MB.
_WIDE_SCORES = 2**22


def attention(q: Tensor, k: Tensor, v: Tensor, q_lengths: Lengths, k_lengths: Lengths) -> Tensor:
    """``softmax(q k^T / sqrt(d)) v`` within each bag.

    Parameters
    ----------
    q : Tensor, shape (total_queries, d)
    k, v : Tensor, shape (total_keys, d)
    q_lengths, k_lengths : tuple of int, length batch
        Rows of each bag among the queries and among the keys.

    Returns
    -------
    Tensor, shape (total_queries, d)

    Notes
    -----
    Bags of one length go through the fused kernel as a batch. Bags of different lengths use the
    variable-length flash kernel where the device has it, and one fused call per bag elsewhere, which on a
    CPU is also the fastest form (padding costs 2.3 times as much).
    """
    if len(set(q_lengths)) == 1 and len(set(k_lengths)) == 1:
        n = len(q_lengths)
        q, k, v = (rows.view(n, 1, -1, rows.shape[1]) for rows in (q, k, v))  # (batch, 1, rows, d)
        return scaled_dot_product_attention(q, k, v).flatten(0, 2)
    if _has_varlen_kernel(q):
        return _varlen_attention(q, k, v, q_lengths, k_lengths)
    bags = zip(split_bags(q, q_lengths), split_bags(k, k_lengths), split_bags(v, k_lengths), strict=True)
    return torch.cat([_one_bag(*bag) for bag in bags])


def _one_bag(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Fused attention of one bag; the kernels want (batch, heads, rows, d)."""
    q, k, v = (rows[None, None] for rows in (q, k, v))
    return scaled_dot_product_attention(q, k, v)[0, 0]


def _has_varlen_kernel(q: Tensor) -> bool:
    """Whether flash attention over ragged bags can take these queries."""
    if not q.is_cuda or q.dtype not in _FLASH_TYPES:
        return False
    narrow = q.shape[-1] <= _FLASH_WIDEST_HEAD and q.shape[-1] % 8 == 0
    return narrow and torch.cuda.get_device_capability(q.device) >= (8, 0)


def _varlen_attention(q: Tensor, k: Tensor, v: Tensor, q_lengths: Lengths, k_lengths: Lengths) -> Tensor:
    """All bags in one flash call (GPU)."""
    from torch.nn.attention.varlen import varlen_attn  # loads only where a GPU is used

    rows = varlen_attn(
        q.unsqueeze(1),
        k.unsqueeze(1),
        v.unsqueeze(1),
        _starts(q_lengths, q.device),
        _starts(k_lengths, q.device),
        max(q_lengths),
        max(k_lengths),
    )
    if not isinstance(rows, Tensor):  # a tuple comes back only where the log-sum-exp is asked for
        rows = rows[0]
    return rows.squeeze(1)


def _starts(lengths: Sequence[int], device: torch.device) -> Tensor:
    """Cumulative bag starts, int32, shape (batch + 1,)."""
    ends = torch.tensor((0, *lengths), dtype=torch.int32).cumsum(0, dtype=torch.int32)
    return ends.to(device, non_blocking=True)


def attention_weights(q: Tensor, k: Tensor) -> Tensor:
    """``softmax(q k^T / sqrt(d))`` of one bag in float32, shape (queries, keys); rows sum to 1.

    For co-attention only (331 pathways beside 100,000 patches are 132 MB), never for patches among themselves.

    Notes
    -----
    Weights are the exponentials of scores, so that the rounding of a score of 60 in float32 is a relative error of 2e-5
    of its weight. They are therefore computed in float64, some rows at a time, where the device has it (Apple's GPUs
    do not). What float32 holds below 1.2e-38 is coarser, and 0 in the end.
    """
    wide = torch.float32 if q.device.type == "mps" else torch.float64
    keys = k.to(wide).T
    at_once = max(1, _WIDE_SCORES // max(1, len(k)))
    parts = torch.split(q, at_once)
    return torch.cat(
        [torch.softmax((rows.to(wide) / q.shape[-1] ** 0.5) @ keys, dim=-1).float() for rows in parts]
    )


class SelfAttended(NamedTuple):
    """Result of `SelfAttention`: hidden rows, and the keys and values that cross-attention shares."""

    hidden: Tensor
    keys: Tensor
    values: Tensor


class SelfAttention(nn.Module):
    """``h = LayerNorm(z + softmax(Q K^T / sqrt(d)) V W_o)`` within each bag (paper section 2.3.2).

    The paper prints the softmax term alone and calls the layer Transformer-style; the residual, the output
    projection and the norm are read from that word. Without a residual thousands of patches begin as
    nearly the same row, the mean of all values, and no map could tell them apart.

    Parameters
    ----------
    dim : int
        Width ``d`` of tokens; ``W_q``, ``W_k`` and ``W_v`` carry no bias, as in the paper.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.out = nn.Linear(dim, dim)
        self.norm = nn.LayerNorm(dim)

    def forward(self, z: Tensor, lengths: Lengths) -> SelfAttended:
        """Attend within each bag.

        Parameters
        ----------
        z : Tensor, shape (total_rows, d)
        lengths : tuple of int, length batch

        Returns
        -------
        SelfAttended
            Three tensors of shape (total_rows, d).
        """
        q, k, v = self.qkv(z).chunk(3, dim=-1)
        attended = attention(q, k, v, lengths, lengths)
        return SelfAttended(self.norm(z + self.out(attended)), k, v)
