"""Names of films: always new ones."""

import pytest

from tinyqueue.errors import FilmError
from tinyqueue.film.files import draft_folder, publish


def drafts(folder, *suffixes):
    folder.mkdir(exist_ok=True)
    made = [folder / f"film{suffix}" for suffix in suffixes]
    for path in made:
        path.write_text("new")
    return made


def test_numbers_go_on_after_those_that_are_there(tmp_path):
    (tmp_path / "pole-1.mp4").write_text("old")
    (tmp_path / "pole-2.gif").write_text("old")

    alone = publish(drafts(tmp_path / "a", ".mp4"), tmp_path, "pole")
    both = publish(drafts(tmp_path / "b", ".mp4", ".gif"), tmp_path, "pole")

    assert [path.name for path in alone] == ["pole-2.mp4"]
    # 2 is taken as well, by a film and by a GIF of another one.
    assert [path.name for path in both] == ["pole-3.mp4", "pole-3.gif"]
    assert (tmp_path / "pole-1.mp4").read_text() == "old"
    assert (tmp_path / "pole-2.gif").read_text() == "old"
    assert both[1].read_text() == "new"


def test_a_number_of_which_one_file_is_taken_is_left_as_it_was(tmp_path):
    (tmp_path / "pole-1.gif").write_text("old")

    publish(drafts(tmp_path / "a", ".mp4", ".gif"), tmp_path, "pole")

    assert sorted(path.name for path in tmp_path.glob("*.*")) == [
        "pole-1.gif",
        "pole-2.gif",
        "pole-2.mp4",
    ]


def test_nothing_is_left_of_a_film_that_was_not_made(tmp_path):
    with draft_folder(tmp_path / "new" / "records") as draft:
        drafts(draft, ".mp4")

    assert not (tmp_path / "new" / "records").exists()


def test_a_folder_that_was_there_stays(tmp_path):
    with draft_folder(tmp_path) as draft:
        assert draft.parent == tmp_path

    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "records").write_text("a file")

    with (
        pytest.raises(FilmError, match=r"records: .*Give another --out"),
        draft_folder(tmp_path / "records"),
    ):
        pass

    with pytest.raises(FilmError, match=r"moved to .*pole-1.mp4"):
        publish(drafts(tmp_path / "a", ".mp4"), tmp_path / "gone", "pole")
