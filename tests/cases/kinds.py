"""The wrong things that an environment of the grammar of faults may do, and harmless ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Place = Literal["import", "init", "reset", "step", "close"]
TEXT = "the hinge of arm 7 is stuck"


@dataclass(frozen=True)
class Kind:
    """One wrong thing.

    Attributes:
        name: In a few words.
        places: Where it can be done.
        code: Statements. In reset() they may change ``observation`` and ``info``, in step() also
            ``reward``, ``terminated`` and ``truncated``, or return something else.
        fact: A regular expression for its name as it must be said; empty for what does no harm.
    """

    name: str
    places: tuple[Place, ...]
    code: str
    fact: str = ""

    @property
    def harms(self) -> bool:
        return bool(self.fact)


_ANYWHERE: tuple[Place, ...] = ("import", "init", "reset", "step", "close")
_CALLED: tuple[Place, ...] = ("init", "reset", "step", "close")
_PLAYED: tuple[Place, ...] = ("reset", "step")
_STEP: tuple[Place, ...] = ("step",)
_RESET: tuple[Place, ...] = ("reset",)

RAISES = (
    Kind("ValueError", _ANYWHERE, f"raise ValueError({TEXT!r})", TEXT),
    Kind("KeyError", _ANYWHERE, "raise KeyError('gripper')", "KeyError.*gripper"),
    Kind("an exception of its own", _ANYWHERE, f"raise LostSimulator({TEXT!r}, lock)", TEXT),
    Kind("an exception without a word", _CALLED, "assert False", "AssertionError"),
    Kind("a division by zero", _ANYWHERE, "1 / 0", "ZeroDivisionError|division by zero"),
    Kind("StopIteration", _CALLED, "next(iter(()))", "StopIteration"),
    Kind("endless recursion", _CALLED, "(f := lambda: f())()", "RecursionError|recursion"),
    Kind("OSError", _ANYWHERE, "open('/no/such/map.bin')", r"/no/such/map\.bin"),
    Kind("a missing package", _ANYWHERE, "import no_such_simulator", "no_such_simulator"),
    Kind(
        "a megabyte of words", _CALLED, "raise ValueError('stuck ' * 200_000)", "ValueError: stuck"
    ),
    Kind(
        "words that are no text", _CALLED, "raise ValueError('stuck \\udcff')", "ValueError: stuck"
    ),
    Kind("SystemExit", _ANYWHERE, "sys.exit('no licence found')", "no licence found|SystemExit"),
    Kind("KeyboardInterrupt", _CALLED, "raise KeyboardInterrupt", "KeyboardInterrupt"),
    Kind("an exception in a chain", _CALLED, "chain()", TEXT),
)
_LOST = "ended|lost|died"
_GONE = rf"\b9\b|{_LOST}"
DIES = (
    Kind("os._exit", _CALLED, "os._exit(9)", _GONE),
    Kind("SIGKILL", _CALLED, "os.kill(os.getpid(), signal.SIGKILL)", f"SIGKILL|signal 9|{_GONE}"),
    Kind("a segmentation fault", _CALLED, "ctypes.string_at(0)", f"SIGSEGV|signal 11|{_LOST}"),
    Kind("abort", _CALLED, "os.abort()", f"SIGABRT|signal 6|{_LOST}"),
)
_SLOW = r"hang|hung|within \d+|no answer|\d+ s\b"
HANGS = (
    Kind("an endless loop", _CALLED, "while True: pass", _SLOW),
    Kind("an endless sleep", _CALLED, "time.sleep(10_000)", _SLOW),
    Kind("a lock that nobody opens", _CALLED, "lock.acquire()", _SLOW),
)
_NOT_SO = {
    "observation": (
        ("None", "None", "None|observation"),
        ("of another shape", "np.zeros(5, np.float32)", r"\(5,\)"),
        ("words", "'a wall'", "a wall|observation"),
        ("a Dict", "{'eye': np.zeros(2)}", "eye|dict|observation"),
        ("NaN", "np.full(2, np.nan, np.float32)", "nan"),
        ("inf", "np.full(2, np.inf, np.float32)", "inf"),
        ("of objects", "np.array([None, 'x'], dtype=object)", "observation|object"),
        ("of ragged lists", "[[1], [2, 3]]", "observation|inhomogeneous"),
    ),
    "reward": (
        ("None", "None", "reward.*None|None.*reward"),
        ("a word", "'one point'", "reward.*one point|one point.*reward"),
        ("complex", "1 + 2j", "reward"),
        ("two numbers", "np.array([1.0, 2.0])", "reward"),
        ("a dict", "{'agent': 1.0}", "reward"),
        ("NaN", "float('nan')", "nan"),
        ("inf", "float('inf')", "inf"),
    ),
    "terminated": (
        ("None", "None", "terminated|truncated"),
        ("a word", "'no'", "terminated|truncated"),
        ("two", "np.array([False, True])", "terminated|truncated"),
        ("a dict", "{'agent': False}", "terminated|truncated"),
    ),
}
VALUES = tuple(
    Kind(f"{variable} {name}", _PLAYED if variable == "observation" else _STEP, code, fact)
    for variable, members in _NOT_SO.items()
    for name, value, fact in members
    for code in [f"{variable} = {value}"]
)
ANSWERS = (
    Kind("four values", _STEP, "return observation, reward, terminated, info", r"\b(4|four)\b"),
    Kind("three values", _STEP, "return observation, reward, terminated", r"\b(3|three)\b"),
    Kind(
        "six values",
        _STEP,
        "return observation, reward, terminated, False, info, 1",
        r"\b(6|six)\b|too many",
    ),
    Kind("nothing", _PLAYED, "return None", "None"),
    Kind("an observation alone", _RESET, "return observation", "reset"),
    Kind("three things", _RESET, "return observation, info, 1", r"reset.*(\b3\b|three|too many)"),
)
HARMLESS = (
    Kind("an info of None", _STEP, "info = None"),
    Kind("an info that changes", _STEP, "info = {'legal': np.zeros(self.taken % 5)}"),
    Kind("an info of a word or a number", _STEP, "info = {'won': 1 if self.taken % 2 else 'no'}"),
    Kind("a reward in an array", _STEP, "reward = np.array([reward])"),
    Kind("a reward as an int", _STEP, "reward = int(reward)"),
    Kind("a reward as a bool", _STEP, "reward = np.bool_(reward)"),
    Kind("a reward as a float16", _STEP, "reward = np.float16(reward)"),
    Kind("an end as an int", _STEP, "terminated = int(terminated)"),
    Kind("an end in an array", _STEP, "terminated = np.array([terminated])"),
    Kind("an observation of float64", _PLAYED, "observation = observation.astype(np.float64)"),
    Kind("an observation of ints", _PLAYED, "observation = np.array([0, 1])"),
    Kind("an observation in a list", _PLAYED, "observation = [0.5, 1]"),
    Kind("a megabyte on stdout", _ANYWHERE, "print('x' * 1_000_000)"),
    Kind("a line on file 1", _ANYWHERE, "os.write(1, b'{\"ready\": true}\\n')"),
    Kind("a warning", _ANYWHERE, "warnings.warn('the map is old', stacklevel=2)"),
    Kind("another folder", _CALLED, "os.chdir('/tmp')"),
    Kind("a seed for all", _CALLED, "np.random.seed(0); random.seed(0)"),
    Kind(
        "a thread that stays", ("import", "init"), "threading.Thread(target=lock.acquire).start()"
    ),
    Kind("signals of its own", ("import", "init"), "signals()"),
    Kind("no stdout", ("import", "init", "reset"), "sys.stdout = None"),
)
FAMILIES = (RAISES, DIES, HANGS, VALUES, ANSWERS, HARMLESS)
KINDS = tuple(kind for family in FAMILIES for kind in family)
