"""Atari ids from before ``ALE/<Game>-v5``: what to write instead for the same protocol.

Their protocols are those of ale-py's documentation ("Version History and Naming Schemes"):
v0 repeats the last action with probability 0.25, v4 never; the plain ids held an action for 2, 3
or 4 frames at random, ``Deterministic`` for 4 (Space Invaders: 3), ``NoFrameskip`` for 1. They
did without no-ops, FIRE and the maximum of two frames: what papers report had wrappers for those.
"""

from __future__ import annotations

import re

from tinyqueue.errors import ConfigError

_OLD_ID = re.compile(
    r"(?P<game>[A-Za-z]+?)(?P<ram>-ram)?(?P<skip>Deterministic|NoFrameskip)?-v[04]"
)
_STICKY = {"0": "0.25", "4": "0.0"}
_GAMES = """
Adventure AirRaid Alien Amidar Assault Asterix Asteroids Atlantis BankHeist BattleZone
BeamRider Berzerk Bowling Boxing Breakout Carnival Centipede ChopperCommand CrazyClimber
Defender DemonAttack DoubleDunk ElevatorAction Enduro FishingDerby Freeway Frostbite Gopher
Gravitar Hero IceHockey Jamesbond JourneyEscape Kangaroo Krull KungFuMaster
MontezumaRevenge MsPacman NameThisGame Phoenix Pitfall Pong Pooyan PrivateEye Qbert
Riverraid RoadRunner Robotank Seaquest Skiing Solaris SpaceInvaders StarGunner Tennis
TimePilot Tutankham UpNDown Venture VideoPinball WizardOfWor YarsRevenge Zaxxon
"""


def refuse_old_atari(environment_id: str) -> None:
    """Returns unless the id is an old one of Atari.

    Raises:
        ConfigError: It is; the text is the table to write instead, and the command that does it.
    """
    match = _OLD_ID.fullmatch(environment_id)
    if match is None or match["game"] not in _GAMES.split():
        return
    game, skip = match["game"], match["skip"] or ""
    frames, remark = {
        "": ("3", " It held each action for 2, 3 or 4 frames at random, and 3 is their mean."),
        "Deterministic": ("3" if game == "SpaceInvaders" else "4", ""),
        "NoFrameskip": (
            "1",
            " Where a wrapper skipped frames, write environment.atari.frame_skip = 4.",
        ),
    }[skip]
    atari = {
        "sticky": _STICKY[environment_id[-1]],
        "frame_skip": frames,
        "noop_max": "0",
        "fire_reset": "false",
        "max_frames": "false",
        "life_loss": "false",
    }
    lines = [f'environment.id = "ALE/{game}-v5"']
    if match["ram"]:
        lines += ['environment.kwargs.obs_type = "ram"', "environment.stack = 1"]
    lines += [f"environment.atari.{key} = {value}" for key, value in atari.items()]
    raise ConfigError(
        f"{environment_id} is an old id of an Atari game. The same game by the same protocol "
        "is, in a TOML file,\n  "
        + "\n  ".join(lines)
        + ("" if match["ram"] else f"\nAs a command:\n  {_command(game, atari)}")
        + f"\n{remark.strip()}{' ' if remark else ''}Leave out what is said of environment.atari "
        "for the protocol of current papers."
    )


def _command(game: str, atari: dict[str, str]) -> str:
    """The command that trains by this protocol. A preset may set any key, so it names them all."""
    changes = "".join(f" --set environment.atari.{key}={value}" for key, value in atari.items())
    return f"tinyqueue train ALE/{game}-v5{changes}"
