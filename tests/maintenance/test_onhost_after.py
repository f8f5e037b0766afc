"""The facts of the checklist, and reading a host's records."""

import json
import time
from pathlib import Path

import pytest

from opstasks.maintenance.onhost import after, file_systems, read, units
from opstasks.maintenance.onhost.records import Pause, item_of, pause_path
from opstasks.maintenance.onhost.write import write_item
from opstasks.onhost import mounts
from opstasks.onhost.json_files import write_json
from opstasks.onhost.protocol import HostFailure
from tests.maintenance.onhost_help import OLD, add_job, make_record, request_of, set_flag

FSTAB = """# a comment
/dev/vda1 / ext4 defaults 0 1
//srv/share /e cifs rw,vers=3.0 0 0
/dev/vdb /mnt/x ext4 rw,noauto 0 0
/dev/vdc none swap sw 0 0

broken line
"""


@pytest.fixture
def kernel_mounts(tmp_path, monkeypatch):
    """The kernel's table of mounts: `kernel_mounts(text)`."""
    monkeypatch.setattr(file_systems, "Path", lambda _: tmp_path / "mounts")
    return (tmp_path / "mounts").write_text


def test_the_mounts_of_a_boot_are_read_from_fstab():
    assert file_systems.boot_mounts(FSTAB) == ["/", "/e"]


def test_temporary_mounts_are_left_out(kernel_mounts):
    rows = ["/dev/vda1 / ext4 rw 0 0", "/dev/loop3 /snap/core20/1974 squashfs ro 0 0"]
    rows += ["nas:/e /e nfs rw 0 0", "/dev/loop4 /run/x squashfs ro 0 0", "proc /proc proc rw 0 0"]
    kernel_mounts("\n".join(rows))
    assert file_systems.lasting_mounts() == ["/", "/e"]


def test_a_mount_with_a_space_in_its_name_is_the_same_everywhere(kernel_mounts):
    fstab = "//srv/x /mnt/with\\040blank cifs rw 0 0\n"
    kernel_mounts(fstab)
    there = mounts.mount_points("1 0 0:50 / /mnt/with\\040blank rw - cifs //srv/x rw\n")
    assert file_systems.boot_mounts(fstab) == file_systems.lasting_mounts() == there
    assert there == ["/mnt/with blank"]


def test_a_mount_whose_name_is_not_utf_8_is_the_same_in_every_table(tmp_path, kernel_mounts):
    fstab = tmp_path / "mounts"
    fstab.write_bytes(b"//srv/x /mnt/\xe9 cifs rw 0 0\n")
    info = b"1 0 0:50 / /mnt/\xe9 rw - cifs //srv/x rw\n".decode("utf-8", "surrogateescape")
    there = mounts.mount_points(info)
    assert file_systems.boot_mounts(after.text_of(fstab)) == there
    assert file_systems.lasting_mounts() == there
    assert json.loads(json.dumps(there)) == there


def test_the_boot_was_before_now_and_not_years_ago():
    assert 0 < time.time() - after.booted_at() < 10 * 365 * 86400


def test_the_requeued_jobs_are_read_and_a_missing_one_is_left_out(site, database):
    add_job(database, "a", "pending", "waiting_on_reboot")
    with database:
        database.execute("INSERT INTO job VALUES ('b', NULL, NULL, NULL, NULL, NULL)")
    assert after.jobs(site, ["a", "b", "c"]) == {
        "a": {"state": "pending", "code": "waiting_on_reboot"},
        "b": {"state": "", "code": ""},
    }
    assert after.jobs(site, []) == {}


def test_an_unreadable_database_is_reported_with_the_other_facts(site, commands):
    for name in ("docker", "iptables"):
        commands(name, "exit 1")
    commands("systemctl", "echo ActiveState=active; echo SubState=running")
    found = after.main(request_of(site, sync_unit="x.timer", jobs=["a"]))
    assert "unable to open database" in found["error"]
    assert not found["has_docker"]
    assert found["network"] == {"name": "jobrunner-db", "exists": False, "is_isolated": False}
    assert found["service"] == {"load": "", "active": "active", "sub": "running", "enabled": ""}


@pytest.mark.parametrize(
    ("name", "rules", "network"),
    [
        ("db", "-A X -j ACCEPT\\n-A X -j REJECT", {"exists": True, "is_isolated": True}),
        ("db", "-A X -j ACCEPT", {"exists": True, "is_isolated": False}),
        ("db", "", {"exists": True, "is_isolated": False}),
        ("--format", "-j REJECT", {"exists": False, "is_isolated": True}),
    ],
)
def test_the_database_network_needs_its_firewall_rules(site, commands, name, rules, network):
    Path(site.config_dir, "load-env").write_text(f"DATABASE_ACCESS_NETWORK={name}\n")
    commands("docker", "exit 0")
    commands("iptables", f"printf -- '{rules}\\n'")
    assert after.network(site) == {"name": name, **network}


def test_a_unit_that_systemd_does_not_describe_is_empty():
    assert units.unit_of("") == units.HostUnit()
    assert units.unit_of("nonsense\nActiveState=active=x\n").active == "active=x"


# -- reading ---------------------------------------------------------------------------------


def read_all(site, with_flag=True):
    return read.main(request_of(site, with_flag=with_flag))


def test_work_that_ends_while_it_is_read_is_not_interrupted(site, database, monkeypatch):
    """Its unit is gone when units are read, so the record is read again after that."""
    make_record(site, step="verifying")

    def ask(names):
        write_item(site, OLD, outcome="ready")
        return {name: "inactive" for name in names}

    monkeypatch.setattr(read, "unit_states", ask)
    found = read_all(site)
    (item,) = map(item_of, found["items"])
    assert item.state(found["boot_id"], found["units"]) == "ready"


def test_the_units_of_unfinished_work_are_asked_for(site, database, commands, monkeypatch):
    monkeypatch.setattr(read, "unit_states", units.unit_states)
    commands("systemctl", "printf 'Id=a.timer\\nActiveState=active\\n\\nId=b\\nActiveState=x\\n'")
    assert read_all(site)["units"] == {}
    make_record(site)
    assert read_all(site)["units"] == {"a.timer": "active", "b": "x"}
    commands("systemctl", "echo no bus >&2; exit 1")
    with pytest.raises(HostFailure, match="cannot read the units"):
        read_all(site)


def test_the_flag_is_read_with_the_note_on_it(site, database):
    set_flag(database, "true", 100.0)
    write_json(pause_path(site.state_dir), {"who": "me", "flag_at": 100.0, "until_at": None}, 0o640)
    found = read_all(site)
    assert (found["flag_at"], found["flag_error"]) == (100.0, "")
    assert Pause(**found["note"]) == Pause(who="me", flag_at=100.0)
    assert read_all(site, with_flag=False)["flag_at"] == 0


def test_an_unreadable_database_is_reported(site):
    assert read_all(site)["flag_error"] == "the database does not exist"
    with open(site.database, "w") as file:
        file.write("not a database" * 100)
    assert "not a database" in read_all(site)["flag_error"]
