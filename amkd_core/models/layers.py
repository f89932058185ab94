"""Parts that the models share: token projection, pooling over bags, small perceptrons."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from amkd_core.models.base import Lengths, split_bags


def bag_softmax(scores: Tensor, lengths: Lengths) -> Tensor:
    """Softmax of patch scores within each bag, shape (total_rows,); sums to 1 per bag."""
    if len(lengths) == 1:
        return torch.softmax(scores, dim=0)
    return torch.cat([torch.softmax(bag, dim=0) for bag in split_bags(scores, lengths)])


def uniform_weights(lengths: Lengths, like: Tensor) -> Tensor:
    """``1 / length`` for each row of each bag, shape (total_rows,): the weights of mean pooling."""
    return torch.cat([like.new_full((length,), 1 / length) for length in lengths])


def pool_rows(rows: Tensor, weights: Tensor, lengths: Lengths) -> Tensor:
    """Weighted sum of each bag's rows.

    Parameters
    ----------
    rows : Tensor, shape (total_rows, d)
    weights : Tensor, shape (total_rows,)
    lengths : tuple of int, length batch

    Returns
    -------
    Tensor, shape (batch, d)
    """
    bags = zip(split_bags(weights, lengths), split_bags(rows, lengths), strict=True)
    return torch.stack([weight @ bag for weight, bag in bags])


class GatedAttention(nn.Module):
    """Gated attention score as Ilse et al. 2018 publish it, ``w^T (tanh(A x) * sigmoid(B x)) + c``.

    `GatedScore` is our own form: rows normalised first, no dropout.

    Parameters
    ----------
    dim : int
        Width of the rows.
    hidden : int
        Width of the two gates.
    dropout : float
        On each gate.
    """

    def __init__(self, dim: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.gates = nn.Linear(dim, 2 * hidden)  # A and B, in one product
        self.dropout = nn.Dropout(dropout)
        self.score = nn.Linear(hidden, 1)

    def forward(self, rows: Tensor) -> Tensor:
        """Score of each row, shape (..., rows)."""
        signal, gate = self.gates(rows).chunk(2, dim=-1)
        gated = self.dropout(torch.tanh(signal)) * self.dropout(torch.sigmoid(gate))
        scores: Tensor = self.score(gated)
        return scores.squeeze(-1)


class GatedScore(GatedAttention):
    """Gated attention score of each row, normalised first.

    Rows are brought to unit scale (without weights of its own): the student's gene-guided features
    start small, their scores would start equal, and pooling would stay a plain mean for most of training.

    Parameters
    ----------
    dim : int
        Width of the rows.
    hidden : int
        Width of the two gates.
    """

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__(dim, hidden, dropout=0.0)
        self.norm = nn.LayerNorm(dim, elementwise_affine=False)

    def forward(self, rows: Tensor) -> Tensor:
        """Score of each row, shape (total_rows,); softmax within a bag makes it a weight."""
        return super().forward(self.norm(rows))


class AttentionPool(nn.Module):
    """Rows of each bag pooled to one, by learned weights (`GatedScore`) or by their mean.

    Parameters
    ----------
    dim : int
        Width of the rows.
    hidden : int or None
        Width of the gates; None pools by the mean and owns no weights.
    """

    def __init__(self, dim: int, hidden: int | None) -> None:
        super().__init__()
        self.score = None if hidden is None else GatedScore(dim, hidden)

    def forward(self, rows: Tensor, lengths: Lengths) -> tuple[Tensor, Tensor]:
        """Pooled rows (batch, dim) and the weights (total_rows,) that made them."""
        weights = (
            uniform_weights(lengths, rows) if self.score is None else bag_softmax(self.score(rows), lengths)
        )
        return pool_rows(rows, weights, lengths), weights


class FeatureScaler(nn.Module):
    """Encoder features standardised by the training patients' mean and scale; 0 and 1 until they are set.

    Feature scaling is fitted on the training part and travels with the model (METHOD section 6); it has no weights.
    """

    feature_mean: Tensor
    feature_scale: Tensor

    def __init__(self, d_encoder: int) -> None:
        super().__init__()
        self.register_buffer("feature_mean", torch.zeros(d_encoder))
        self.register_buffer("feature_scale", torch.ones(d_encoder))

    def forward(self, patches: Tensor) -> Tensor:
        """Standardised features, same shape."""
        return (patches - self.feature_mean) / self.feature_scale

    def standardise(self, mean: Tensor, scale: Tensor) -> None:
        """Set mean and scale of the encoder's features, shape (d_encoder,) each; a scale of 0 becomes 1."""
        self.feature_mean.copy_(mean)
        self.feature_scale.copy_(torch.where(scale > 0, scale, torch.ones_like(scale)))


class PatchProjection(FeatureScaler):
    """Frozen-encoder features, standardised, to normalised patch tokens: (total_patches, d_encoder) to (..., d)."""

    def __init__(self, d_encoder: int, dim: int, dropout: float) -> None:
        super().__init__(d_encoder)
        self.linear = nn.Linear(d_encoder, dim)
        self.norm = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, patches: Tensor) -> Tensor:
        """Patch tokens ``z_p``, shape (total_patches, d)."""
        tokens: Tensor = self.dropout(self.norm(self.linear(super().forward(patches))))
        return tokens


def relu_layer(d_in: int, d_out: int, dropout: float) -> nn.Sequential:
    """Linear, ReLU, dropout."""
    return nn.Sequential(nn.Linear(d_in, d_out), nn.ReLU(), nn.Dropout(dropout))


def snn_layer(d_in: int, d_out: int, dropout: float) -> nn.Sequential:
    """Self-normalising layer (Klambauer et al. 2017, with ELU): linear, ELU, alpha dropout.

    Weights start normal with a standard deviation of ``1 / sqrt(d_in)``, biases at 0.
    """
    linear = nn.Linear(d_in, d_out)
    nn.init.normal_(linear.weight, std=d_in**-0.5)
    nn.init.zeros_(linear.bias)
    return nn.Sequential(linear, nn.ELU(), nn.AlphaDropout(dropout))


def perceptron(d_in: int, d_hidden: int, d_out: int, dropout: float) -> nn.Sequential:
    """Two linear layers with GELU and dropout between."""
    return nn.Sequential(
        nn.Linear(d_in, d_hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(d_hidden, d_out)
    )
