"""``tinyqueue presets``."""


def test_presets_are_listed_with_their_environments(tinyqueue):
    said = tinyqueue("presets")

    rows = {line.split()[0]: line.split()[1] for line in said.out.splitlines()}
    assert rows["cartpole-impala"] == rows["cartpole-a3c"] == "CartPole-v1"


def test_columns_stand_below_one_another(tinyqueue):
    lines = tinyqueue("presets").out.splitlines()

    assert len({line.index(line.split()[2]) for line in lines}) == 1
