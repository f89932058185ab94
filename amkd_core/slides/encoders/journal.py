"""What is encoded of a slide so far, kept beside its bag: a killed run goes on at the batch it was at.

One file holds the batches in the grid's order, each behind the checksum of all before it. It is never read as a
bag. The checksums begin with a key of all that decides the features, so that a batch of another slide,
encoder or grid, a torn one, or one that moved within the file is not taken for the right one; from the first that does
not match, patches are encoded again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import version
from io import FileIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from amkd_core import __version__
from amkd_core.atomic import full_disk, require_space

MAGIC = b"AMKD encoding journal 1\n"
_DIGEST_BYTES = 32
_COORDS_BYTES = 16
"""Of a patch in a bag."""


class EncodingJournal:
    """Encoded batches of one slide on disk.

    Parameters
    ----------
    folder
        Of the bag.
    slide_id
        Whose batches; the file's name is made from its hash, so that it is never longer than the bag's.
    device
        As torch names it; features of another one differ in their last digits, and are not continued.
    bag_bytes
        Per number in the bag that will be written, 2 or 4, for the space it needs.
    """

    def __init__(self, folder: Path, slide_id: str, *, device: str = "cpu", bag_bytes: int = 4) -> None:
        name = hashlib.sha256(slide_id.encode("utf-8", "surrogateescape")).hexdigest()[:16]
        self.path = folder / f".part-{name}.journal"
        self._slide_id = slide_id
        self._device = device
        self._bag_bytes = bag_bytes
        self._file: FileIO | None = None
        self._checksum = b""

    def restore(
        self,
        key: Mapping[str, object],
        features: NDArray[np.float32],
        valid: NDArray[np.bool_],
        *,
        batch_size: int,
    ) -> int:
        """Fill in what is there of these patches, and open the file for the rest.

        Parameters
        ----------
        key
            What decides the features, JSON-able; versions and the device are added.
        features
            Of the whole grid, float32 (n, d), filled from the top.
        valid
            Which rows were read, (n,), filled likewise.
        batch_size
            Patches per batch.

        Returns
        -------
        int
            Patches that need not be encoded again.

        Raises
        ------
        DiskFullError
            When the rest of the batches and the bag do not fit on the disk.
        """
        self.close()
        self._checksum = self._start_of(key, features.shape, batch_size)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("r+b" if self.path.exists() else "w+b", buffering=0)
        done = end = 0
        if self._file.read(len(MAGIC)) == MAGIC:
            end = len(MAGIC)
            while done < len(features):
                stop = min(done + batch_size, len(features))
                if not self._read(features[done:stop], valid[done:stop]):
                    break
                done, end = stop, self._file.tell()
        self._require_space(features[done:].shape, features.shape)
        self._file.seek(end)
        self._file.truncate()
        if end == 0:
            self._write(MAGIC)
        return done

    def append(self, features: NDArray[np.float32], valid: NDArray[np.bool_]) -> None:
        """Add the batch that follows; its bytes are the kernel's when this returns, so a kill does not take them.

        Raises
        ------
        DiskFullError
            When the disk is full all the same; what was written before stays of use.
        """
        payload = np.ascontiguousarray(valid).tobytes() + np.ascontiguousarray(features).tobytes()
        self._checksum = hashlib.sha256(self._checksum + payload).digest()
        self._write(payload + self._checksum)

    def close(self) -> None:
        """Close the file and leave it, for a run to come."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def discard(self) -> None:
        """Remove the file: the bag is there, or the batches are not to be used."""
        self.close()
        self.path.unlink(missing_ok=True)

    def _start_of(self, key: Mapping[str, object], shape: tuple[int, ...], batch_size: int) -> bytes:
        whole = {
            **key,
            "shape": shape,
            "batch_size": batch_size,
            "device": self._device,
            "versions": [__version__, np.__version__, version("torch")],
        }
        return hashlib.sha256(MAGIC + json.dumps(whole, sort_keys=True).encode()).digest()

    def _write(self, payload: bytes) -> None:
        if self._file is None:
            raise ValueError("the journal was not opened")
        rest = memoryview(payload)
        try:
            while rest:  # a disk that fills up takes a part first
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            full = full_disk(error, self.path, len(payload) - len(rest))
            if full is None:
                raise
            raise full from error

    def _read(self, features: NDArray[np.float32], valid: NDArray[np.bool_]) -> bool:
        """Take the next batch from the file, when it is the one that belongs here."""
        if self._file is None:
            return False
        payload = self._file.read(valid.nbytes + features.nbytes)
        found = hashlib.sha256(self._checksum + payload).digest()
        if self._file.read(_DIGEST_BYTES) != found:
            return False
        self._checksum = found
        valid[:] = np.frombuffer(payload, dtype=bool, count=len(valid))
        features[:] = np.frombuffer(payload, dtype=np.float32, offset=valid.nbytes).reshape(features.shape)
        return True

    def _require_space(self, rest: tuple[int, ...], whole: tuple[int, ...]) -> None:
        n_patches, dimension = whole
        bag = n_patches * (dimension * self._bag_bytes + _COORDS_BYTES)
        batches = rest[0] * (dimension * 4 + 1 + _DIGEST_BYTES)
        require_space(
            self.path.parent,
            bag + batches,
            what=f"slide {self._slide_id} ({n_patches} patches x {dimension} features)",
        )
