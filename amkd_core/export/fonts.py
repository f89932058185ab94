"""Names in scripts that the plots' own font lacks."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

# Fonts of Linux, macOS and Windows, by what they are likely to be asked for.
_OTHERS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans CJK KR", "WenQuanYi Zen Hei", "Source Han Sans SC",
    "PingFang SC", "Hiragino Sans", "Apple SD Gothic Neo", "Microsoft YaHei", "Yu Gothic", "Malgun Gothic",
    "Noto Sans", "Noto Sans Arabic", "Noto Sans Devanagari", "Noto Sans Thai", "Arial Unicode MS", "Segoe UI",
)  # fmt: skip


@contextmanager
def fonts_of_all_scripts() -> Iterator[None]:
    """Draw with the system's fonts what the first one has no letters for; where none has, as boxes and in silence.

    Figures are made and saved within. The JSON and the HTML beside them hold every name in full.
    """
    import matplotlib
    from matplotlib import font_manager

    installed = set(font_manager.get_font_names())
    families = [*matplotlib.rcParams["font.family"], *(name for name in _OTHERS if name in installed)]
    with matplotlib.rc_context({"font.family": families}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield
