"""``tinyqueue export``, and what takes the sample that it makes."""

import json

import numpy as np
import pytest
from balancing import BALANCES, FALLS, checkpoint, trained_run
from filming import frames_of, without_tensorflow

import tinyqueue as package


def manifest_of(folder):
    return json.loads((folder / "manifest.json").read_text())


@pytest.fixture
def pole(tinyqueue, tmp_path):
    """A sample of a policy that balances."""
    run = trained_run(tmp_path / "runs")
    said = tinyqueue("export", run, "--out", "samples/pole", "-n", 3)
    assert said.code == 0, said.err
    return tmp_path / "samples" / "pole"


def test_a_run_becomes_three_files_with_its_results(tinyqueue, tmp_path):
    run = trained_run(
        tmp_path / "runs", checkpoint(1000, BALANCES, score=480.0), checkpoint(2000, FALLS)
    )

    said = tinyqueue("export", run, "--out", "samples/pole", "-n", 4, "--sample", "--best")

    assert said.code == 0, said.err
    assert "greedy: return 500.0 ± 0.0 over 4 games" in said.out
    assert "CartPole-v1 at 1,000 env steps" in said.out
    folder = tmp_path / "samples" / "pole"
    assert sorted(path.name for path in folder.iterdir()) == [
        "manifest.json",
        "policy.onnx",
        "weights.npz",
    ]
    manifest = manifest_of(folder)
    assert (manifest["env_steps"], manifest["version"]) == (1000, 10)
    assert [(each["policy"], each["games"]) for each in manifest["results"]] == [
        ("greedy", 4),
        ("sampled", 4),
    ]
    assert manifest["results"][0]["returns"] == [500.0] * 4
    assert [path.name for path in folder.parent.iterdir()] == ["pole"]


def test_a_program_plays_a_sample(pole):
    learned = package.load(pole)

    assert (learned.env_steps, learned.version) == (1000, 10)
    assert learned.act(np.array([0.0, 0.0, 0.1, 0.5]))[0] == 1


@pytest.mark.integration
def test_a_sample_is_evaluated_and_filmed_without_tensorflow(pole, tmp_path):
    evaluated = without_tensorflow("evaluate", pole, "-n", 3, "--json", cwd=tmp_path)
    filmed = without_tensorflow("record", pole, "-n", 1, "--json", cwd=tmp_path)

    assert evaluated["mean"] == 500.0
    (game,) = filmed["games"]
    assert game["return"] == 500.0
    assert len(frames_of(tmp_path / game["files"][0])) == 501


@pytest.mark.integration
def test_a_trained_sample_plays_at_the_level_of_its_manifest(tinyqueue, tmp_path):
    # Given a network that was trained for a few seconds
    trained = tinyqueue("train", "CartPole-v1", "--serial", "--max-env-steps", 20_000, "--json")
    run = json.loads(trained.out)["run_directory"]
    size = tinyqueue("export", run, "--out", "samples/pole", "-n", 3)
    assert size.code == 0, size.err
    manifest = manifest_of(tmp_path / "samples" / "pole")

    # When its sample plays the same three games elsewhere
    played = without_tensorflow("evaluate", "samples/pole", "-n", 3, "--json", cwd=tmp_path)

    # Then it plays them as the manifest says, and well
    (result,) = manifest["results"]
    assert played["mean"] == result["mean"] > 50
    assert played["mean_length"] == result["mean_length"]
    assert (manifest["algorithm"], manifest["model"]) == ("impala", "mlp")


def test_rounding_is_told_from_the_weights_of_the_run(tinyqueue, tmp_path):
    run = trained_run(tmp_path / "runs")
    tinyqueue("export", run, "--out", "samples/pole", "-n", 1)

    whole, half = package.load(run), package.load(tmp_path / "samples" / "pole")

    observation = {"": np.array([[1.0, 0, 0, 0]], np.float32)}
    logits = [
        learned.runner.run(observation, {})[0]["logits"][0, 1].item() for learned in (whole, half)
    ]
    assert logits == [pytest.approx(0.1), 0.0999755859375]
    assert logits[0] != logits[1]


@pytest.mark.parametrize("command", ["evaluate", "record"])
@pytest.mark.parametrize("name", ["policy.onnx", "weights.npz"])
def test_an_altered_sample_is_refused(tinyqueue, pole, command, name):
    with (pole / name).open("ab") as file:
        file.write(b"!")

    refused = tinyqueue(command, pole)

    assert refused.code == 1
    assert f"{name} (" in refused.err
    assert "incomplete or was altered" in refused.err


def test_a_sample_of_a_later_spec_is_refused(tinyqueue, pole):
    manifest = manifest_of(pole)
    manifest["spec"]["hologram"] = True
    (pole / "manifest.json").write_text(json.dumps(manifest))

    refused = tinyqueue("evaluate", pole)

    assert refused.code == 1
    assert "its spec is not one that this tinyqueue can play" in refused.err
    assert "unknown key 'spec.hologram'. Use" in refused.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("evaluate", "--best"), "it holds one policy and no checkpoints to choose from"),
        (("record", "--checkpoints"), "it holds one policy and no checkpoints"),
        (("export", "--out", "other"), "is already a sample. Give a run directory."),
    ],
)
def test_a_sample_has_no_checkpoints(tinyqueue, pole, words, said):
    refused = tinyqueue(words[0], pole, *words[1:])

    assert refused.code == 1
    assert said in refused.err


def test_a_folder_that_is_there_is_left_alone(tinyqueue, tmp_path):
    run = trained_run(tmp_path / "runs")
    (tmp_path / "samples" / "pole").mkdir(parents=True)

    refused = tinyqueue("export", run, "--out", "samples/pole")

    assert refused.code == 1
    assert "samples/pole already exists" in refused.err
    assert list((tmp_path / "samples" / "pole").iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(tinyqueue, tmp_path):
    run = trained_run(tmp_path / "runs")
    (tmp_path / "samples").write_text("a file")

    refused = tinyqueue("export", run, "--out", "samples/pole", "-n", 1)

    assert refused.code == 1
    assert "the sample cannot be written to samples/pole" in refused.err
