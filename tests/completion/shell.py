"""A real shell in a terminal, with our script loaded: type words, press Tab, read the line."""

import os
import re
import sys
from pathlib import Path

import pexpect

from opstasks.completion.scripts import script

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
READY = "shell-is-ready"
# Ctrl-X Ctrl-P prints the line that is being edited, in this form.
SHOW = "\x18\x10"
LINE = re.compile(r"<<(.*?)>>", re.DOTALL)
# What a person's own start-up file has before our script.
BEFORE = {"bash": "", "zsh": "autoload -Uz compinit && compinit -u -D", "fish": ""}
START = {
    "bash": """bind 'set bell-style none'; bind 'set show-all-if-ambiguous on'
bind 'set page-completions off'; bind 'set completion-query-items 0'
bind 'set enable-bracketed-paste off'
show() { printf '<<%s>>' "$READLINE_LINE"; }; bind -x '"\\C-x\\C-p": show'""",
    "zsh": """show() { print -rn -- "<<$BUFFER>>" }; zle -N show; bindkey '^X^P' show
setopt no_beep; LISTMAX=0; unset zle_bracketed_paste""",
    "fish": """function fish_prompt; echo '$ '; end; function fish_greeting; end
bind \\cx\\cp 'printf "<<%s>>" (commandline)'""",
}
COMMANDS = {
    "bash": ["bash", "--noprofile", "--norc", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}


class Shell:
    """One interactive shell."""

    def __init__(self, name, folder, environment, before=None, text=None):
        """`before` and `text` replace the usual start and our script."""
        self.name, self.script = name, folder / "script"
        before = BEFORE[name] if before is None else before
        self.script.write_text("\n".join([before, START[name], text or script(name)]))
        words = COMMANDS[name]
        self._child = pexpect.spawn(
            words[0],
            words[1:],
            cwd=str(ROOT),
            env={
                **os.environ,
                "PATH": f"{BIN}:{os.environ['PATH']}",
                "TERM": "xterm",
                "HOME": str(folder),
                "PS1": "$ ",
                **environment,
            },
            dimensions=(50, 160),
            encoding="utf-8",
            timeout=30,
        )
        self.run(f"source {self.script}")

    def run(self, command):
        """Run a command."""
        # The quotes: what we type is not what we wait for.
        self._child.sendline(f"{command}; echo shell-is''-ready")
        self._child.expect_exact(READY)

    def completed(self, typed, tabs=1):
        """The line after the words were typed and Tab was pressed."""
        self._child.send(typed + "\t" * tabs + SHOW)
        self._child.expect(LINE)
        line = self._child.match[1]
        self._clear()
        return line

    def listed(self, typed):
        """The text that the shell shows after Tab was pressed."""
        self._child.send(typed + "\t")
        self._child.send(SHOW)
        self._child.expect(LINE)
        text = self._child.before
        self._clear()
        return text

    def _clear(self):
        # Not Ctrl-C: the terminal then drops what was typed after it.
        self._child.sendcontrol("u")
        self._child.send(SHOW)
        self._child.expect_exact("<<>>")

    def close(self):
        self._child.close(force=True)
