"""What a Python function's source is, so that a change under the same version can be told."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable
from typing import Any


def source_of(function: Callable[..., Any]) -> bytes | None:
    """The function's source without what changes nothing: comments, layout, its decorators. Without a source (typed into a plain prompt, built by ``exec``) its
    code. ``None`` where neither is there, as of what is written in C."""
    try:
        text = textwrap.dedent(inspect.getsource(function))
        tree = ast.parse(text)
    except (OSError, TypeError, SyntaxError):
        return _code_of(function)
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            node.decorator_list = []
            break
    return ast.unparse(tree).encode()


def _code_of(function: Callable[..., Any]) -> bytes | None:
    code = getattr(function, "__code__", None)
    if code is None:
        return None
    constants = [constant for constant in code.co_consts if not hasattr(constant, "co_code")]
    compiled: bytes = code.co_code
    return compiled + repr((constants, code.co_names)).encode()
