"""Run by the engine's own Python: does it work? `python -I selftest.py ROOT SCRATCH`, the last line is a JSON object.

ROOT holds the package `engine`. Imports PyTorch, lists the devices, animates one second of sound. Exits with 1 and a
sentence when that fails.
"""

import importlib
import json
import math
import platform
import runpy
import struct
import sys
import time
import wave
from pathlib import Path

RATE = 16000


def write_tone(path: Path) -> None:
    """One second of a voice-like sound: 120 Hz with overtones, swelling and fading."""
    frames = bytearray()
    for i in range(RATE):
        t = i / RATE
        tone = sum(math.sin(2 * math.pi * 120 * k * t) / k for k in range(1, 6))
        frames += struct.pack("<h", int(6000 * math.sin(math.pi * t) * tone))
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(RATE)
        sound.writeframes(bytes(frames))


def animate(sound: Path, out: Path) -> None:
    """As `python -m engine animate`. Raises SystemExit with the engine's status when it fails."""
    sys.argv = ["engine", "animate", str(sound), "--out", str(out), "--seed", "1"]
    try:
        runpy.run_module("engine", run_name="__main__")
    except SystemExit as done:
        if done.code:
            raise


def main(root: str, scratch: str) -> None:
    """Test, and print what was found."""
    began = time.perf_counter()
    sys.path.insert(0, root)
    torch = importlib.import_module("torch")
    devices = importlib.import_module("engine.devices").list_devices()
    sound, out = Path(scratch) / "tone.wav", Path(scratch) / "tone.npz"
    write_tone(sound)
    animate(sound, out)
    with importlib.import_module("numpy").load(out, allow_pickle=False) as motion:
        frames = len(motion["weights"])
    found = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "devices": [[d.id, d.label, d.usable, d.reason] for d in devices],
        "frames": frames,
        "seconds": round(time.perf_counter() - began, 1),
    }
    print("\n" + json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:3])
