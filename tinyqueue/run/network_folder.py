"""Noticing that a folder is on another machine, where a run is not safe."""

from __future__ import annotations

import re
from pathlib import Path

KINDS = frozenset(
    {
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "ncpfs",
        "afs",
        "9p",
        "vboxsf",
        "prl_fs",
        "drvfs",
        "lustre",
        "beegfs",
        "gpfs",
        "glusterfs",
        "fuse.glusterfs",
        "fuse.sshfs",
        "fuse.rclone",
        "fuse.s3fs",
        "fuse.gcsfuse",
        "fuse.smbnetfs",
    }
)
"""Types of file systems that other machines may write to, or that promise less than a disk."""
_MOUNTS = Path("/proc/self/mounts")
_OCTAL = re.compile(r"\\([0-7]{3})")


def network_advice(folder: Path, mounts: Path = _MOUNTS) -> str:
    """What to know of a run's folder if it is on the network; empty if it is not, or not known.

    A run in such a folder mostly works, so this is no refusal. But SQLite shares memory between
    those that read and write ``sessions.db``, which needs one machine; locks may be granted
    twice; and a rename may be seen before what was written.

    Args:
        folder: The run directory, or where it will be.
        mounts: The system's table of mounted file systems.
    """
    kind = _kind(folder, mounts)
    if kind not in KINDS:
        return ""
    return (
        f"{folder} is on a network file system ({kind}). Locks and renames are not reliable there, "
        "so that two learners could train this run at once, and sessions.db or a checkpoint could "
        "be damaged. Put runs on a disk of this machine (--runs-dir, or TINYQUEUE_RUNS_DIR), and "
        "copy those that have ended"
    )


def _kind(folder: Path, mounts: Path) -> str:
    """The type of the file system that holds a folder; empty if it is not known."""
    try:
        table = mounts.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return ""
    path, found, kind = folder.absolute().resolve(), -1, ""
    for line in table:
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = Path(_OCTAL.sub(lambda match: chr(int(match[1], 8)), fields[1]))
        # The last of several mounts at one point is the one that is seen.
        if len(point.parts) >= found and path.is_relative_to(point):
            found, kind = len(point.parts), fields[2]
    return kind
