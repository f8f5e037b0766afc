"""rsync: a copy that leaves no partial file under a final name when it is interrupted."""

from __future__ import annotations

# For new files and directories: Level 4 files are for the service account and the reviewers.
MODES = "D0750,F0640"


def careful_copy(source: str, target: str, temp_dir: str, leave_out: tuple[str, ...]) -> list[str]:
    """The arguments that copy newer files from `source` to `target`, and delete nothing.

    Unlike ``rsync -auP`` it is safe to interrupt: -P keeps a partial file under its final name
    with the time of the interruption, and -u then always treats it as newer than the source.
    Here a file is written to `temp_dir`, on the same file system, and renamed when complete.

    Unlike with -a, only the times are kept. Links, devices and pipes are left out: a link into
    the high-privacy tree would expose it. Owners and modes of the source are those of its mount
    (full access for everyone on a Windows drive). So new files get `MODES`; existing files keep
    theirs. More paths to leave out are read from standard input, each ended by a NUL byte.
    """
    return [
        "rsync",
        "--recursive",
        "--times",
        "--omit-dir-times",
        "--update",
        "--no-partial",
        f"--chmod={MODES}",
        f"--temp-dir={temp_dir}",
        "--out-format=%i %l %n",
        "--from0",
        *(f"--exclude={pattern}" for pattern in leave_out),
        "--exclude-from=-",
        "--",
        f"{source.rstrip('/')}/",
        f"{target.rstrip('/')}/",
    ]
