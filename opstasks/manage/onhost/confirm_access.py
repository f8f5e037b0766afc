"""Runs on the host as root: a fresh connection succeeded, so the old files are deleted."""

from typing import Any

from opstasks.manage.onhost import way_back


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Stop the timer and delete the old files; returns whether the change was still in place."""
    was_in_place = way_back.claim(request["folder"]) is not None
    way_back.stop_timer()
    way_back.forget(request["folder"])
    return {"was_in_place": was_in_place}
