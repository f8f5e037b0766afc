"""When something was changed by hand, and by whom, as text: pure, from facts."""

from __future__ import annotations

from opstasks.core.formats import minute_text
from opstasks.manage.facts import LastUse, ManageFacts

# How many seconds before a file's change a sudo command that names it may have begun.
EDITING_S = 3600
UNKNOWN = LastUse("", 0)


def file_history(facts: ManageFacts, path: str) -> str:
    """When a file was changed, and by whom if sudo's log names it; "" if it is not known."""
    now = facts.paths.get(path)
    if now is None or not now.changed_at:
        return ""
    use, at = facts.last_uses.get(path, UNKNOWN), now.changed_at
    by = f" by {use.who}" if use.who and at - EDITING_S <= use.at <= at + 5 else ""
    return f"changed {minute_text(at)}{by}"


def word_history(facts: ManageFacts, *words: str) -> str:
    """Who last used one of these words in a sudo command; "" if sudo's log does not say."""
    known = [facts.last_uses[word] for word in words if word in facts.last_uses]
    if not known:
        return ""
    last = max(known, key=lambda use: use.at)
    return f"perhaps {last.who}, {minute_text(last.at)}" if last.at else f"perhaps {last.who}"
