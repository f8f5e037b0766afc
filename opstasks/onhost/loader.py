"""Import modules that were sent as text, so that a program on a host has real modules.

A module is compiled when it is first imported: a program pays only for what it uses. A traceback
names our own files and lines, and shows their text. `SOURCES` has the modules that were sent: path
in the project to text, each module after those that it imports.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

SOURCES: dict[str, str] = {}


def module_name(path: str) -> str:
    """The module name of a file: ``opstasks/onhost/loader.py`` is ``opstasks.onhost.loader``."""
    return path.removesuffix(".py").replace("/", ".")


class TextFinder:
    """What Python asks for modules: it has those of `sources`, and the packages they are in."""

    def __init__(self, sources: dict[str, str]) -> None:
        self._sources = sources
        self._paths = {module_name(path): path for path in sources}
        self._packages: set[str] = set()
        for module in self._paths:
            name = module
            while name := name.rpartition(".")[0]:
                self._packages.add(name)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """How to load a module of ours; None for others.

        Raises ModuleNotFoundError for one of ours that was not sent: the host may have another
        version of opstasks.
        """
        loader: Any = self  # not an importlib.abc.Loader: that module is slow to import
        if name in self._paths:
            return ModuleSpec(name, loader, origin=self._paths[name])
        if name in self._packages:
            return ModuleSpec(name, loader, is_package=True)
        if name.startswith("opstasks."):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None

    def create_module(self, spec: ModuleSpec) -> None:
        """Let Python make the module object."""

    def exec_module(self, module: ModuleType) -> None:
        """Run a module's text; a package is empty."""
        path = self._paths.get(module.__name__)
        if path is None:
            return
        module.__file__ = path
        code = compile(self._sources[path], path, "exec", dont_inherit=True)
        exec(code, module.__dict__)  # noqa: S102 (our own modules)
        # The loader that a program imports is a copy of this one and needs the same SOURCES.
        if module.__name__ == "opstasks.onhost.loader":
            module.__dict__["SOURCES"].update(self._sources)

    def get_source(self, name: str) -> str | None:
        """A module's text, which a traceback shows."""
        return self._sources.get(self._paths.get(name, ""))


def install(sources: dict[str, str]) -> None:
    """Make modules of texts available to imports, before any that are installed on the host."""
    SOURCES.update(sources)
    sys.meta_path.insert(0, TextFinder(sources))


def start(sources: dict[str, str], program: str, request_text: str) -> None:
    """Install the modules and run one of them by the protocol."""
    install(sources)
    protocol = import_module("opstasks.onhost.protocol")
    protocol.run(import_module(program).main, request_text)
