"""Runs on the host: what a release's code needs and brings, before anything is changed."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from opstasks.deploy.onhost.checkout_facts import export
from opstasks.deploy.onhost.code_import import failed_import, harmless, steady, try_import
from opstasks.deploy.onhost.kept_imports import find, keep, key_of
from opstasks.onhost.environment import environment
from opstasks.onhost.protocol import HostFailure, Request

Checkout = dict[str, Any]


def code_facts(request: Request, code: Checkout, lib: Checkout) -> dict[str, Any]:
    """Whether the targets can be imported, their migrations, and missing configuration keys.

    Missing keys are those that the new code reads, the old code did not, and the host does not
    set. The import shows whether the code works without them: job-runner reads its configuration
    when it is imported.

    What an earlier import found is used if nothing is about to change: when both checkouts stay,
    or when the request says that it is only a preview. A deploy always imports the new code.

    A rollback (it fetches nothing) goes back to code that already ran as the service. If that needs
    more than a confined import gives it, it is imported as the service would.
    """
    env = environment(request["config_dir"])
    found = not_inspected("no commit was found")
    if closed := closed_file(request["config_dir"]):
        found = not_inspected(f"{closed} cannot be read")
    elif code["target"] and lib["target"]:
        given = harmless(env, request["config_dir"])
        ran = None if request["fetches"] else steady(env)
        found = known(request, code, lib, given) or fresh(request, code, lib, given, ran)
    missing: set[str] = set()
    if moves(code):
        missing = found["keys"] - keys_of(code["path"]) - set(env)
    return {
        "import_error": found["import_error"],
        "migrations": found["migrations"],
        "missing_keys": sorted(missing),
        "is_confined": found.get("is_confined", True),
        "not_inspected": found.get("not_inspected", ""),
    }


def closed_file(config_dir: str) -> str:
    """What this account may not read of the configuration; "" if there is nothing.

    Without its values the import would fail, and the release would be blamed.
    """
    top = Path(config_dir)
    places = [top, *sorted(top.glob("*.env")), top / "load-env"]
    closed = (path for path in places if os.path.lexists(path) and not os.access(path, os.R_OK))
    return str(next(closed, ""))


def moves(checkout: Checkout) -> bool:
    """Whether the target differs from what is in the checkout now."""
    return bool(checkout["target"]) and not stays(checkout)


def stays(checkout: Checkout) -> bool:
    """Whether the checkout is already its target, without changes by hand."""
    return bool(checkout["target"] == checkout["head"] != "" and not any(checkout["dirt"].values()))


def known(
    request: Request, code: Checkout, lib: Checkout, env: dict[str, str]
) -> dict[str, Any] | None:
    """The facts from an earlier import, if they may be used; None if there are none."""
    if not (request["preview"] or (stays(code) and stays(lib))):
        return None
    found = find(request["state_dir"], import_key(code, lib, env))
    if found is None or (moves(code) and found["keys"] is None):
        return None
    return {**found, "import_error": ""}


def import_key(code: Checkout, lib: Checkout, env: dict[str, str]) -> str:
    """The key of the import of both targets."""
    return key_of((code["target"], lib["target"]), env)


def fresh(
    request: Request,
    code: Checkout,
    lib: Checkout,
    env: dict[str, str],
    ran: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Import the targets now; a good result is kept.

    `ran` is the service's environment, with secrets, for targets that have run with it before.
    """
    try:
        with unpacked(request["state_dir"], (code, lib)) as (new_code, new_lib):
            found = imported(new_code, new_lib, env, ran, with_keys=moves(code))
    except (HostFailure, OSError) as error:
        # The present code must not be judged in place of the targets.
        return not_inspected(f"cannot unpack it in {request['state_dir']}: {words_of(error)}")
    if not found["import_error"]:
        keep(request["state_dir"], import_key(code, lib, env), found)
    return found


def words_of(error: Exception) -> str:
    """The reason of a failure."""
    if isinstance(error, HostFailure):
        return error.reason
    return (isinstance(error, OSError) and error.strerror) or str(error)


def imported(
    code: str,
    lib: str,
    env: dict[str, str],
    ran: dict[str, str] | None = None,
    *,
    with_keys: bool,
) -> dict[str, Any]:
    """The facts of code in a folder, with its dependencies in another one."""
    if not Path(code, "jobrunner").is_dir():
        return {**failed_import("there is no jobrunner package"), "keys": set()}
    found = try_import(code, lib, env)
    if found["import_error"] and ran is not None:
        found = {**try_import(code, lib, ran, confines=False), "is_confined": found["is_confined"]}
    return {**found, "keys": keys_of(code) if with_keys else None}


def keys_of(code: str) -> set[str]:
    """Names of the environment variables that the code in a folder reads."""
    from opstasks.deploy.onhost.code_keys import env_keys  # only where code moves

    return env_keys(code)


@contextlib.contextmanager
def unpacked(state_dir: str, checkouts: Sequence[Checkout]) -> Iterator[list[str]]:
    """Folders with the targets of code and dependencies: a checkout that stays, or a temporary one.

    Raises HostFailure and OSError when a target cannot be unpacked.
    """
    folders = [checkout["path"] for checkout in checkouts]
    with contextlib.ExitStack() as stack:
        if not all(map(stays, checkouts)):
            top = stack.enter_context(staging(state_dir))
            for place, checkout in enumerate(checkouts):
                if not stays(checkout):
                    folders[place] = str(Path(top, str(place)))
                    export(checkout["path"], checkout["target"], folders[place])
        yield folders


def staging(state_dir: str) -> contextlib.AbstractContextManager[str]:
    """A temporary folder of our own: two people may inspect at the same time. Raises OSError."""
    import tempfile  # only where something moves

    Path(state_dir).mkdir(mode=0o750, parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(dir=state_dir, prefix="staging-", ignore_cleanup_errors=True)


def not_inspected(reason: str) -> dict[str, Any]:
    """The facts of code that was not imported; its migrations are not known."""
    return {**failed_import(""), "keys": set(), "not_inspected": reason}
