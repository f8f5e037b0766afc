"""Following the hint of a message: the command that an operator would type next."""

import re
import shlex

AGAIN = re.compile(r"\b(run|try) (it|this|that|manage|the same command)? ?again|again\b", re.I)
NAMED = re.compile(r"\brun ([a-z][\w.-]+) again")
QUOTED = re.compile(r"`(inv [^`]+)`")
PLAIN = re.compile(r"(?:^|[:;,] |\b(?:or|then) )(inv -H \S+ .+?)(?:$|[;,]|: | \()")
ROOT = re.compile(r"^(systemctl [\w .@-]+|rm (?:-f )?[\w/.@-]+|chown [\w:/. -]+)(?:$|[;,])")
# They need a terminal, or do nothing by themselves.
NEVER = ("shell", "jobs.mount", "jobs.strace", "logs", "--help")


def command_of(hint, words):
    """What to run: ("inv", words), ("root", script) or (None, "") when the hint is for a person."""
    found = QUOTED.search(hint) or PLAIN.search(hint)
    if found:
        try:
            typed = shlex.split(found[1])[3:]
        except ValueError:
            return None, ""
        return ("inv", _complete(typed)) if typed else (None, "")
    root = ROOT.search(hint)
    if root:
        return "root", root[1]
    named = NAMED.search(hint)
    if named and named[1] not in ("it", "this", "that", "inv"):
        return "inv", _complete([named[1]])
    if AGAIN.search(hint):
        return "inv", list(words)
    return None, ""


def _complete(words):
    """The words, with --yes for a task that may ask: the person who types them says yes."""
    from opstasks.namespace import namespace

    known = [name for names in namespace.task_names.items() for name in (names[0], *names[1])]
    asks = words[0] in known and namespace[words[0]].changes
    return [words[0], "--yes", *words[1:]] if asks and "--yes" not in words else words


def may_follow(words):
    """Whether a command can be run without a person."""
    return bool(words) and not any(word in NEVER for word in words) and "..." not in words
