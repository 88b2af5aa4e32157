"""Standard output of commands that play holds their results, not what environments print."""

import pytest
from balancing import trained_run
from gymnasium.envs.classic_control.cartpole import CartPoleEnv, CartPoleVectorEnv


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "begins"),
    [
        (("evaluate", "-n", "2"), ["CartPole-v1, version 10", "return 500.0 ± 0.0 over 2 games"]),
        (("export", "-n", "2", "--out", "mine"), ["greedy: return 500.0", "mine: CartPole-v1 at"]),
        (("record", "-n", "1"), ["return 500 in 500 steps"]),
    ],
)
def test_what_an_environment_prints_and_the_progress_go_to_standard_error(
    tinyqueue, tmp_path, monkeypatch, command, begins
):
    for made in (CartPoleEnv, CartPoleVectorEnv):

        def reset(self, *args, before=made.reset, **kwargs):
            print("the pole stands")
            return before(self, *args, **kwargs)

        monkeypatch.setattr(made, "reset", reset)
    run = trained_run(tmp_path / "runs")

    said = tinyqueue(command[0], run, *command[1:])

    assert said.code == 0, said.err
    lines = said.out.splitlines()
    assert [line[: len(begin)] for line, begin in zip(lines, begins, strict=True)] == begins
    assert "the pole stands" in said.err
    assert ("filming" if command[0] == "record" else "playing") in said.err
