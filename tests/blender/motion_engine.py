"""A stand-in for the engine process that answers every job with the motion file named on its command line, after as many
steps of 10 ms as the second argument says: `python motion_engine.py MOTION.npz STEPS`. Standard library only.
"""

import json
import shutil
import sys
import time


def say(**event: object) -> None:
    """One event line."""
    print(json.dumps(event), flush=True)


if __name__ == "__main__":
    device = {"id": "cpu", "label": "CPU", "usable": True, "reason": "Always works."}
    for line in sys.stdin:
        request = json.loads(line)
        if request["type"] == "hello":
            say(type="hello", protocol=1, engine_version="0.1.0", devices=[device], default_device="cpu")
        elif request["type"] in ("generate", "track"):
            steps = int(sys.argv[2])
            for step in range(steps):
                say(type="progress", id=request["id"], stage="sampling", step=step, total=steps, fraction=step / steps)
                time.sleep(0.01)
            with open(request["out"] + ".request", "w") as note:
                json.dump(request, note)
            shutil.copyfile(sys.argv[1], request["out"])
            say(type="result", id=request["id"], path=request["out"], seconds={"sampling": 0.01 * steps})
