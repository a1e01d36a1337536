"""A stand-in for the engine process that goes wrong on demand: `python mock_engine.py MODE`. Standard library only, and
written without the project's own messages.py, so that a change there cannot hide itself.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time

VERSION = "0.1.0"
MODE = sys.argv[1]
cancelled: set[str] = set()


def say(**event: object) -> None:
    """One event line."""
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def hang() -> None:
    """Never do anything again, not even notice the end of stdin."""
    time.sleep(60)
    os._exit(9)


def read_stdin() -> None:
    """Requests until stdin ends; then the process ends."""
    for line in sys.stdin:
        request = json.loads(line)
        if request["type"] == "hello":
            hello()
        elif request["type"] == "cancel":
            cancelled.add(request["id"])
        elif request["type"] == "generate":
            threading.Thread(target=job, args=(request,), daemon=True).start()
    if MODE not in ("hang", "hang-at-start", "deaf", "stuck"):
        os._exit(0)


def hello() -> None:
    """The greeting, in the mode's own way."""
    if MODE == "hang-at-start":
        hang()
    version = "9.9.9" if MODE == "wrong-version" else VERSION
    protocol = 99 if MODE == "wrong-protocol" else 1
    device = {"id": "cpu", "label": "CPU", "usable": True, "reason": "Always works."}
    say(type="hello", protocol=protocol, engine_version=version, devices=[device], default_device="cpu", new_field=1)


def job(request: dict) -> None:
    """One job, in the mode's own way."""
    id, out = request["id"], request["out"]
    if MODE == "disk-full":
        say(type="error", id=id, code="disk_full", message="The disk is full.", detail="OSError 28")
        return
    if MODE == "garbage":
        for number in range(2000):
            print(f"loading shard {number}")
        sys.stdout.buffer.write(b"\xff\xfe\x00" * 1000 + b"\n")
        sys.stdout.flush()
        return
    if MODE == "endless-line":
        while True:
            sys.stdout.write("x" * 65536)
    if MODE == "some-garbage":
        print("a library says hello on stdout")
    if MODE == "huge-output":
        for step in range(20_000):
            say(type="progress", id=id, stage="sampling", step=step, total=20_000, fraction=step / 20_000)
    if MODE == "grandchild":
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        os._exit(4)
    if MODE == "close-stdout":
        os.close(1)
        hang()
    steps = 400 if MODE in ("slow", "deaf", "stuck", "hang") else 4
    for step in range(steps + 1):
        if id in cancelled and MODE not in ("deaf", "hang", "stuck"):
            say(type="cancelled", id=id)
            return
        if step == 2 and MODE == "crash-in-job":
            print("Fatal: the mock engine crashes now", file=sys.stderr, flush=True)
            os.abort()
        if step == 2 and MODE == "hang":
            hang()
        if step == 2 and MODE == "stuck":
            for _ in range(600):
                say(type="alive")
                time.sleep(0.02)
        say(type="progress", id=id, stage="sampling", step=step, total=steps, fraction=step / steps, seconds_left=1.0)
        time.sleep(0.02 if steps > 4 else 0.002)
    if MODE == "no-file":
        out += ".nowhere"
    elif MODE == "empty-file":
        open(out, "wb").close()
    else:
        with open(out, "wb") as stream:
            stream.write(b"PK\x03\x04 cut off" if MODE == "partial-file" else b"a motion")
    say(type="result", id=id, path=out, seconds={"sampling": 0.1})


if __name__ == "__main__":
    if MODE == "crash-at-start":
        sys.exit("ImportError: no module named torch")
    if MODE == "close-stdin":
        os.close(0)
        hang()
    read_stdin()
    hang()
