"""Parts of G-HANet and of the POMP-style model: multi-head attention, gated feed-forward and transformer layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention


def split_heads(rows: Tensor, heads: int) -> Tensor:
    """Shape (..., n, d) to (..., heads, n, d / heads)."""
    return rows.reshape(*rows.shape[:-1], heads, -1).transpose(-2, -3)


class MultiHeadAttention(nn.Module):
    """Attention with `heads` heads between the rows of one bag and a context.

    Parameters
    ----------
    dim : int
        Width of rows and context, a multiple of `heads`.
    heads : int
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(dim, dim, bias=False)
        self.key_value = nn.Linear(dim, 2 * dim, bias=False)
        self.out = nn.Linear(dim, dim)

    def forward(self, rows: Tensor, context: Tensor) -> Tensor:
        """Rows of shape (..., n, dim) after attention to a context of shape (..., m, dim)."""
        q = split_heads(self.query(rows), self.heads)
        k, v = (split_heads(part, self.heads) for part in self.key_value(context).chunk(2, dim=-1))
        joined: Tensor = self.out(_attend(q, k, v))
        return joined

    def likeness(self, rows: Tensor, context: Tensor) -> Tensor:
        """Mean over heads of the scores before softmax, shape (n, m), without gradient."""
        with torch.no_grad():
            q = split_heads(self.query(rows), self.heads)
            k = split_heads(self.key_value(context).chunk(2, dim=-1)[0], self.heads)
            scores: Tensor = (q @ k.transpose(-1, -2)).mean(dim=-3) / q.shape[-1] ** 0.5
        return scores


def _attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Fused attention of (..., heads, n, d_head), joined to (..., n, dim); the kernels want four axes."""
    shape = q.shape
    if q.ndim == 3:
        q, k, v = q.unsqueeze(0), k.unsqueeze(0), v.unsqueeze(0)
    attended = scaled_dot_product_attention(q, k, v).view(shape)
    return attended.transpose(-2, -3).flatten(-2)


class GatedFeedForward(nn.Module):
    """GEGLU: ``W_2 (a * GELU(b))`` with ``[a || b] = W_1 x`` four times as wide as the rows.

    Parameters
    ----------
    dim : int
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.wide = nn.Linear(dim, 8 * dim)
        self.narrow = nn.Linear(4 * dim, dim)

    def forward(self, rows: Tensor) -> Tensor:
        """Same shape."""
        signal, gate = self.wide(rows).chunk(2, dim=-1)
        result: Tensor = self.narrow(signal * gelu(gate))
        return result


class TransformerLayer(nn.Module):
    """``x + Attention(LN x)``, then ``x + MLP(LN x)``; with a context the attention goes to it instead.

    No dropout inside attention, so that the fused kernels serve bags of any size.

    Parameters
    ----------
    dim, heads : int
    dropout : float
        In the perceptron.
    """

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.attention = MultiHeadAttention(dim, heads)
        self.mlp = nn.Sequential(
            nn.LayerNorm(dim), nn.Linear(dim, 4 * dim), nn.GELU(), nn.Dropout(dropout), nn.Linear(4 * dim, dim)
        )  # fmt: skip

    def forward(self, rows: Tensor, context: Tensor | None = None) -> Tensor:
        """Rows of shape (..., n, dim)."""
        normed = self.norm(rows)
        rows = rows + self.attention(normed, normed if context is None else context)
        result: Tensor = rows + self.mlp(rows)
        return result
