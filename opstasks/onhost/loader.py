"""Install modules that were sent as text, so that a program on a host has real modules.

A traceback then names our own files and lines, and shows their text. `SOURCES` has
the installed modules: path in the project to text, each module after those that it imports.
"""

import json
import linecache
import sys
from types import ModuleType
from typing import Any

SOURCES: dict[str, str] = {}
PYTHON = "/usr/bin/python3"


def module_name(path: str) -> str:
    """The module name of a file: ``opstasks/onhost/loader.py`` is ``opstasks.onhost.loader``."""
    return path.removesuffix(".py").replace("/", ".")


def install(sources: dict[str, str]) -> None:
    """Make modules of texts, which must be in import order."""
    for path, text in sources.items():
        name = module_name(path)
        module = ModuleType(name)
        module.__file__ = path
        linecache.cache[path] = (len(text), None, text.splitlines(keepends=True), path)
        _package(name.rpartition(".")[0])
        sys.modules[name] = module
        exec(compile(text, path, "exec"), module.__dict__)  # noqa: S102 (our own modules)
        _bind(name, module)
    SOURCES.update(sources)
    # The loader that a program imports is a copy of this one and needs the same SOURCES.
    loader = sys.modules.get("opstasks.onhost.loader")
    if loader is not None:
        loader.__dict__["SOURCES"].update(sources)


def start(sources: dict[str, str], program: str, request_text: str) -> None:
    """Install the modules and run one of them by the protocol."""
    install(sources)
    main = sys.modules[program].__dict__["main"]
    sys.modules["opstasks.onhost.protocol"].__dict__["run"](main, request_text)


def script_text(sources: dict[str, str], program: str, request: Any, about: str) -> str:
    """The program as one readable file, which a timer or the next boot starts.

    `about` is a line at its top, for people; it cannot become code, whoever wrote it. The order of
    keys is fixed, so the same input gives the same text.
    """
    modules = "".join(f"    {path!r}: (\n{_lines(text)}    ),\n" for path, text in sources.items())
    loader = sources["opstasks/onhost/loader.py"]
    request_text = json.dumps(request, sort_keys=True)
    return (
        # Python looks for a coding in the first two lines: the comment of others is the third.
        f"#!{PYTHON} -I\n# -*- coding: utf-8 -*-\n# {one_line(about)}\n\n"
        f"MODULES = {{\n{modules}}}\n\n\n{loader}\n\n"
        f"start(MODULES, {program!r}, {request_text!r})\n"
    )


def one_line(text: str) -> str:
    """A text without line ends and other control characters: it cannot end a comment."""
    return "".join(char if char.isprintable() else "?" for char in text)


def _lines(text: str) -> str:
    return "".join(f"        {line!r}\n" for line in text.splitlines(keepends=True))


def _package(name: str) -> None:
    """Make the empty packages that contain a module."""
    if not name or name in sys.modules:
        return
    _package(name.rpartition(".")[0])
    package = ModuleType(name)
    package.__path__ = []
    sys.modules[name] = package
    _bind(name, package)


def _bind(name: str, module: ModuleType) -> None:
    """Make a module an attribute of its package, as an import does."""
    package, _, last = name.rpartition(".")
    if package:
        setattr(sys.modules[package], last, module)
