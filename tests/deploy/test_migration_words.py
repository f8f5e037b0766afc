"""What migrations do, in words."""

import pytest

from opstasks.deploy.facts import Migration
from opstasks.deploy.migration_words import in_words
from tests.deploy.screens_help import MIGRATIONS


def words(*sql):
    return [change.text for change in in_words(Migration(n, text) for n, text in enumerate(sql))]


def test_the_changes_of_one_table_are_together():
    assert [change.text for change in in_words(MIGRATIONS)] == [
        "job: + level4_excluded_files, + requires_db"
    ]


@pytest.mark.parametrize(
    ("sql", "text", "is_loss"),
    [
        ("ALTER TABLE job ADD note TEXT", "job: + note", False),
        ('alter table "job" add column `note` TEXT', "job: + note", False),
        ("ALTER TABLE job DROP COLUMN note", "job: - note", True),
        ("ALTER TABLE job RENAME TO task", "job: renamed to task", False),
        ("ALTER TABLE job RENAME COLUMN a TO b", "job: a renamed to b", False),
        ("CREATE TABLE IF NOT EXISTS run (id TEXT)", "run: new table", False),
        ("CREATE UNIQUE INDEX by_state ON job (state)", "job: index by_state", False),
        ("DROP TABLE IF EXISTS run", "run: table removed", True),
        ("UPDATE job SET a = 1 WHERE a = 2", "job: rows changed", True),
        ("DELETE FROM job", "job: rows removed", True),
        ("INSERT OR IGNORE INTO job SELECT 1", "job: rows added", False),
        ("VACUUM", "VACUUM", True),
    ],
)
def test_each_kind_of_statement_has_its_words(sql, text, is_loss):
    (change,) = in_words([Migration(2, sql)])
    assert (change.text, change.is_loss) == (text, is_loss)


def test_several_statements_and_tables_are_all_named():
    sql = (
        "ALTER TABLE job ADD COLUMN a INT;\n ALTER TABLE job ADD COLUMN b INT; CREATE TABLE run(x)"
    )
    assert words(sql, "ALTER TABLE run ADD c") == ["job: + a, + b", "run: new table, + c"]


def test_unknown_sql_is_shown_as_it_is_and_cut_with_a_mark():
    (text,) = words("WITH x AS (SELECT 1) " + "y" * 200)
    assert text.startswith("WITH x AS (SELECT 1) yyy")
    assert (len(text), text[-1]) == (60, "…")


@pytest.mark.parametrize("sql", ["", ";", " ;; "])
def test_nothing_is_said_of_no_statement(sql):
    assert words(sql) == []
