"""Atari ids older than ``ALE/<Game>-v5``: what to write instead for the same protocol.

Their protocols are in ale-py's documentation ("Version History and Naming Schemes"): v0 repeats
the last action with probability 0.25, v4 never; the plain ids held an action for 2, 3 or 4 frames
at random, ``Deterministic`` for 4 (Space Invaders: 3), ``NoFrameskip`` for 1. They had no no-ops,
no FIRE and no maximum over two frames: papers used wrappers for those.
"""

from __future__ import annotations

import re
from itertools import chain

from tinyqueue.errors import ConfigError

_OLD_ID = re.compile(
    r"(?P<game>[A-Za-z]+?)(?P<ram>-ram)?(?P<skip>Deterministic|NoFrameskip)?-v[04]", re.IGNORECASE
)
_VARIANT = re.compile(r"(-ram)?(Deterministic|NoFrameskip)?$", re.IGNORECASE)
_STICKY = {"0": "0.25", "4": "0.0"}
_RAM = {
    "environment.kwargs.obs_type": '"ram"',
    "environment.stack": "1",
    "model.name": '"mlp"',
}
_NAMES = """
Adventure AirRaid Alien Amidar Assault Asterix Asteroids Atlantis BankHeist BattleZone
BeamRider Berzerk Bowling Boxing Breakout Carnival Centipede ChopperCommand CrazyClimber
Defender DemonAttack DoubleDunk ElevatorAction Enduro FishingDerby Freeway Frostbite Gopher
Gravitar Hero IceHockey Jamesbond JourneyEscape Kangaroo Krull KungFuMaster
MontezumaRevenge MsPacman NameThisGame Phoenix Pitfall Pong Pooyan PrivateEye Qbert
Riverraid RoadRunner Robotank Seaquest Skiing Solaris SpaceInvaders StarGunner Tennis
TimePilot Tutankham UpNDown Venture VideoPinball WizardOfWor YarsRevenge Zaxxon
"""

GAMES = {game.lower(): f"ALE/{game}-v5" for game in _NAMES.split()}
"""Lower-case name → present id, of the games that had old ids."""


def game_of(name: str) -> str | None:
    """The present id of the game that a name without namespace and version means, if any.

    ``ALE/Pong-v5`` for ``pong``, ``Pong``, and ``PongNoFrameskip``.
    """
    return GAMES.get(_VARIANT.sub("", name).lower())


def refuse_old_atari(environment_id: str) -> None:
    """Returns unless this is an old id of an Atari game.

    Raises:
        ConfigError: It is one. The text is the table to write instead; the error also carries
            the words to use instead in a command.
    """
    match = _OLD_ID.fullmatch(environment_id)
    today = match and GAMES.get(match["game"].lower())
    if match is None or today is None:
        return
    skip = (match["skip"] or "").lower()
    frames, remark = {
        "": ("3", " It held each action for 2, 3 or 4 frames at random; 3 is the mean."),
        "deterministic": ("3" if today == "ALE/SpaceInvaders-v5" else "4", ""),
        "noframeskip": (
            "1",
            " If a wrapper skipped frames, use environment.atari.frame_skip = 4.",
        ),
    }[skip]
    settings = {
        "environment.atari.sticky": _STICKY[environment_id[-1]],
        "environment.atari.frame_skip": frames,
        "environment.atari.noop_max": "0",
        "environment.atari.fire_reset": "false",
        "environment.atari.max_frames": "false",
        "environment.atari.life_loss": "false",
    }
    if match["ram"]:
        settings |= _RAM
        remark += (
            " It observes the console's 128 bytes of RAM, not the screen; that needs obs_type and "
            "a model for vectors. Leave out the last three lines to observe the screen."
        )
    lines = [f'environment.id = "{today}"']
    lines += [f"{key} = {value}" for key, value in settings.items()]
    # A preset may set any key, so the command sets them all.
    changes = [("--set", f"{key}=" + value.strip('"')) for key, value in settings.items()]
    raise ConfigError(
        f"{environment_id} is an old id of an Atari game. For the same game and protocol, write "
        "in a TOML file\n  "
        + "\n  ".join(lines)
        + f"\n{remark.strip()}{' ' if remark else ''}Leave out the environment.atari lines for "
        "the protocol of current papers.",
        wrote=environment_id,
        instead=[today, *chain.from_iterable(changes)],
    )
