"""A contract for what takes one and is given no session batch."""

from pole import contract as contract
