"""What migrations do to the database, in words, from their SQL: pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from opstasks.core.lines import clipped
from opstasks.deploy.facts import Migration

_NAME = r'["`\[]?([A-Za-z_]\w*)["`\]]?'
_IF = r"(?:IF (?:NOT )?EXISTS )?"
# A statement (@ is a name), what it does to the table that comes first, and whether data may go.
_FORMS = tuple(
    (re.compile(form.replace("@", _NAME), re.IGNORECASE), words, is_loss)
    for form, words, is_loss in (
        ("ALTER TABLE @ ADD (?:COLUMN )?@", "+ {1}", False),
        ("ALTER TABLE @ DROP (?:COLUMN )?@", "- {1}", True),
        ("ALTER TABLE @ RENAME TO @", "renamed to {1}", False),
        ("ALTER TABLE @ RENAME (?:COLUMN )?@ TO @", "{1} renamed to {2}", False),
        (f"CREATE (?:TEMP |TEMPORARY )?TABLE {_IF}@", "new table", False),
        (f"DROP TABLE {_IF}@", "table removed", True),
        (r"UPDATE (?:OR \w+ )?@", "rows changed", True),
        ("DELETE FROM @", "rows removed", True),
        (r"(?:INSERT|REPLACE) (?:OR \w+ )?INTO @", "rows added", False),
    )
)
_INDEX = re.compile(rf"CREATE (?:UNIQUE )?INDEX {_IF}{_NAME} ON {_NAME}", re.IGNORECASE)
MOST_SQL = 60


@dataclass(frozen=True)
class DatabaseChange:
    """What migrations do, for people: ``job: + requires_db``. `is_loss`: data may go."""

    text: str
    is_loss: bool = False


def in_words(migrations: Iterable[Migration]) -> list[DatabaseChange]:
    """The changes of migrations, those of one table together; unknown SQL is shown as it is."""
    tables: dict[str, list[tuple[str, bool]]] = {}
    for item in migrations:
        for table, words, is_loss in changes(item.sql):
            tables.setdefault(table, []).append((words, is_loss))
    return [_change(table, found) for table, found in tables.items()]


def _change(table: str, found: Sequence[tuple[str, bool]]) -> DatabaseChange:
    words = ", ".join(dict.fromkeys(words for words, _ in found))
    return DatabaseChange(
        f"{table}: {words}" if table else words, any(is_loss for _, is_loss in found)
    )


def changes(sql: str) -> Iterator[tuple[str, str, bool]]:
    """Each statement: the table ("" if not known), what is done to it, whether data may go."""
    for statement in " ".join(sql.split()).split(";"):
        text = statement.strip()
        if not text:
            continue
        if index := _INDEX.match(text):
            yield index[2], f"index {index[1]}", False
            continue
        yield next(_known(text), ("", clipped(text, MOST_SQL), True))


def _known(statement: str) -> Iterator[tuple[str, str, bool]]:
    for form, words, is_loss in _FORMS:
        if match := form.match(statement):
            yield match[1], words.format(*match.groups()), is_loss
