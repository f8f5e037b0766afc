"""rsync: a copy that leaves no partial file under a final name when it is interrupted."""

from __future__ import annotations

# For new files and directories: Level 4 files are for the service account and the reviewers.
MODES = "D0750,F0640"


def careful_copy(source: str, target: str, temp_dir: str, leave_out: tuple[str, ...]) -> list[str]:
    """The arguments that copy what is newer in `source` to `target`, and delete nothing.

    Unlike ``rsync -auP`` it is safe to interrupt: -P keeps a partial file under its final name
    with the time of the interruption, and -u then takes it for newer than the source, for good.
    Here a file is written to `temp_dir`, on the same file system, and renamed when it is complete.

    Of what -a keeps only the times are kept. Links, devices and pipes are left out: a link into
    the high-privacy tree would hand it on. Owners and modes are those of the mount (everything
    for everyone, on a Windows drive): what is new gets `MODES`, what is there keeps its own.
    The list of what else to leave out is read from standard input, ended by NUL bytes.
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
