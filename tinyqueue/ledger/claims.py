"""Stages that have no row yet, kept for the login that used them first."""

from __future__ import annotations

MOST_CLAIMS = 1024
"""Stages kept for one login: more than messages are in hand. The oldest are given up first."""


class Claims:
    """Who used a stage first, until its first batch is recorded. In memory only."""

    def __init__(self) -> None:
        self._logins: dict[str, tuple[str, str]] = {}
        self._stages: dict[str, dict[str, None]] = {}

    def login(self, stage: str) -> str:
        """The login that a stage is kept for; empty if none."""
        return self._logins.get(stage, ("", ""))[0]

    def claim(self, stage: str, login: str, account: str) -> None:
        """Keeps a stage for a login, unless it is kept for another.

        Args:
            stage: The stage.
            login: The login.
            account: The name under which its claims are counted.
        """
        if stage in self._logins:
            return
        self._logins[stage] = login, account
        stages = self._stages.setdefault(account, {})
        stages[stage] = None
        if len(stages) > MOST_CLAIMS:
            self.release(next(iter(stages)))

    def release(self, stage: str) -> None:
        """Gives up a claim, if there is one."""
        _, account = self._logins.pop(stage, ("", ""))
        self._stages.get(account, {}).pop(stage, None)

    def __len__(self) -> int:
        return len(self._logins)
