"""Films taken apart again."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np

BLOCKED = """
import sys

class NotHere:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"tensorflow", "keras", "tf2onnx", "celery", "redis"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NotHere())
from tinyqueue.cli.main import main
main()
"""


def frames_of(film: Path) -> list[np.ndarray]:
    """Every frame of an mp4, ``[H, W, 3]`` uint8."""
    reader, frames = cv2.VideoCapture(str(film)), []
    while (read := reader.read())[0]:
        frames.append(read[1][..., ::-1])
    reader.release()
    return frames


def gif_seconds(gif: Path) -> float:
    """How long a GIF lasts; frames that are equal may have become one."""
    from PIL import Image

    total = 0
    with Image.open(gif) as image:
        for number in range(image.n_frames):
            image.seek(number)
            total += image.info["duration"]
    return total / 1000


def without_tensorflow(*words: Any, cwd: Path) -> dict[str, Any]:
    """What a command with ``--json`` says where TensorFlow, Celery and Redis cannot be imported."""
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED, *map(str, words)],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said
