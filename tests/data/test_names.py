"""Names of what is carried, and of a policy's inputs."""

import pytest

from tinyqueue.data.names import (
    action_input,
    action_of_input,
    carried_action,
    carried_frames,
    carried_state,
    state_of_carried,
)


def test_a_space_that_is_a_leaf_adds_no_path():
    assert (carried_action(""), carried_frames(""), action_input("")) == (
        "previous_action",
        "frames",
        "previous:action",
    )


def test_a_leaf_of_a_dict_adds_its_path():
    assert (carried_action("arm/angle"), carried_frames("eye"), action_input("arm/angle")) == (
        "previous_action/arm/angle",
        "frames/eye",
        "previous:action/arm/angle",
    )
    assert carried_state("h") == "state/h"


@pytest.mark.parametrize("path", ["", "arm", "arm/angle", "0"])
def test_the_path_of_an_action_input_is_found_again(path):
    assert action_of_input(action_input(path)) == path


@pytest.mark.parametrize("name", ["previous:reward", "observation:previous:action", "state:h"])
def test_other_inputs_are_of_no_action(name):
    assert action_of_input(name) is None


@pytest.mark.parametrize("path", ["h", "core/c"])
def test_the_path_of_a_carried_state_is_found_again(path):
    assert state_of_carried(carried_state(path)) == path


@pytest.mark.parametrize("name", ["previous_action/state/h", "frames/state", "states"])
def test_other_arrays_are_of_no_state(name):
    assert state_of_carried(name) is None
