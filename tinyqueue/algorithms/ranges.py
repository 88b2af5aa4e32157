"""Types of hyper-parameters with the ranges that their values are checked against."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

Share = Annotated[float, Field(ge=0, le=1)]
PositiveShare = Annotated[float, Field(gt=0, le=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(gt=0)]
"""At least one."""
CountOrNone = Annotated[int, Field(ge=0)]
"""0 or more; 0 switches it off."""
