"""Others of the same kinds: what else users bring."""

from __future__ import annotations

from case import TRAINS
from words import plays, refused, told

FALLEN = "the hinge of arm 7 is stuck"
ONE_OF_ALL = ("--players", "1", "--set", "session.slots=1", "--set", "evaluation.slots=1")

_SLOW = (
    plays("01 slow", "reset of 1 s", "SlowReset", "slow", steps=1000, within_s=240),
    told(
        "01 slow", "32 × 32 of 40 ms asked for", "SlowStep", "slow",
        r"\b[4-9]\d(\.\d+)? s\b", r"session\.(slots|ticks)",
        more=("--set", "session.slots=32", "--set", "session.ticks=32"), steps=1000, within_s=200,
    ),
    plays("01 slow", "after 100 steps", "SlowLater", "slow", steps=1500, within_s=150),
    plays(
        "01 slow", "3 s per step", "Snail", "slow", steps=20, within_s=240,
        facts=(r"\b3(\.\d+)? ?s|3,?0\d\d(\.\d+)? ms", TRAINS),
    ),
    # It trains after three times ten seconds; how long one takes is said as soon as it is known.
    plays(
        "14 slow build", "10 s", "VerySlowBuild", "slow",
        facts=(r"is taking long", r"took 1\d s", TRAINS),
        steps=500, within_s=240,
    ),
)  # fmt: skip

_CALLS = (
    refused("02 API", "step of three values", "ThreeValues", "calls", "step", r"\b(3|three)\b"),
    refused("02 API", "step of six values", "SixValues", "calls", "step", r"\b(6|six)\b|too many"),
    refused(
        "02 API", "reset of an observation", "BareReset", "calls", "reset", r"\binfo|\b(2|two)\b"
    ),
    refused("02 API", "reset of two numbers", "BareResetOfTwo", "calls", "reset"),
    refused("02 API", "reset of nothing", "NothingAtReset", "calls", "reset", "None"),
    refused("02 API", "step of nothing", "NothingAtStep", "calls", "step", "None"),
    plays("05 info", "None", "InfoIsNone", "calls"),
    plays("05 info", "a list", "InfoIsList", "calls"),
    refused("02 API", "the end as a word", "WordForEnd", "calls", "terminated", "'?(no|yes)'?"),
    plays("02 API", "the end as an array", "ArrayForEnd", "calls"),
    plays("05 info", "what cannot be said", "Unspeakable", "reports"),
    plays("05 info", "names that are taken", "FinalInfo", "reports"),
)

_SIGHTS = (
    plays("03 types", "a list", "ListForArray", "sights"),
    plays("03 types", "an array of objects", "Objects", "sights"),
    plays("03 types", "one array for all steps", "SameArray", "sights"),
    plays("03 types", "a nested Dict", "Nested", "sights"),
    refused("03 types", "300 for a byte", "TooBigForByte", "sights", r"\b300\b", "uint8|255|2"),
    refused("03 types", "None", "Nothing", "sights", "None", "observation"),
    refused("03 types", "changing shape", "ChangingShape", "sights", r"\(3,\)", r"\(2,\)"),
    refused("03 types", "NaN", "Holes", "sights", "nan"),
    refused("03 types", "a missing key", "MissingKey", "sights", r"\bear\b"),
    refused("03 types", "a space of its own each", "EachItsOwn", "sights", r"\b3\b|\(3,\)"),
    refused("09 big frames", "nothing to see", "Empty", "sights", r"\(0,\)|\bempty|\b0 "),
    refused(
        "09 big frames", "one is too big", "Huge", "sights", r"17[.,]\d|17,?280,?000|34[.,]|bytes"
    ),
)

_EARNINGS = (
    plays("04 reward", "an array of no dimension", "RewardZeroRank", "earnings"),
    plays("04 reward", "an int64", "RewardInt", "earnings"),
    refused("04 reward", "None", "RewardNone", "earnings", "reward", "None"),
    refused("04 reward", "a word", "RewardWord", "earnings", "reward", "one point"),
    refused("04 reward", "complex", "RewardComplex", "earnings", "reward", r"1\+2j|complex"),
    refused("04 reward", "two numbers", "RewardPair", "earnings", "reward", r"\(2,\)|\b2\b"),
)

_ENDS = (
    plays("07 endless", "no episode ends", "NeverEnds", "ends", steps=20_000, within_s=90),
    plays("07 endless", "over after one step", "OneStep", "ends"),
    plays("07 endless", "cut off after one step", "OneTick", "ends"),
)

_FALLS = (
    refused("08 falls", "in __init__", "InInit", "falls", FALLEN, r"falls\.py:\d+"),
    refused("08 falls", "in reset", "InReset", "falls", FALLEN, r"falls\.py:\d+"),
    refused("08 falls", "in step", "InStep", "falls", FALLEN, r"falls\.py:\d+"),
    told("08 falls", "in each step after 200", "InLaterStep", "falls", FALLEN, r"falls\.py:\d+"),
    plays("08 falls", "in close", "InClose", "falls"),
    refused("08 falls", "sys.exit in step", "SaysExit", "falls", "no licence found|SystemExit"),
    refused("08 falls", "os._exit in step", "Exits", "falls", r"exit code 7|\b7\b"),
    refused("08 falls", "a segmentation fault", "Segfaults", "falls", "SIGSEGV|segmentation"),
    refused("08 falls", "hangs in step", "Hangs", "falls", r"hang|within \d+ s|\d+ s", within_s=90),
    refused("08 falls", "KeyboardInterrupt", "Interrupts", "falls", "KeyboardInterrupt"),
    told("08 falls", "os._exit after 300 steps", "ExitsLate", "falls", "exit code 7 in the middle"),
    told(
        "08 falls", "sys.exit after 300 steps", "SaysExitLate", "falls", r"no licence.*falls\.py:\d"
    ),
    told(
        "08 falls", "hangs after 300 steps", "HangsLate", "falls", "hang|hung|no answer|did not",
        more=("--set", "environment.hang_s=5"),
    ),
    refused("08 falls", "no such class", "NoSuchClass", "falls", "NotThere"),
    refused("08 falls", "the import fails", "Any", "import_fails", r"libsimulator\.so\.4"),
)  # fmt: skip

_GUESTS = (
    plays("17 guest", "prints 1 MB per step", "Prints", "guests", within_s=120),
    plays("17 guest", "closes stdout", "Closes", "guests"),
    plays("17 guest", "changes folder", "Moves", "guests"),
    plays("17 guest", "takes the signals", "Handles", "guests"),
    plays("17 guest", "threads that stay", "Threads", "guests"),
    plays("17 guest", "overflows, and makes NumPy raise", "Warns", "guests"),
    plays("17 guest", "keeps 4 kB per step", "Leaks", "guests", steps=20_000),
    plays("16 children", "a program", "Engine", "parents"),
)

_HOLDERS = (
    plays(
        "15 one of it", "a licence", "Licence", "holders", within_s=120,
        facts=(
            "resource temporarily unavailable|BlockingIOError", r"session\.slots=1", TRAINS,
        ),
    ),
    plays("15 one of it", "a licence, one of everything", "Licence", "holders", *ONE_OF_ALL),
    plays(
        "15 one of it", "a world that all share", "OneWorld", "holders", steps=1000,
        facts=("share state", "1 environment per player", TRAINS),
    ),
    refused("15 one of it", "a display", "Display", "holders", "xvfb-run", r"holders\.py:\d+"),
)  # fmt: skip

_CHOICES = (
    refused("18 actions", "Text", "Words", "choices", "Text"),
    refused("18 actions", "Sequence", "Sequences", "choices", "Sequence"),
    plays("18 actions", "from 1", "FromOne", "choices"),
    refused("18 actions", "a million", "Million", "choices", r"1,?000,?000|bytes"),
)

KIN = (
    *_SLOW, *_CALLS, *_SIGHTS, *_EARNINGS, *_ENDS, *_FALLS, *_GUESTS, *_HOLDERS, *_CHOICES,
)  # fmt: skip
