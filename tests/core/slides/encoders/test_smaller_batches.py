"""A GPU whose memory is full: batches are halved, features stay the same, and the user is told."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from amkd_core.errors import DeviceMemoryError
from amkd_core.slides.encoders import ENCODERS
from amkd_core.slides.encoders.foundation import FoundationEncoder
from amkd_core.slides.encoders.smaller_batches import SmallerBatches

N_PATCHES = 48


class FailsAt(torch.nn.Module):
    """Means of the colours, spread over the encoder's width; out of memory at the k-th call, or above a size."""

    def __init__(self, *, call: int | None = None, most: int | None = None) -> None:
        super().__init__()
        self.call, self.most, self.sizes, self.calls = call, most, [], 0

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        if self.calls == self.call or (self.most is not None and len(batch) > self.most):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        self.sizes.append(len(batch))
        return batch.mean(dim=(2, 3)).repeat(1, 1024 // 3 + 1)[:, :1024]


def encoder(network: torch.nn.Module) -> FoundationEncoder:
    return FoundationEncoder(ENCODERS["uni"], network, "0" * 64, torch.device("cpu"))


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    side = ENCODERS["uni"].patch_size_px
    return np.random.default_rng(0).integers(0, 255, (N_PATCHES, side, side, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def expected(images: np.ndarray) -> np.ndarray:
    return encoder(FailsAt()).encode(images)


@pytest.mark.parametrize("call", range(1, 21))
def test_running_out_at_the_kth_allocation_changes_no_feature(
    images: np.ndarray, expected: np.ndarray, call: int
) -> None:
    network = FailsAt(call=call)
    found = encoder(network)
    parts = [found.encode(images[start : start + 2]) for start in range(0, N_PATCHES, 2)]
    np.testing.assert_allclose(np.concatenate(parts), expected, atol=1e-5)
    assert found.remark == "the GPU's memory was full: 1 patches at a time from here on"
    assert network.sizes == [2] * (call - 1) + [1] * (N_PATCHES - 2 * (call - 1))


def test_a_batch_is_halved_until_it_fits_and_stays_so(images: np.ndarray, expected: np.ndarray) -> None:
    network = FailsAt(most=7)
    found = encoder(network)
    np.testing.assert_allclose(found.encode(images), expected, atol=1e-5)
    assert max(network.sizes) == 6  # 48, 24, 12, 6
    tried = network.calls
    np.testing.assert_allclose(found.encode(images), expected, atol=1e-5)
    assert network.calls - tried == N_PATCHES // 6
    assert "6 patches at a time" in found.remark


def test_one_patch_that_does_not_fit_is_a_sentence_and_no_silent_move_to_the_processor(
    images: np.ndarray,
) -> None:
    network = FailsAt(most=0)
    with pytest.raises(DeviceMemoryError, match=r"does not hold one patch; .* choose device cpu"):
        encoder(network).encode(images)
    assert network.sizes == []


def test_what_fits_is_not_remarked_upon(images: np.ndarray) -> None:
    found = encoder(FailsAt())
    assert len(found.encode(images)) == N_PATCHES
    assert found.remark == ""
    assert SmallerBatches().run(len, images[:0]) == []
