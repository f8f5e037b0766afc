"""doctor on a real host: it reports each problem with a hint, and changes nothing."""

import json

import pytest

from tests.look import until

pytestmark = [pytest.mark.sandbox, pytest.mark.hosts(1)]
HOME = "/home/opensafely"
HOLD = "/srv/medium_privacy/.opstasks-removed"


@pytest.fixture
def here(look):
    host = look("sandbox-1")
    host.sh("systemctl stop jobrunner; systemctl reset-failed jobrunner || true")
    host.sh("systemctl start jobrunner")
    return host


def doctor(inv, code, hosts="sandbox-1"):
    done = inv("-H", hosts, "--json", "doctor")
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return {
        check["name"]: check for check in json.loads(done.stdout)["hosts"][hosts]["value"]["checks"]
    }


def findings(checks):
    return {name for name, check in checks.items() if not check["good"]}


def test_a_managed_host_has_no_problems_and_doctor_changes_nothing(here, inv):
    state = f"find /etc {HOME} /srv /var/lib/opstasks -xdev -type f -newer /tmp/mark | grep -v -e"
    # Its first start writes byte code.
    now = "_SYSTEMD_INVOCATION_ID=$(systemctl show -p InvocationID --value jobrunner)"
    until(lambda: "run loop started" in here.sh(f"journalctl -o cat {now}"), "it is up")
    here.sh("touch /tmp/mark; sleep 1")
    assert findings(doctor(inv, 0)) == set()
    assert here.sh(f"{state} sqlite -e /srv/sandbox || true") == ""


def test_each_problem_is_found_with_its_hint_until_it_is_fixed(here, inv):
    config, secrets = f"{HOME}/config/load-env", f"{HOME}/config/02_secrets.env"
    here.sh(f"mv {config} {config}.away; chmod 0644 {secrets}; systemctl stop jobrunner")
    here.sh("mv /etc/sudoers.d/opstasks-jobrunner /root/; systemctl disable -q jobrunner")
    here.sh(f"mkdir {HOLD}; touch {HOLD}/x-1; chown opensafely: {HOLD}")
    kept = f"{HOME}/opstasks/kept"
    here.sh(f"mkdir {kept}")
    try:
        checks = doctor(inv, 1)
        assert findings(checks) == {
            config,
            secrets,
            "sudo start",
            "sudo stop",
            "sudo restart",
            "sudo reset-failed",
            "unit jobrunner",
            "starts with the host",
            "removed files",
            kept,
        }
        assert all(check["hint"] for check in checks.values() if not check["good"])
        done = inv("-H", "sandbox-1", "doctor")
        lines = done.stdout.splitlines()
        assert sum("  next: " in line for line in lines) == 10
        assert "checks ok" in lines[-1]
        assert done.stderr == ""
    finally:
        here.sh(f"rm -rf {HOLD}; rmdir {kept}")
        here.sh("mv /root/opstasks-jobrunner /etc/sudoers.d/; systemctl enable -q jobrunner")
        here.sh(f"mv {config}.away {config}; chmod 0600 {secrets}; systemctl start jobrunner")
    assert findings(doctor(inv, 0)) == set()


def test_a_closed_checkout_is_opened_by_its_hint(here, inv):
    git = f"{HOME}/jobrunner/code/.git"
    mode = here.sh(f"stat -c %a {git}").strip()
    here.sh(f"chmod 0600 {git}")
    try:
        found = doctor(inv, 1)[git]
        assert (found["text"], found["good"]) == ("opensafely may not read it", False)
        here.sh(found["hint"].removeprefix("as root: "))
        assert findings(doctor(inv, 0)) == set()
    finally:
        here.sh(f"chmod {mode} {git}")


def test_docker_that_does_not_answer_is_found_with_its_message(here, inv):
    here.sh("mv /var/run/docker.sock /var/run/docker.sock.away")
    try:
        checks = doctor(inv, 1)
    finally:
        here.sh("mv /var/run/docker.sock.away /var/run/docker.sock")
    assert findings(checks) == {"docker"}
    assert "docker does not answer: [Errno 2]" in checks["docker"]["text"]
    assert "in the group docker?" in checks["docker"]["hint"]
    assert doctor(inv, 0)["docker"]["text"].startswith("answers, API version 1.")
