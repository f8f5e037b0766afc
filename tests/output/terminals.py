"""A real terminal for tests: a window of tmux, whose size can be changed."""

import shlex
import subprocess
import time
import uuid

# A test waits for what must come; a wait that ends here is a failure.
LONGEST_S = 10


class Window:
    """A window of tmux that runs a shell."""

    def __init__(self, columns, rows, folder):
        self._socket = str(folder / f"tmux-{uuid.uuid4().hex[:8]}")
        self._tmux("-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(rows),
                   "env", "PS1=$ ", "bash", "--norc", "--noprofile")  # fmt: skip
        self._tmux("set-option", "-g", "window-size", "manual")
        self.wait_for("$")

    def _tmux(self, *words):
        argv = ["tmux", "-S", self._socket, *words]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout

    def run(self, argv, env=""):
        """Type a command."""
        self.type(f"clear; {env} {shlex.join(map(str, argv))}\n")

    def type(self, text):
        """Type keys."""
        for part in text.splitlines(keepends=True):
            if line := part.rstrip("\n"):
                self._tmux("send-keys", "-l", "--", line)
            if part.endswith("\n"):
                self._tmux("send-keys", "Enter")

    def press(self, key):
        """Press a key that has a name, such as C-c."""
        self._tmux("send-keys", key)

    def resize(self, columns, rows):
        """Change the size of the window."""
        self._tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def lines(self):
        """What is on the screen."""
        return self._tmux("capture-pane", "-p").rstrip("\n").split("\n")

    def text(self):
        """What is on the screen, as one text."""
        return "\n".join(self.lines())

    def wait_for(self, *texts):
        """Wait until all texts are on the screen; returns it."""
        until = time.monotonic() + LONGEST_S
        while time.monotonic() < until:
            shown = self.text()
            if all(text in shown for text in texts):
                return shown
            time.sleep(0.05)
        raise AssertionError(f"{texts} did not appear:\n{self.text()}")

    def wait_until_gone(self, text):
        """Wait until a text is no longer on the screen."""
        until = time.monotonic() + LONGEST_S
        while text in self.text():
            if time.monotonic() > until:
                raise AssertionError(f"{text} did not disappear:\n{self.text()}")
            time.sleep(0.05)

    def settings(self):
        """The settings of the terminal (stty), without its size."""
        self.type("clear; stty -a; echo o''ver\n")  # what is typed is shown, too
        shown = self.wait_for("over\n")
        return [line for line in shown.split("\n") if "rows" not in line]

    def close(self):
        """End the window."""
        subprocess.run(["tmux", "-S", self._socket, "kill-server"], check=False)
