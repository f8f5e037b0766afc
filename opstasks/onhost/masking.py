"""What is secret, and what is shown instead: the only place that decides this.

Diffs, records, errors, `--echo` and backups use it, on a host and on the client. In doubt a value
is a secret. The time is linear in the size of a text, which may come from a hostile host: a pattern
here matches one run of characters, from one place only, and Python code does the rest.
"""

import re
from collections.abc import Collection, Iterable, Sequence

from opstasks.onhost import masked_addresses, secret_names
from opstasks.onhost.masked_options import client_of, secret_place, without_options
from opstasks.onhost.masked_values import Hidden, without_blocks, without_values

MASK = secret_names.MASK
# The file of a configuration folder that holds secrets only.
SECRETS_FILE = "02_secrets.env"
# The file that `config.set` writes; it remembers which values were typed as secrets.
LOCAL_FILE = "04_local.env"
# The line by which it does so.
_MARK = re.compile(r"# ([A-Za-z_][A-Za-z0-9_]*) is a secret")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WORD = re.compile(r"\S+")
_SCHEMES = ("Basic", "Bearer", "basic", "bearer")
_BEARER = re.compile(r"(?i)\b(bearer|basic)[ \t]+(?=\S)")
# A run of characters of tokens, paths and domain names.
_RUN = re.compile(r"[\w/.@+-]+")
_TOKEN = re.compile(r"[\w+-]{20,}")


def is_secret(key: str, values: Iterable[str] = (), secret_keys: Iterable[str] = ()) -> bool:
    """Whether a key's value must not be shown. In doubt it is a secret."""
    return (
        key in secret_keys
        or bool(secret_names.SECRET_NAME.search(key))
        or any(masked(value) != value for value in values)
    )


def masked(text: str, *, tokens: bool = False) -> str:
    """A text of any number of lines without its secrets; `tokens`: also what looks like a token."""
    return "\n".join(masked_lines(text.split("\n"), tokens=tokens))


def masked_env(text: str, *, tokens: bool = False) -> str:
    """As `masked`, for an env file: what opens in a comment ends with the next assignment.

    Most of what seems to open there is an apostrophe of a sentence. A line that assigns nothing may
    belong to a secret of the comment, and so may each line of a private key.
    """
    hidden, shown, is_alone = Hidden(), [], False
    for line in text.split("\n"):
        is_comment = line.lstrip().startswith(("#", ";"))
        if is_comment and not is_alone:
            is_alone = not hidden.is_open()
        if is_alone and not is_comment and _sets_a_value(line):
            hidden, is_alone = hidden.of_block(), False
        shown.append(_masked_line(line, hidden, tokens=tokens))
    return "\n".join(shown)


def masked_file(name: str, text: str, *, tokens: bool = False) -> str:
    """As `masked`, for a file with a name or path, which tells an env file."""
    function = masked_env if name.endswith(".env") else masked
    return function(text, tokens=tokens)


def _sets_a_value(line: str) -> bool:
    """Whether a line assigns something; one that only ends with ``=`` may be base64."""
    return bool(assigned(line) and line.partition("=")[2].strip(" \t\r=\"'"))


def masked_words(words: Sequence[str]) -> list[str]:
    """The words of a command line without secrets: ``--password x`` becomes ``--password ***``."""
    found, before, client = [], "", ""
    for word in words:
        place = 0 if _announces(before) else secret_place(before, word, client)
        found.append(masked(word if place < 0 else f"{word[:place]}{MASK}"))
        client = client_of(word) or ("" if place >= 0 else client)
        before = f"{before} {word}" if _announces(before) and word in _SCHEMES else word
    return found


def _announces(words: str) -> bool:
    """Whether a secret follows, as in ``Authorization: Bearer``."""
    name, colon, scheme = words.partition(":")
    is_name = name.replace("-", "").isalnum() and secret_names.is_telling(name)
    return bool(colon) and is_name and scheme.strip() in ("", *_SCHEMES)


def masked_lines(lines: Iterable[str], *, tokens: bool = False) -> list[str]:
    """Lines without secrets; a secret may have several lines.

    Only a newline ends a line: a secret may contain other characters that Python splits at.
    """
    hidden = Hidden()
    return [_masked_line(line, hidden, tokens=tokens) for line in lines]


def _masked_line(line: str, hidden: Hidden, *, tokens: bool) -> str:
    if not line.strip():
        return line
    if hidden.hides(line):
        return MASK
    line = without_blocks(line, hidden)
    shown = _without_bearer(without_values(line, hidden))
    command = hidden.of_command()
    options = without_options(line, hidden)
    # What was hidden may have had the quote that ends an argument.
    shown = options if shown == line else without_options(shown, command)
    shown = without_credentials(shown)
    return _RUN.sub(_masked_run, shown) if tokens else shown


def _without_bearer(line: str) -> str:
    """A line without what follows ``Bearer`` or ``Basic``."""
    pieces, place = [], 0
    for found in _BEARER.finditer(line):
        word = _WORD.match(line, found.end())
        if found.start() >= place and word and (found[1].lower() == "bearer" or len(word[0]) > 7):
            pieces += [line[place : found.end()], MASK]
            place = word.end()
    return "".join([*pieces, line[place:]])


def without_credentials(text: str) -> str:
    """A text without the users and passwords in its addresses."""
    return masked_addresses.without_credentials(text)


def _masked_run(found: "re.Match[str]") -> str:
    """A run of characters, masked if it looks like a token; paths and domain names do not."""
    run = found[0]
    if not _TOKEN.fullmatch(run):
        return run
    is_mixed = any(c.isdigit() for c in run) and any(c.isalpha() for c in run)
    return MASK if is_mixed else run


def assigned(line: str) -> str:
    """The name that a line of an env file assigns, also after a comment sign; "" for none."""
    left, equals, _ = line.partition("=")
    name = left.strip().lstrip("#").strip()
    name = name[len("export ") :].strip() if name.startswith("export ") else name
    return name if equals and _VARIABLE.fullmatch(name) else ""


def all_assigned(lines: Iterable[str]) -> set[str]:
    """The names that the lines of an env file assign."""
    return {name for line in lines if (name := assigned(line))}


def marked(text: str) -> set[str]:
    """The names that lines of an env file declare to be secret."""
    return {found[1] for line in text.split("\n") if (found := _MARK.fullmatch(line.strip()))}


def mark(name: str) -> str:
    """The line that declares a name to be secret."""
    return f"# {name} is a secret"


def needs_mark(name: str, known: Collection[str]) -> bool:
    """Whether a value that was typed as a secret needs a mark; `known` have one."""
    return name not in known and not is_secret(name)


def placeholder(value: str) -> str:
    """A value of the same kind as a secret, for code that only needs some value."""
    if not value:
        return ""
    if value.startswith("/"):
        return "/dev/null"  # a file that exists
    scheme, mark, rest = value.partition("://")
    if mark and scheme.isalnum():
        # With a port if the secret has one: code may need a number.
        login = masked_addresses.authority(rest)
        port = login.rpartition("@")[2].rpartition(":")[2] if ":" in login else ""
        return f"{scheme}://masked:masked@masked{':1' if port.isdecimal() else ''}/masked"
    if value.isdecimal():
        return "0"
    if value[0] in "[{":
        return "[]" if value[0] == "[" else "{}"
    # Headers, and connection strings: a name for each value.
    return (
        "masked=masked" if _VARIABLE.match(value.partition("=")[0]) and "=" in value else "masked"
    )
