"""What a change says at its end."""

from opstasks.core.errors import OpsError, Refused
from opstasks.core.result import FleetResult, HostResult
from opstasks.output.console import Console
from opstasks.output.summary import Summary, Told

TOLD = Told(
    lambda value: f"{value}, service up",
    lambda count: f"{count} hosts at v2",
    lambda hosts: f"inv -H {hosts} deploy.rollback",
)


def said(capsys, told, *items, **options):
    summary = Summary(Console(**options), [item.host for item in items], told)
    for item in items:
        summary.show(FleetResult([item]))
    summary.end(FleetResult(list(items)))
    return capsys.readouterr()


def test_each_host_has_a_line_and_the_last_one_undoes_it(capsys):
    shown = said(
        capsys,
        TOLD,
        HostResult("a", "changed", "v2", elapsed_s=19.4),
        HostResult("b", "changed", "v2", elapsed_s=4.1),
    )
    first, second, last = shown.out.splitlines()
    assert first == "[1/2] a  DONE  v2, service up  19.4s"
    assert second == "[2/2] b  DONE  v2, service up  4.1s"
    assert last.startswith("2 hosts at v2 in 0.")
    assert last.endswith("s.  Undo: inv -H a,b deploy.rollback")


def test_only_hosts_that_changed_are_undone(capsys):
    shown = said(
        capsys,
        TOLD,
        HostResult("a", "ok", "v2"),
        HostResult("b", "changed", "v2"),
        HostResult("c", "failed", error=OpsError("the disk is full", host="c")),
        HostResult("d", "not started"),
    )
    assert [line[:13] for line in shown.out.splitlines()[:3]] == [
        "[1/4] a  OK  ",
        "[2/4] b  DONE",
        "[3/4] c  FAIL",
    ]
    assert shown.out.splitlines()[3].endswith("Undo: inv -H b deploy.rollback")
    assert shown.err == "error  the disk is full (c)\nnot started: d\n"


def test_nothing_is_claimed_if_no_host_changed(capsys):
    error = Refused("locked", host="a")
    shown = said(capsys, TOLD, HostResult("a", "refused", error=error))
    assert "hosts at" not in shown.out and "Undo" not in shown.out


def test_a_change_without_an_undo_names_none(capsys):
    told = Told(TOLD.host, TOLD.whole)
    assert "Undo" not in said(capsys, told, HostResult("a", "changed", "v2")).out


def test_a_document_has_no_lines_beside_it(capsys):
    shown = said(capsys, TOLD, HostResult("a", "changed", "v2"), as_json=True)
    assert shown.out == shown.err == ""
