"""How full a file system is: the percentage that `df` shows, the same in every task.

The blocks that are kept for root count as neither used nor free: for everybody else the disk is
full when the others are used. As df does, a part of a per cent counts as a whole one.
"""

import os


def used_percent(found: os.statvfs_result) -> int:
    """The percentage of blocks used; 0 where a file system does not say its size."""
    return share_percent(found.f_blocks - found.f_bfree, found.f_bavail)


def inodes_percent(found: os.statvfs_result) -> int:
    """The percentage of inodes used; 0 where a file system has no fixed number of them."""
    return share_percent(found.f_files - found.f_ffree, found.f_favail)


def share_percent(used: int, free: int) -> int:
    """How much of used and free together is used, rounded up.

    A network drive may report more free than there is: then nothing is used.
    """
    used, free = max(0, used), max(0, free)
    whole = used + free
    return -(-100 * used // whole) if whole else 0
