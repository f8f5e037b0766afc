"""Runs on the host: programs that stay there as files, for a timer or for the next boot."""

import shutil
from dataclasses import asdict
from typing import Any

from opstasks.maintenance.onhost.records import script_dir
from opstasks.maintenance.onhost.site import Site
from opstasks.onhost import loader, script


def install(site: Site, id: str, module: str, request: dict[str, Any], about: str) -> list[str]:
    """Install a program with its request as one file that only root reads; returns its command.

    `module` must be among the modules that were sent with this program: import what you install.
    The site is added to the `request`; `about` is a line at the top of the file, for people.
    """
    folder = script_dir(site, id)
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.parent.chmod(0o700)
    folder.mkdir(mode=0o700, exist_ok=True)
    text = script.script_text(loader.SOURCES, module, {"site": asdict(site), **request}, about)
    file = folder / "run.py"
    new = folder / "run.py.new"
    new.write_text(text, encoding="utf-8")
    new.chmod(0o700)
    new.replace(file)
    return [script.PYTHON, "-I", str(file)]


def remove_script(site: Site, id: str) -> None:
    """Remove an installed program; a running one continues."""
    shutil.rmtree(script_dir(site, id), ignore_errors=True)
