"""From what a person types to an experiment and its run directory."""

import pytest

from tinyqueue.cli.experiments import configured, find_document, new_run, open_run
from tinyqueue.errors import ConfigError, UnknownNameError
from tinyqueue.learner.run_directory import RunDirectory

POLE = {"name": "pole", "environment": {"id": "CartPole-v1"}}


@pytest.mark.parametrize(
    ("target", "environment", "source"),
    [
        ("cartpole-a3c", "CartPole-v1", "preset cartpole-a3c"),
        ("CartPole-v1", "CartPole-v1", "preset cartpole-impala"),
        ("Acrobot-v1", "Acrobot-v1", "preset acrobot-rainbow-lite"),
        ("MountainCar-v0", "MountainCar-v0", "documented defaults (there is no preset for it)"),
        (
            "ALE/Freeway-v5",
            "ALE/Freeway-v5",
            "the settings of preset pong-ppo (this game has none)",
        ),
    ],
)
def test_a_target_is_a_preset_or_an_environment(target, environment, source):
    document, said = find_document(target)

    assert document["environment"]["id"] == environment
    assert said == source


def test_a_game_without_a_preset_is_seen_by_convolutions_and_comes_to_an_end():
    experiment = configured(find_document("ALE/Freeway-v5")[0])

    assert experiment.name == "freeway-ppo"
    assert experiment.model_name == "shallow"
    assert experiment.stop.at_return is None
    assert experiment.stop.max_env_steps == 10_000_000


def test_a_target_may_be_a_file(tmp_path):
    path = tmp_path / "pole.toml"
    path.write_text('name = "pole"')

    assert find_document(str(path)) == ({"name": "pole"}, str(path))


def test_options_go_over_assignments_and_these_over_the_document():
    document = {**POLE, "seed": 1, "stop": {"at_return": 50.0, "max_env_steps": 10}}

    experiment = configured(
        document, ("seed=2", "stop.max_env_steps=20"), seed=3, stop_at_return=60.0
    )

    assert experiment.seed == 3
    assert (experiment.stop.at_return, experiment.stop.max_env_steps) == (60.0, 20)
    # The given document is as it was.
    assert document["stop"] == {"at_return": 50.0, "max_env_steps": 10}


def test_a_run_tells_where_it_was_made(tmp_path):
    run = new_run(tmp_path, configured({**POLE, "seed": 4}))
    info = run.info()
    run.close()

    assert info["seed"] == 4
    assert info["versions"]["tinyqueue"] == "0.1.0"
    assert {"host", "python", "platform"} <= set(info)


def test_a_run_of_an_unknown_environment_is_not_made(tmp_path):
    with pytest.raises(UnknownNameError):
        new_run(tmp_path, configured({"environment": {"id": "CartPool-v1"}}))

    assert list(tmp_path.iterdir()) == []


def test_modules_that_register_environments_are_imported_first(tmp_path):
    with pytest.raises(ConfigError, match="no_such_module"):
        new_run(tmp_path, configured(POLE), ("no_such_module",))


def test_a_run_is_opened_with_changes(tmp_path):
    new_run(tmp_path, configured(POLE)).close()

    run, experiment = open_run(tmp_path / "pole" / "1", max_env_steps=7)
    run.close()

    assert experiment.stop.max_env_steps == 7


def test_a_run_whose_experiment_cannot_be_used_is_closed_again(tmp_path):
    document = {**POLE, "algorithm": {"name": "of-another-version"}}
    RunDirectory.create(tmp_path, document, {}).close()

    with pytest.raises(UnknownNameError, match="of-another-version"):
        open_run(tmp_path / "pole" / "1")

    RunDirectory.open(tmp_path / "pole" / "1").close()


def test_a_slip_in_a_presets_name_is_told():
    with pytest.raises(UnknownNameError, match="did you mean 'cartpole-dqn'"):
        find_document("cartpole-dqm")
