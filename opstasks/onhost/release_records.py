"""Runs on the host: the records of releases, and which of them can be used.

`opstasks.deploy.onhost.record` writes them. All that changes the service reads them first.
"""

import errno
import json
from pathlib import Path
from typing import Any

from opstasks.onhost.folder_rights import Closed, closed
from opstasks.onhost.json_files import is_copy
from opstasks.onhost.protocol import HostRefusal
from opstasks.onhost.safe_files import read

Record = dict[str, Any]
# They tell where a release moves code and dependencies.
COMMITS = ("from_code", "to_code", "from_lib", "to_lib")
# Instead of a release: all of them.
ALL = ""
# Why a record cannot be used, besides what the system says: it is not JSON, or not complete.
DAMAGED = "it is damaged"


def read_all(state_dir: str) -> tuple[dict[str, Record], dict[str, Closed]]:
    """The records by release; and the releases whose record cannot be used, with place and reason.

    The release ALL stands for the folder: its place may be a folder above it. A record that cannot
    be used may be of an unfinished release.
    """
    folder = Path(state_dir, "releases")
    try:
        paths = [path for path in sorted(folder.iterdir()) if path.suffix == ".json"]
    except FileNotFoundError:
        return {}, {}
    except OSError as error:
        return {}, {ALL: closed(str(folder)) or Closed(str(folder), reason(error))}
    good: dict[str, Record] = {}
    bad: dict[str, Closed] = {}
    for path in paths:
        try:
            record = json.loads(read(str(path)))
        except FileNotFoundError:
            continue  # somebody has just removed it
        except OSError as error:
            bad[path.stem] = Closed(str(path), reason(error))
            continue
        except (ValueError, RecursionError):
            record = None
        if is_copy(path, record):
            continue
        if is_usable(record):
            good[path.stem] = record
        else:
            bad[path.stem] = Closed(str(path), DAMAGED)
    return good, bad


def reason(error: OSError) -> str:
    """Why a file cannot be read; a link, a folder or a pipe in its place is a damaged record."""
    is_other = error.errno in (None, errno.EISDIR, errno.ELOOP, errno.ENXIO)
    return DAMAGED if is_other else (error.strerror or str(error)).lower()


def is_usable(record: Any) -> bool:
    """Whether a record is of a release that has ended, or tells how to finish or undo it."""
    if not isinstance(record, dict):
        return False
    return is_text(record.get("outcome")) or all(is_text(record.get(key)) for key in COMMITS)


def is_text(value: Any) -> bool:
    """Whether a value is a text, and not an empty one."""
    return isinstance(value, str) and bool(value)


def refuse_unfinished(state_dir: str) -> None:
    """Raise HostRefusal if a release is unfinished, or may be: its record cannot be used."""
    good, bad = read_all(state_dir)
    for id, record in good.items():
        if not record.get("outcome"):
            raise HostRefusal(f"release {id} is unfinished: finish or undo it first")
    for id, what in bad.items():
        raise HostRefusal(f"{record_text(id)} cannot be read: {what.why}")


def record_text(id: str) -> str:
    """A record for people; `id` may be ALL."""
    return f"the record of release {id}" if id else "the folder of release records"
