"""What is written above the frames of a film."""

import gymnasium
import numpy as np
import pytest

from tinyqueue.film.caption import Captioned, captioned


@pytest.mark.parametrize(
    ("shape", "enlarged"),
    [((210, 160, 3), (420, 320)), ((400, 600, 3), (400, 600)), ((33, 51, 3), (330, 510))],
)
def test_the_frame_is_below_the_band_unchanged_but_for_a_whole_factor(shape, enlarged):
    frame = np.random.default_rng(0).integers(256, size=shape, dtype=np.uint8)

    made = captioned(frame, "12,345,678 env steps", "return -21")

    height, width = enlarged
    band = (made.shape[0] - height) // 2 * 2
    assert made.shape[0] % 2 == made.shape[1] % 2 == 0
    assert made.dtype == np.uint8
    factor = height // shape[0]
    picture = made[band : band + height : factor, :width:factor]
    assert np.array_equal(picture, frame)
    assert made[:band].max() == 235


def test_texts_that_do_not_fit_are_made_smaller_and_the_frame_keeps_its_shape():
    frame = np.zeros((210, 160, 3), np.uint8)

    short, long = captioned(frame, "1", "2"), captioned(frame, "1" * 40, "2" * 20)

    assert short.shape == long.shape
    # The margins are black still.
    assert long[:, :4].max() == long[:, -4:].max() == 0


class Counting(gymnasium.Env):
    """Rewards with 0.5 a step, and shows nothing."""

    observation_space = gymnasium.spaces.Box(0, 1, (1,))
    action_space = gymnasium.spaces.Discrete(2)
    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012
    render_mode = "rgb_array"

    def reset(self, *, seed=None, options=None):
        return np.zeros(1, np.float32), {}

    def step(self, action):
        return np.zeros(1, np.float32), 0.5, False, False, {}

    def render(self):
        return np.zeros((300, 300, 3), np.uint8)


def test_the_return_so_far_is_that_of_this_game():
    environment = Captioned(Counting(), "7 env steps")
    blank = np.zeros((300, 300, 3), np.uint8)

    environment.reset()
    environment.step(0)
    environment.step(0)
    after_two = environment.render()
    environment.reset()
    environment.title = "8 env steps"
    at_first = environment.render()

    assert np.array_equal(after_two, captioned(blank, "7 env steps", "return 1"))
    assert np.array_equal(at_first, captioned(blank, "8 env steps", "return 0"))
