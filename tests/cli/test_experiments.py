"""From what a person types to an experiment and its run directory."""

import pytest

from tinyqueue.algorithms.r2d2 import R2d2Config
from tinyqueue.cli.experiments import (
    as_trained,
    chosen_for,
    configured,
    find_document,
    new_run,
    open_run,
)
from tinyqueue.errors import ConfigError, UnknownNameError
from tinyqueue.run.run_directory import RunDirectory

POLE = {"name": "pole", "environment": {"id": "CartPole-v1"}}


@pytest.mark.parametrize(
    ("target", "environment", "source"),
    [
        ("cartpole-a3c", "CartPole-v1", "preset cartpole-a3c"),
        ("CartPole-v1", "CartPole-v1", "preset cartpole-impala"),
        ("Acrobot-v1", "Acrobot-v1", "preset acrobot-rainbow-lite"),
        ("Pendulum-v1", "Pendulum-v1", "preset pendulum-ppo"),
        ("FrozenLake8x8-v1", "FrozenLake8x8-v1", "documented defaults, since it has no preset"),
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


@pytest.mark.parametrize("algorithm", [{}, {"algorithm": {"name": "impala"}}])
def test_a_run_that_cannot_be_read_any_more_has_still_been_trained(tmp_path, algorithm):
    experiment = configured({**POLE, **algorithm})

    assert as_trained(experiment, tmp_path / "gone") == experiment


def test_a_run_tells_where_it_was_made(tmp_path):
    run, _ = new_run(tmp_path, configured({**POLE, "seed": 4}))
    info = run.info()
    run.close()

    assert info["seed"] == 4
    assert info["versions"]["tinyqueue"] == "0.1.0"
    assert {"host", "python", "platform"} <= set(info)


def test_a_run_tells_what_its_environment_was_found_with(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "envs")
    run, _ = new_run(tmp_path, configured(POLE), ("json",))
    info = run.info()
    run.close()

    assert (info["environment_modules"], info["pythonpath"]) == (["json"], "envs")


def test_a_run_of_an_unknown_environment_is_not_made(tmp_path):
    with pytest.raises(UnknownNameError):
        new_run(tmp_path, configured({"environment": {"id": "CartPool-v1"}}))

    assert list(tmp_path.iterdir()) == []


def test_modules_that_register_environments_are_imported_first(tmp_path):
    with pytest.raises(ConfigError, match="no_such_module"):
        new_run(tmp_path, configured(POLE), ("no_such_module",))


def test_a_run_is_opened_with_changes(tmp_path):
    new_run(tmp_path, configured(POLE))[0].close()

    run, experiment, older = open_run(tmp_path / "pole" / "1", max_env_steps=7)
    run.close()

    assert experiment.stop.max_env_steps == 7
    assert older == ""


def test_a_run_of_another_version_is_opened_with_todays_defaults_and_what_differs_is_said(tmp_path):
    document = configured(POLE).document()
    del document["session"]["codec"]
    document["learner"]["of_before"] = 3
    RunDirectory.create(tmp_path, document, {}).close()

    run, experiment, older = open_run(tmp_path / "pole" / "1")
    run.close()

    assert experiment.document() == configured(POLE).document()
    assert older == (
        'settings new since then are at their defaults: session.codec = "none"; '
        "settings that no longer exist are left out: learner.of_before"
    )


def test_a_key_that_a_person_typed_for_a_resumed_run_is_still_an_error(tmp_path):
    new_run(tmp_path, configured(POLE))[0].close()

    with pytest.raises(UnknownNameError, match="of_before"):
        open_run(tmp_path / "pole" / "1", assignments=("learner.of_before=3",))


@pytest.mark.parametrize("target", ["CartPole-v1", "cartpole-impala", "cartpole-ppo"])
def test_another_algorithm_is_that_of_the_preset_which_has_it(target):
    assignments = ("algorithm.name=dqn",)

    document, said = chosen_for(*find_document(target), assignments)

    assert configured(document, assignments) == configured(find_document("cartpole-dqn")[0])
    assert said == "preset cartpole-dqn, since it trains this environment with dqn"


@pytest.mark.parametrize(
    ("target", "algorithm", "preset"),
    [
        ("Pendulum-v1", "sac", "pendulum-sac"),
        ("pendulum-sac", "ppo", "pendulum-ppo"),
        ("LunarLander-v3", "apex", "lunarlander-apex"),
        ("lunarlander-ppo", "pqn", "lunarlander-pqn"),
    ],
)
def test_how_observations_are_normalised_makes_no_other_environment(target, algorithm, preset):
    assignments = (f"algorithm.name={algorithm}",)

    document, said = chosen_for(*find_document(target), assignments)

    assert said.startswith(f"preset {preset}, ")
    assert configured(document, assignments) == configured(find_document(preset)[0])


def test_another_algorithm_does_not_inherit_how_the_former_one_normalised():
    assignments = ("algorithm.name=impala",)

    document, _ = chosen_for(*find_document("pendulum-ppo"), assignments)

    assert not configured(document, assignments).environment.normalise_rewards


def test_without_such_a_preset_another_algorithm_begins_from_its_own_defaults():
    assignments = ("algorithm.name=r2d2", "algorithm.gamma=0.5")

    document, said = chosen_for(*find_document("cartpole-dqn"), assignments)
    experiment = configured(document, assignments)

    assert experiment.algorithm == R2d2Config(gamma=0.5)
    assert experiment.name == "cartpole-r2d2"
    assert "its settings algorithm.gamma, algorithm.n_step" in said
    assert said.endswith("are left out: r2d2 has its own defaults")


def test_a_key_that_a_person_typed_and_the_algorithm_does_not_have_is_still_an_error():
    assignments = ("algorithm.name=dqn", "algorithm.rho_clip=2")
    document, _ = chosen_for(*find_document("cartpole-impala"), assignments)

    with pytest.raises(UnknownNameError, match="rho_clip"):
        configured(document, assignments)


def test_a_home_folder_is_found_where_no_shell_has_seen_it(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "pole.toml").write_text('name = "pole"\n')

    assert find_document("~/pole.toml") == ({"name": "pole"}, str(tmp_path / "pole.toml"))


def test_a_run_whose_experiment_cannot_be_used_is_closed_again(tmp_path):
    document = {**POLE, "algorithm": {"name": "of-another-version"}}
    RunDirectory.create(tmp_path, document, {}).close()

    with pytest.raises(UnknownNameError, match="of-another-version"):
        open_run(tmp_path / "pole" / "1")

    RunDirectory.open(tmp_path / "pole" / "1").close()


def test_a_slip_in_a_presets_name_is_told():
    with pytest.raises(UnknownNameError, match="did you mean 'cartpole-dqn'"):
        find_document("cartpole-dqm")


@pytest.mark.parametrize(
    ("target", "command"),
    [
        ("snake.py", " tinyqueue train snake:ID."),
        ("./snake.py", " tinyqueue train snake:ID."),
        ("lib/snake.py", " PYTHONPATH=lib tinyqueue train snake:ID."),
        ("a b/snake.py", " PYTHONPATH='a b' tinyqueue train snake:ID."),
        ("my-snake.py", "rename the file first"),
        ("x" * 300 + ".py", "is Python code"),
    ],
)
def test_a_python_file_is_told_how_to_be_named(target, command):
    with pytest.raises(ConfigError, match="is Python code") as raised:
        find_document(target)
    assert command in str(raised.value)
