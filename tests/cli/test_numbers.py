"""Numbers as a person types them."""

import click
import pytest

from tinyqueue.cli.numbers import WholeNumber


@pytest.mark.parametrize(
    ("typed", "number"),
    [
        ("1e6", 10**6),
        ("1_000_000", 10**6),
        ("1,000,000", 10**6),
        ("7", 7),
        ("2.0", 2),
        ("9007199254740993", 2**53 + 1),
    ],
)
def test_a_whole_number_is_read_as_it_is_written(typed, number):
    assert WholeNumber(1).convert(typed, None, None) == number


@pytest.mark.parametrize(
    "typed", ["1.5", "1e-3", "0", "-3", "inf", "nan", "many", "", "1,5e6", "2,5", "1,00"]
)
def test_anything_else_is_refused(typed):
    with pytest.raises(click.BadParameter):
        WholeNumber(1).convert(typed, None, None)
