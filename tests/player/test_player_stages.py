"""What a player keeps between tasks, and the runs and environments that it does not play."""

import functools
import hashlib
import time

import pytest
from meanwhile import meanwhile
from onnx import TensorProto, helper
from published_tasks import EPOCH, task

from tinyqueue.errors import EnvironmentFailedError, EnvironmentMismatchError, MessageError
from tinyqueue.player import open_stages
from tinyqueue.player import player as player_module
from tinyqueue.player.player import PlayTask
from tinyqueue.store import weights as weights_module
from tinyqueue.store.specs import SpecStore
from tinyqueue.wire.limits import Limits
from tinyqueue.wire.weights import decode_weights


def reading_graph(path):
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[16])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=path)
    node = helper.make_node("Identity", ["w"], ["output:logits"])
    output = helper.make_tensor_value_info("output:logits", TensorProto.FLOAT, [16])
    graph = helper.make_graph([node], "policy", [], [output], [tensor])
    return helper.make_model(graph, ir_version=9).SerializeToString()


def test_a_stage_goes_on_from_task_to_task(player, learners, broker):
    spec = learners.start()

    for name in ("t1", "t2", "t3"):
        player.play(task(spec, name))

    assert len({header.stage for header in broker.confirmed}) == 1
    assert [header.n for header in broker.confirmed] == list(range(len(broker.confirmed)))


def test_tasks_of_nobody_and_of_an_earlier_run_end_and_play_nothing(player, learners, broker):
    spec = learners.start()

    nobody = player.play(PlayTask("t1", "unheard-of", "a-run", 1, 5.0))
    earlier = player.play(PlayTask("t2", spec.experiment, "b-run", spec.version, 5.0))

    assert (nobody.ended, earlier.ended) == ("no learner", "other run")
    assert broker.offered == []


def test_a_new_spec_closes_the_stage(player, learners, broker):
    before = learners.start()
    player.play(task(before))
    after = learners.start(run="b-run", kwargs={"length": 9})

    player.play(task(after, "t2"))

    first, last = broker.confirmed[0], broker.confirmed[-1]
    assert (first.run, last.run) == ("a-run", "b-run")
    assert first.stage != last.stage
    assert last.spec_version == after.version
    assert broker.closed == 1


def test_a_task_of_a_spec_that_has_changed_plays_the_present_one(player, learners, broker):
    outdated = learners.start()
    present = learners.start(kwargs={"length": 9})

    player.play(task(outdated))

    assert {header.spec_version for header in broker.confirmed} == {present.version}


@pytest.mark.parametrize("experiments", [5, 16])
def test_experiments_in_turn_keep_their_stages(player, learners, broker, experiments):
    specs = [learners.start(experiment=f"maze-{i}") for i in range(experiments)]

    for spec in 2 * specs:
        player.play(task(spec, budget_s=0.05))

    assert len({header.stage for header in broker.confirmed}) == experiments


def test_tasks_of_an_ended_run_play_nothing_though_its_stage_is_open(player, learners, broker):
    old = learners.start()
    player.play(task(old))
    played = len(broker.offered)
    new = learners.start(run="b-run")
    time.sleep(0.5)

    began_s = time.monotonic()
    ended = {player.play(task(old, f"t{i}", budget_s=5.0)).ended for i in range(100)}

    assert ended == {"other run"}
    assert time.monotonic() - began_s < 5.0
    assert len(broker.offered) == played
    assert player.play(task(new)).ended == "budget"


def test_a_run_that_is_replaced_ends_in_the_middle_of_a_task(player, learners, broker):
    spec = learners.start()
    player.play(task(spec))

    began_s = time.monotonic()
    with meanwhile(0.3, learners.hold_lease, spec.experiment, "b-run"):
        report = player.play(task(spec, "t2", budget_s=60.0))

    assert report.ended == "other run"
    assert time.monotonic() - began_s < 30.0


def test_a_spec_and_weights_beyond_any_size_are_refused_with_a_sentence(
    player, learners, monkeypatch
):
    spec = learners.start()
    monkeypatch.setattr(player_module, "MOST_SPEC_BYTES", 100)
    with pytest.raises(MessageError, match=r"the spec of 'maze' has \d+ bytes"):
        player.play(task(spec))

    monkeypatch.undo()
    small = functools.partial(decode_weights, limits=Limits(body_bytes=50))
    monkeypatch.setattr(weights_module, "decode_weights", small)
    with pytest.raises(MessageError, match="bytes of weights; at most 50"):
        player.play(task(spec, budget_s=10.0))


def test_a_graph_that_reads_files_is_refused_and_never_loaded(player, learners, broker, tmp_path):
    (tmp_path / "secret").write_bytes(bytes(64))
    spec = learners.start()
    sha256 = hashlib.sha256(malicious := reading_graph(str(tmp_path / "secret"))).hexdigest()
    spec = spec.model_copy(update={"graph_sha256": sha256})
    SpecStore(learners.client).publish(spec, malicious, EPOCH)
    learners.publish(spec)

    with pytest.raises(MessageError, match="files or memory of this machine"):
        player.play(task(spec, budget_s=10.0))

    assert broker.offered == []


def test_an_idle_stage_is_closed(player, learners, broker, monkeypatch):
    spec = learners.start()
    player.play(task(spec))
    monkeypatch.setattr(open_stages, "IDLE_STAGE_S", 0.05)
    time.sleep(0.1)

    player.play(task(spec, "t2"))

    assert broker.confirmed[0].stage != broker.confirmed[-1].stage


def test_a_broken_environment_ends_its_task_and_the_next_has_a_new_stage(player, learners, broker):
    spec = learners.start(kwargs={"length": 50, "breaks_at": 6})

    for name in ("t1", "t2"):
        with pytest.raises(EnvironmentFailedError, match="the joystick is gone"):
            player.play(task(spec, name, budget_s=5.0))

    stages = [header.stage for header in broker.confirmed]
    numbers = [header.n for header in broker.confirmed]
    assert len(set(stages)) == 2
    assert numbers == 2 * list(range(len(numbers) // 2))
    assert any("the joystick is gone" in header.fault for header in broker.confirmed)


def test_an_environment_unlike_the_learners_is_refused_and_others_are_played(
    player, learners, broker
):
    right = learners.start()
    wrong = learners.start(experiment="wrong").model_copy(
        update={"environment": learners.make_spec("CartPole-v1", 4, 2).environment}
    )
    SpecStore(learners.client).publish(wrong, learners.make_graph(right), EPOCH)

    with pytest.raises(EnvironmentMismatchError):
        player.play(task(wrong))

    assert player.play(task(right)).ended == "budget"
