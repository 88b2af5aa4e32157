"""Small messages other than sessions: one packed map, read with the same first checks."""

from __future__ import annotations

from tinyqueue.data.session import SCHEMA
from tinyqueue.data.spaces import Arrays
from tinyqueue.errors import MessageError
from tinyqueue.wire.arrays import unpack
from tinyqueue.wire.fields import Fields
from tinyqueue.wire.limits import Limits


def open_document(body: bytes | memoryview, limits: Limits) -> tuple[Fields, Arrays]:
    """The values and the arrays of a message's body.

    Raises:
        MessageError: It is too large, unreadable, or of another schema.
    """
    if len(body) > limits.body_bytes:
        raise MessageError("too-large", f"{len(body)} bytes; at most {limits.body_bytes}")
    values, arrays = unpack(body, limits)
    fields = Fields(values)
    require_schema(fields)
    return fields, arrays


def require_schema(fields: Fields) -> None:
    """Raises MessageError when the writer's schema version differs from this one."""
    schema = fields.integer("schema")
    if schema != SCHEMA:
        raise MessageError("schema", f"written by schema {schema}; this learner takes {SCHEMA}")
