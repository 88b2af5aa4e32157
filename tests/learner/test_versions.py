from tinyqueue.learner.run_directory import RunDirectory
from tinyqueue.learner.versions import Versions


def test_versions_rise_by_one_across_blocks_and_never_return(tmp_path):
    run = RunDirectory.create(tmp_path, {"name": "pole"}, {})
    versions = Versions(run)
    assert [versions.next() for _ in range(2001)] == list(range(2001))
    assert Versions(run).next() == 3000
    run.close()


def test_versions_start_above_the_head_in_the_store(tmp_path):
    run = RunDirectory.create(tmp_path, {"name": "pole"}, {})
    assert Versions(run, at_least=778).next() == 778
    run.close()
    # The store was emptied: its head is gone, and the run directory remembers.
    again = RunDirectory.open(run.path)
    assert Versions(again, at_least=0).next() == 1778
    again.close()
