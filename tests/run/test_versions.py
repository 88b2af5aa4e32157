from itertools import pairwise

import pytest

from tinyqueue.errors import DiskFullError
from tinyqueue.run.versions import Versions


class Run:
    """Reserves blocks of ten; on a full disk, none."""

    def __init__(self):
        self.reserved = 0
        self.is_full = False

    def reserve_versions(self, at_least):
        if self.is_full:
            raise DiskFullError("no room")
        start = max(self.reserved, at_least)
        self.reserved = start + 10
        return range(start, start + 10)


def versions_of(run, at_least=0):
    return Versions(run, at_least)


def test_versions_rise_by_one_across_blocks():
    versions = versions_of(Run(), at_least=7)
    given = [versions.next() for _ in range(35)]
    assert given[0] == 7
    assert all(later == earlier + 1 for earlier, later in pairwise(given))


def test_every_version_was_reserved_before_it_is_given():
    run = Run()
    versions = versions_of(run)
    assert all(versions.next() < run.reserved for _ in range(35))


def test_half_a_block_is_left_when_the_disk_is_full_and_it_goes_on_with_room():
    run = Run()
    versions = versions_of(run)
    for _ in range(4):
        versions.next()
    run.is_full = True
    assert [versions.next() for _ in range(6)] == [4, 5, 6, 7, 8, 9]
    with pytest.raises(DiskFullError):
        versions.next()
    run.is_full = False
    assert [versions.next(), versions.next()] == [10, 11]
