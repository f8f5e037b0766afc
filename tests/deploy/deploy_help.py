"""What tests of deploy share."""

import time


def running_job(sandbox, host, look, action="long"):
    (job,) = sandbox.submit(host, action, "deploys")
    deadline = time.monotonic() + 60
    while look(host).jobs()[job]["status_code"] != "executing":
        assert time.monotonic() < deadline, look(host).jobs()[job]
        time.sleep(0.5)
    return job


def good(done):
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done
