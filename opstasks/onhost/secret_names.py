"""The names that have a secret value: one list for texts, command lines, fields and settings."""

import re

MASK = "***"
# A name of a setting, an option, a header or a field of JSON that has a secret value.
SECRET_NAME = re.compile(
    r"TOKEN|SECRET|PASS|PWD|CREDENTIAL|PRIVATE|LICEN[CS]E|HEADERS|HASH|DSN|DATABASE_URL|KEY"
    r"|AUTHORI[SZ]ATION|COOKIE|JWT|WEBHOOK"
    # Only as a part of a name: an author, a path and a signal are no secrets.
    r"|(?<![A-Z])(?:O?AUTH|PAT|SIG)(?![A-Z])|(?-i:[a-z](?:Auth|Pat|Sig)(?![a-z]))",
    re.IGNORECASE,
)
# Exceptions such as KeyError, words of sudoers and settings of systemd are not such names.
_NO_NAME = (
    *("Error", "Exception", "Warning", "NOPASSWD"),
    *("PrivateTmp", "PrivateDevices", "PrivateNetwork", "PrivateUsers", "PrivateMounts"),
)


def is_telling(name: str) -> bool:
    """Whether a name in a text says that a secret follows."""
    return bool(SECRET_NAME.search(name)) and not name.endswith(_NO_NAME)
