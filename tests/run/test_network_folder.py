"""A run on a network file system is told so."""

from pathlib import Path

import pytest

from tinyqueue.run.network_folder import KINDS, network_advice

TABLE = """sysfs /sys sysfs rw 0 0
/dev/sda1 / ext4 rw 0 0
server:/home {home} {kind} rw,vers=4.2 0 0
/dev/sdb1 {home}/disk ext4 rw 0 0
broken
"""


@pytest.fixture
def mounts(tmp_path):
    def write(kind, name="home"):
        home = str(tmp_path / name).replace(" ", r"\040")
        table = tmp_path / "mounts"
        table.write_text(TABLE.format(home=home, kind=kind))
        return table

    return write


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("name", ["home", "my home"])
def test_a_run_on_a_network_file_system_is_told_where_to_go(tmp_path, mounts, kind, name):
    folder = tmp_path / name / "runs" / "pole" / "1"

    said = network_advice(folder, mounts(kind, name))

    assert str(folder) in said
    assert kind in said
    assert "TINYQUEUE_RUNS_DIR" in said


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "fuseblk"])
def test_a_disk_is_not_worth_a_word(tmp_path, mounts, kind):
    assert network_advice(tmp_path / "home" / "runs", mounts(kind)) == ""


def test_the_innermost_and_last_mount_counts(tmp_path, mounts):
    table = mounts("nfs4")

    assert network_advice(tmp_path / "home" / "disk" / "runs", table) == ""
    assert network_advice(tmp_path / "homes" / "runs", table) == ""

    table.write_text(f"{table.read_text()}/dev/sdc1 {tmp_path}/home ext4 rw 0 0\n")
    assert network_advice(tmp_path / "home" / "runs", table) == ""


def test_a_link_is_followed(tmp_path, mounts):
    (tmp_path / "home").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "home")

    assert "nfs4" in network_advice(tmp_path / "link" / "runs", mounts("nfs4"))


def test_a_system_without_such_a_table_is_not_asked():
    assert network_advice(Path("runs"), Path("/nowhere")) == ""
    assert network_advice(Path("runs")) == ""
