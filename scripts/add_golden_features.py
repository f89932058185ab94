"""Give a bundle the golden features of its encoder, without training it again; it is replaced where it lies.

    .venv/bin/python scripts/add_golden_features.py assets/demo/demo.amkd [--weights FILE]

Only a machine on which the encoder is known to run as it did in training may say so: what it answers here is what
every later run is held to.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from amkd_core.bundle import Bundle
from amkd_core.bundle_file import open_bundle, write_bundle
from amkd_core.slides.encoders import load_encoder
from amkd_core.slides.encoders.golden_patches import golden_features


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--weights", type=Path, help="of the encoder, where it is not built in")
    arguments = parser.parse_args()
    bundle = with_golden_features(open_bundle(arguments.bundle), arguments.weights)
    print(write_bundle(arguments.bundle, bundle))


def with_golden_features(bundle: Bundle, weights: Path | None = None) -> Bundle:
    """The bundle with what its encoder makes of the golden patches; another encoder is refused."""
    encoder = load_encoder(bundle.card.encoder.name, weights=weights)
    bundle.bag_kind.check_encoder(encoder.identity, bundle.card.name)
    return replace(bundle, golden=golden_features(encoder))


if __name__ == "__main__":
    main()
