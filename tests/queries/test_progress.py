"""db.progress with a fake server that speaks the wire protocol."""

import socket
from types import SimpleNamespace
from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from opstasks.config.inspect import paths
from opstasks.config.values import VALUES, ValuesAnswer, ValuesRequest
from opstasks.core.command import Secret
from opstasks.core.errors import (
    CommandFailed,
    InvalidResponse,
    OpsError,
    Refused,
    TimedOut,
    Unreachable,
)
from opstasks.queries import mssql, progress
from tests import tds_server

DATABASE = "OpenCORONATempTables"


@pytest.fixture
def server():
    with tds_server.Server() as running:
        yield running


def url(server, password=tds_server.PASSWORD, scheme="mssql"):
    user, word = quote(tds_server.USER, safe=""), quote(password, safe="")
    return Secret(f"{scheme}://{user}:{word}@127.0.0.1:{server.port}/tpp")


def dial(address, port, timeout_s):
    return socket.create_connection((address, port), timeout_s)


def ask(server, query, timeout_s=20, **over):
    return mssql.ask(mssql.parse_url("K", url(server, **over)), query, dial, timeout_s)


def test_the_rows_of_temporary_tables_are_estimated(server):
    rows = ask(server, mssql.count_temp_rows("#tmp_1"))
    assert {mssql.table_name(name): count for name, count in rows} == {
        "#tmp_1": 1_234_567,
        "#tmp_12": 5,
    }
    assert [count for _, count in ask(server, mssql.count_temp_rows("tmp_12"))] == [5]
    assert ask(server, mssql.count_temp_rows("nosuch")) == []


def test_the_rows_of_a_table_are_counted(server):
    assert ask(server, mssql.count_rows(DATABASE, "DataExtract_ab")) == [(42,)]
    assert server.logins[-1] == (tds_server.USER, "opstasks")


@pytest.mark.parametrize("scheme", ["mssql", "mssql+pymssql", "mssql+pyodbc"])
def test_any_dialect_of_mssql_is_understood(server, scheme):
    assert ask(server, mssql.count_rows(DATABASE, "DataExtract_ab"), scheme=scheme) == [(42,)]


def test_an_error_of_the_server_is_shown_without_the_login(server):
    with pytest.raises(CommandFailed) as caught:
        ask(server, mssql.count_rows(DATABASE, "nosuch"))
    assert "Invalid object name 'nosuch'" in caught.value.tail
    assert tds_server.USER not in caught.value.tail


def test_a_rejected_login_shows_no_user_and_no_password(server):
    with pytest.raises(Refused) as caught:
        ask(server, "x", password="wrong-hunter2")
    shown = str(caught.value) + repr(caught.value.__dict__)
    assert tds_server.USER not in shown
    assert "hunter2" not in shown
    assert caught.value.__suppress_context__


def test_a_server_that_requires_encryption_is_refused(server):
    server.encryption = 3
    with pytest.raises(Refused, match="encryption"):
        ask(server, "x")
    assert server.logins == []


def test_a_redirection_outside_the_tunnel_is_not_followed(server):
    with tds_server.Server() as other:
        server.reroute = ("127.0.0.1", other.port)
        with pytest.raises(Refused, match="another server"):
            ask(server, mssql.count_rows(DATABASE, "DataExtract_ab"))
        assert other.logins == []


def test_a_query_that_takes_too_long_is_stopped(server):
    server.delay_s = 3
    with pytest.raises((TimedOut, Unreachable)):
        ask(server, mssql.count_rows(DATABASE, "DataExtract_ab"), timeout_s=0.5)


def test_an_answer_without_end_is_dropped(server):
    """A hostile host can be the database."""
    server.pause_s = 0
    with pytest.raises(InvalidResponse, match="more than"):
        ask(server, mssql.count_rows(DATABASE, "DataExtract_ab"))


@pytest.mark.timeout(20)
def test_an_answer_that_never_ends_is_stopped_in_time(server, monkeypatch):
    monkeypatch.setattr(mssql, "LOGIN_TIMEOUT_S", 2)
    server.pause_s = 0.1
    with pytest.raises((TimedOut, Unreachable)):
        ask(server, mssql.count_rows(DATABASE, "DataExtract_ab"), timeout_s=1)


def test_a_lost_connection_is_an_error():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        login = mssql.Login("127.0.0.1", listener.getsockname()[1], "d", Secret("u"), Secret("p"))

        def dial_and_break(address, port, timeout_s):
            connection = socket.create_connection((address, port), timeout_s)
            listener.accept()[0].close()
            return connection

        with pytest.raises(OpsError):
            mssql.ask(login, "x", dial_and_break, 2)


@pytest.mark.parametrize(
    "text",
    ["", "hunter2", "mssql://", "mssql://host/db", "mssql://u:hunter2@h:99999/x", "//u:hunter2@h"],
)
def test_an_invalid_url_is_refused_without_being_shown(text):
    with pytest.raises(Refused) as caught:
        mssql.parse_url("DEFAULT_DATABASE_URL", Secret(text))
    assert "hunter2" not in str(caught.value)


def test_another_kind_of_database_is_refused_by_name():
    with pytest.raises(Refused, match="its database is trino"):
        mssql.parse_url("K", Secret("trino://u:hunter2@h:1/x"))


def test_the_repr_of_a_login_hides_it():
    login = mssql.parse_url("K", Secret("mssql://user1:hunter2@host9/db"))
    assert repr(login) == "Login(***)"
    assert (login.address, login.port, login.database) == ("host9", 1433, "db")


# -- names -----------------------------------------------------------------------------------

HOSTILE = (
    *(
        "x'; DROP TABLE y; --",
        "x' OR '1'='1",
        "a]b",
        "[a]",
        "a.b.c",
        "..",
        ".",
        "a b",
        "",
        "#",
        "##a",
    ),
    *(
        "%",
        "a%",
        "a-b",
        "a;b",
        "a\nb",
        "a\0",
        "1a",
        "é",
        "a" * 200,
        "a\u2019b",
        "x'--",
        "/*",
        "$(id)",
    ),
)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_never_become_a_query(name):
    with pytest.raises(Refused):
        mssql.count_temp_rows(name or "#")
    if name != "a.b":
        with pytest.raises(Refused):
            mssql.count_rows(DATABASE, name)
    with pytest.raises(Refused):
        mssql.count_rows(name, "t")


@settings(max_examples=500, deadline=None)
@given(st.one_of(st.text(max_size=30), st.text("a_1.'];-# ", max_size=12)))
@example("_")
@example("a\n")
def test_any_text_is_refused_or_makes_one_of_the_two_queries(name):
    for build, shape in (
        (mssql.count_temp_rows, tds_server.ESTIMATE),
        (lambda text: mssql.count_rows(DATABASE, text), tds_server.COUNT),
    ):
        try:
            query = build(name)
        except Refused:
            continue
        assert shape.fullmatch(query)


@settings(deadline=None)
@given(st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,10}", fullmatch=True))
def test_an_underscore_matches_only_itself(name):
    pattern = tds_server.ESTIMATE.fullmatch(mssql.count_temp_rows(name))[1]
    assert tds_server.like(pattern, f"#{name}xyz")
    if "_" in name:
        assert not tds_server.like(pattern, "#" + name.replace("_", "~"))


@pytest.mark.parametrize(
    ("temp_table", "table", "database"),
    [
        ("", "", "default"),
        ("a", "b", "default"),
        ("a", "", "x; y"),
        ("a", "", "../x"),
        ("", "a'", "d"),
    ],
)
def test_wrong_usage_is_refused_before_any_host_is_asked(temp_table, table, database):
    with pytest.raises(Refused):
        progress.check_names(temp_table, table, database)


# -- with a host -----------------------------------------------------------------------------


def asked(host, database="DEFAULT"):
    files = paths(host.spec)
    return ValuesRequest(files, (f"{database}_DATABASE_URL", "TEMP_DATABASE_NAME"))


def connected(host, monkeypatch):
    """Let the host connect to the test server."""
    monkeypatch.setattr(type(host), "transport", SimpleNamespace(dial=dial))


def test_a_table_is_counted_with_the_login_and_database_of_the_host(fake_host, monkeypatch, server):
    host = fake_host()
    connected(host, monkeypatch)
    values = {"DEFAULT_DATABASE_URL": url(server), "TEMP_DATABASE_NAME": Secret(DATABASE)}
    host.expect(VALUES, asked(host), ValuesAnswer(values))
    host.expect(VALUES, asked(host), ValuesAnswer(values))
    found = progress.read_progress(host, "", "DataExtract_ab", "default", 20)
    assert found == [progress.TableProgress("DataExtract_ab", 42, False)]
    found = progress.read_progress(host, "tmp_1", "", "default", 20)
    assert found[0] == progress.TableProgress("#tmp_1", 1_234_567, True)


@pytest.mark.parametrize("values", [{}, {"INCLUDE_T1OO_DATABASE_URL": Secret("")}])
def test_a_database_that_is_not_configured_is_refused(fake_host, values):
    host = fake_host()
    host.expect(VALUES, asked(host, "INCLUDE_T1OO"), ValuesAnswer(values))
    with pytest.raises(Refused, match="INCLUDE_T1OO_DATABASE_URL is not set") as caught:
        progress.read_progress(host, "a", "", "include_t1oo", 20)
    assert caught.value.host == "tpp"


def test_a_missing_temporary_database_is_refused(fake_host, server):
    host = fake_host()
    host.expect(VALUES, asked(host), ValuesAnswer({"DEFAULT_DATABASE_URL": url(server)}))
    with pytest.raises(Refused, match="TEMP_DATABASE_NAME is not set") as caught:
        progress.read_progress(host, "", "t", "default", 20)
    assert caught.value.host == "tpp"
    assert server.logins == []


@pytest.mark.parametrize(
    "rows", [[], [()], [(None,)], [("many",)], [(-1,)], [(1,), (2,)], [(1, 2)]]
)
def test_an_invalid_count_is_an_invalid_response(rows):
    with pytest.raises(InvalidResponse):
        progress.progress_of(rows, "t")


@pytest.mark.parametrize("rows", [[("#a",)], [("#a", None)], [("#a", "7")], [("#a", -7)], [7]])
def test_an_invalid_estimate_is_an_invalid_response(rows):
    with pytest.raises(InvalidResponse):
        progress.progress_of(rows)
