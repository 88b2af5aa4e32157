import json

import numpy as np
import pytest

from tinyqueue.run.json_text import json_document, json_line


@pytest.mark.parametrize("encode", [json_line, json_document])
def test_numpy_numbers_become_plain_and_non_finite_ones_null(encode):
    value = {
        "a": np.float32(0.25),
        "b": [float("inf"), np.int64(3), np.float64("nan")],
        "c": {"d": np.array([1.5, np.nan])},
        "e": np.float32("nan"),
    }
    assert json.loads(encode(value)) == {
        "a": 0.25,
        "b": [None, 3, None],
        "c": {"d": [1.5, None]},
        "e": None,
    }


def test_a_line_has_no_newline_in_it():
    assert json_line({"text": "a\nb"}) == '{"text": "a\\nb"}'


def test_what_json_lacks_is_refused():
    with pytest.raises(TypeError, match="object"):
        json_line({"a": object()})
