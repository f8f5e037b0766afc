"""The scripts, one file for each shell in the folder `shells`."""

from __future__ import annotations

from importlib import resources

from opstasks.core.errors import Refused
from opstasks.core.hints import quoted

# How a person loads each script.
USE = {
    "bash": """echo 'eval "$(opstasks completion bash)"' >> ~/.bashrc""",
    "zsh": """echo 'eval "$(opstasks completion zsh)"' >> ~/.zshrc""",
    "fish": "opstasks completion fish > ~/.config/fish/conf.d/opstasks.fish",
}


def script(shell: str) -> str:
    """The text of a shell's script; raises Refused for another shell."""
    if shell not in USE:
        known = ", ".join(USE)
        raise Refused(f"there is no completion for {quoted(shell)}", hint=f"shells: {known}")
    file = resources.files("opstasks.completion") / "shells" / f"opstasks.{shell}"
    return file.read_text(encoding="utf-8")
