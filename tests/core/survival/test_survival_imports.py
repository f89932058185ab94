"""Tables and metrics of outcomes serve code that sees no tensor."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "module", ["outcome", "metrics", "curve", "weighted", "comparison", "calibration", "cox"]
)
def test_module_imports_neither_torch_nor_lifelines(module):
    code = f"import sys, amkd_core.survival.{module}; sys.exit(bool({{'torch', 'lifelines'}} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", code], check=True)
