"""What napari, npe2 and vispy work out anew for every window, worked out once in a process that opens dozens.

Of what a window does, nothing else is left out: each of these is a function of what it is given alone.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType, MethodType
from typing import Any

from napari.settings import get_settings
from napari.utils.events.event import EventEmitter
from npe2.manifest import schema
from vispy.gloo.program import Program


def spare_work() -> None:
    """Keep what is always the same, for the rest of this process; once is enough."""
    _keep_who_is_no_plugin()
    _keep_variables_of_shaders()
    _keep_whether_hearers_take_events()
    # The settings file is the user's, and was written ten times per window.
    get_settings()._save_on_change = False


def _keep_who_is_no_plugin() -> None:
    find, known = schema._from_dist, set[str]()

    def found(dist: Any) -> Any:
        place = str(getattr(dist, "_path", id(dist)))
        if place in known:
            return None
        manifest = find(dist)
        if manifest is None and hasattr(dist, "_path"):
            known.add(place)
        return manifest

    schema._from_dist = found


def _keep_variables_of_shaders() -> None:
    parse, known = Program._parse_variables_from_code, dict[tuple[str, ...], dict[str, Any]]()

    def parsed(program: Any, update_variables: bool = True) -> None:
        texts = tuple(shader.code for shader in program._shaders)
        if texts not in known:
            parse(program, update_variables=False)
            known[texts] = dict(program._code_variables)
        program._code_variables = dict(known[texts])
        if update_variables:
            program._process_pending_variables()

    Program._parse_variables_from_code = parsed


def _keep_whether_hearers_take_events() -> None:
    check: Callable[[Any], bool] = EventEmitter._check_signature
    known: dict[tuple[Any, ...], bool] = {}

    def checked(hearer: Any) -> bool:
        function = hearer.__func__ if isinstance(hearer, MethodType) else hearer
        if type(function) is not FunctionType or function.__dict__:
            return check(hearer)
        key = (function.__code__, len(function.__defaults__ or ()), function is hearer)
        if key not in known:
            known[key] = check(hearer)
        return known[key]

    EventEmitter._check_signature = staticmethod(checked)
