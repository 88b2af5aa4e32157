import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyqueue.run.toml_text import toml_text

scalars = (
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
keys = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
tables = st.recursive(
    st.dictionaries(keys, scalars | st.lists(scalars, max_size=3), max_size=4),
    lambda inner: st.dictionaries(keys, scalars | inner, max_size=4),
    max_leaves=8,
)


@given(tables)
def test_any_table_reads_back_equal(document):
    assert tomllib.loads(toml_text(document)) == document


def test_it_reads_as_a_person_would_write_it():
    text = toml_text({"name": "pole", "algorithm": {"learning_rate": 1e-06, "hidden": (64, 64)}})
    assert text == 'name = "pole"\n\n[algorithm]\nlearning_rate = 1e-06\nhidden = [64, 64]\n'


def test_a_value_that_toml_lacks_is_refused():
    with pytest.raises(TypeError, match="NoneType"):
        toml_text({"max_env_steps": None})
