"""Break a job in every way while the real engine works on it: `python scripts/faults.py [--kills 50] [--full-kills 20]`.

Blender runs as a module; jobs are begun by the operators that the buttons call. Each row of the table is one kind of fault;
it is good when Blender lives, no curve was half written, the panel says a sentence, no process or temporary file is left, and
the next Generate makes a whole take. Exit status 1 when any is not.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import bpy
from addon_from_tree import ROOT
from job_stage import (
    PATIENCE,
    children,
    curves,
    enter,
    generate,
    leave,
    listening,
    new_file,
    part,
    run_and_exit,
    tick_until,
    use,
    write_sound,
)

# The engine with something wrong inside: its folder comes first, then the code that spoils it, then `serve`'s own way.
SPOILED = """
import os, sys, pathlib
sys.path.insert(0, {root!r})
from engine import server
claim, load = server.claim_stdout, server.load_engine
def claim_and_keep(log):
    server.kept = claim(log)
    return server.kept
server.claim_stdout = claim_and_keep
def spoiled(built_in=False):
    engine = load({built_in})
{spoil}
    return engine
server.load_engine = spoiled
here = pathlib.Path.cwd()
server.serve(here / "engine.log", here, {built_in})
"""
LITTLE_MEMORY = """
    import resource
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (4 << 20), used + (4 << 20)))
"""
NO_GPU_MEMORY = """
    def generate(request, progress, cancelled):
        import torch
        progress("sampling", 1, 8)
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
    engine = server.Engine(generate, engine.devices, "cpu", engine.models)
"""
CHATTER = """
    import threading
    def talk():
        while True:
            os.write(server.kept.fileno(), b"\\xff\\x00{not json\\n" * 50)
    threading.Thread(target=talk, daemon=True).start()
"""
QUIT = """
import os, sys, time
sys.path.insert(0, {scripts!r})
from pathlib import Path
import job_stage as stage
import bpy
stage.enter(Path({folder!r}))
stage.new_file(Path({sound!r}))
bpy.ops.facediff.generate()
session = stage.part("session")
stage.tick_until(60, lambda: session.current.generation is None or session.current.generation.job.fraction > 0.1)
print(session.current.client.pid, flush=True)
{way}
"""
WAYS_TO_QUIT = {
    "kill -9": "os.kill(os.getpid(), 9)",
    "os._exit": "os._exit(0)",
    "quit": "stage.leave(); sys.exit(0)",
    "crash": "os.abort()",
}


Outcome = tuple[int, list[str], set[str]]  # how many faults, what was wrong after them, what the panel said


def at_moment(seconds: float) -> None:
    """Press Generate and tick for so long."""
    bpy.ops.facediff.generate()
    tick_until(seconds)


def working() -> bool:
    """Whether the engine is in the middle of the job."""
    generation = part("session").current.generation
    return generation is not None and generation.job.fraction > 0.1


def begin() -> None:
    """Press Generate and tick until the engine works on it."""
    bpy.ops.facediff.generate()
    tick_until(PATIENCE, working)


def session_module() -> Any:
    """The add-on's module of that name."""
    return part("session")


def session_now() -> Any:
    """All that the add-on remembers outside the file."""
    return part("session").current


def judge(before: int, whole: int, sentence: bool = True) -> str:
    """What is wrong after a fault; "" when nothing is. before: curves then; whole: those of a take. A new file has none."""
    session = part("session").current
    message = session.message.strip()
    if session.generation is not None or session.batch is not None:
        return "a job is still there"
    if curves() not in (0, before, before + whole):
        return f"{curves() - before} curves were written"
    if sentence and (not message or "\n" in message or not message.endswith((".", "?"))):
        return f"no sentence: {message!r}"
    return ""


def kill_at_random(count: int, full: bool, sound: Path, rng: random.Random) -> Outcome:
    """kill -9 at moments spread over a job, every fifth over a cold start, until `count` of them came before its end: a job
    that is over first is no fault, and is counted apart."""
    new_file(sound, full)
    use(None)
    started = time.monotonic()
    problem = generate()
    cold, whole = time.monotonic() - started, curves()
    started = time.monotonic()
    problem = problem or generate()
    warm = time.monotonic() - started
    problems, said = [problem] if problem else [], set()
    hits = missed = 0
    while hits < count and missed < 10 * count:
        begins_cold = hits % 5 == 0
        if begins_cold:
            session_module().stop_engine()
        before = curves()
        at_moment(rng.uniform(0, cold if begins_cold else warm))
        if session_now().generation is None:
            missed += 1
            continue
        hits += 1
        pid = session_now().client.pid
        os.killpg(pid, signal.SIGKILL)
        while pid in children():
            time.sleep(0.01)
        tick_until(PATIENCE)
        said.add(session_now().message)
        problem = judge(before, whole) or generate()
        if problem:
            problems.append(f"kill {hits}: {problem}")
    if hits < count:
        problems.append(f"only {hits} of {count} kills hit a job")
    said.add(f"({missed} moments came after the job's end and are not counted; cold {cold:.2f} s, warm {warm:.2f} s)")
    return hits, problems, said


def one_fault(
    fault: Callable[[], None], sound: Path, client: object | None = None, renew: bool = False
) -> Outcome:
    """A fault in the middle of a job, and a Generate after it. renew: the fault takes the head or the file away."""
    new_file(sound)
    use(client)
    if client is None:
        generate()
    before = curves()
    begin()
    pid = part("session").current.client.pid
    problems = ["the job was over before the fault"] if session_now().generation is None and client is None else []
    if pid is not None and listening(pid):
        problems.append("the engine has a socket open")
    fault()
    tick_until(PATIENCE)
    said = part("session").current.message
    problem = judge(before, before, sentence=said != "")
    problems += [problem] if problem else []
    if renew:
        new_file(sound)
    use(None)
    problem = generate()
    return 1, problems + ([problem] if problem else []), {said}


def quitting(way: str, sound: Path, folder: Path) -> Outcome:
    """Blender ends in the middle of a job: the engine must end too, and take its folder along."""
    own = folder / "quit"
    own.mkdir(exist_ok=True)
    code = QUIT.format(scripts=str(Path(__file__).resolve().parent), folder=str(own), sound=str(sound), way=WAYS_TO_QUIT[way])
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as host:
        assert host.stdout is not None
        lines = [line for line in host.stdout.read().splitlines() if line.isdigit()]
        try:
            host.wait(60)
        except subprocess.TimeoutExpired:  # bpy 4.5's own shut-down
            host.kill()
    if not lines:
        return 1, ["the job did not begin"], set()
    end = time.monotonic() + 20
    while Path(f"/proc/{lines[-1]}").exists() and time.monotonic() < end:
        time.sleep(0.05)
    problems = ["the engine lives on"] if Path(f"/proc/{lines[-1]}").exists() else []
    # A Blender that was killed or crashed leaves its temporary folder, with our copy of the sound in it, to a later Blender.
    stale = part("private_folders")
    if way != "quit":
        stale.remove_stale(own, time.time() + 2 * stale.STALE_SECONDS)
    left = [p.name for p in own.rglob("facediff-*")]
    shutil.rmtree(own)
    return 1, problems + [f"left: {name}" for name in left], set()


def faults(sound: Path, folder: Path) -> dict[str, Callable[[], Outcome]]:
    """Every row but the kills, by name."""
    session = part("session")
    long = write_sound(folder.parent / "long.wav", 240.0)

    def of_engine(spoil: str, built_in: bool = True) -> object:
        code = SPOILED.format(root=str(ROOT), spoil=spoil, built_in=built_in)
        command = [sys.executable, "-I", "-X", "utf8", "-c", code]
        return session.EngineClient(sys.executable, ROOT, built_in=True, command=command)

    def hang() -> None:
        os.killpg(session.current.client.pid, signal.SIGSTOP)

    def hang_and_cancel() -> None:
        hang()
        bpy.ops.facediff.cancel()

    def load_file() -> None:
        bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)

    def undo() -> None:
        bpy.ops.ed.undo_push(message="something else")
        bpy.ops.ed.undo()

    def delete_scene() -> None:
        other = bpy.data.scenes.new("Other")
        bpy.data.scenes.remove(next(s for s in bpy.data.scenes if s != other))

    def delete_head() -> None:
        bpy.data.objects.remove(bpy.context.scene.facediff.chosen_head(bpy.context))

    def delete_strip() -> None:
        editor = bpy.context.scene.sequence_editor
        editor.strips.remove(editor.strips[0])

    def disable() -> None:
        leave()
        enter(folder)

    def stop_engine() -> None:
        session.stop_engine()

    def nothing() -> None:
        return

    rows: dict[str, Callable[[], Outcome]] = {
        "hang (SIGSTOP)": lambda: one_fault(hang, sound),
        "hang, then Cancel": lambda: one_fault(hang_and_cancel, sound),
        "garbage on stdout": lambda: one_fault(nothing, sound, of_engine(CHATTER)),
        "out of memory, CPU": lambda: one_fault(nothing, long, of_engine(LITTLE_MEMORY)),
        "out of memory, CUDA (simulated)": lambda: one_fault(nothing, sound, of_engine(NO_GPU_MEMORY, False)),
        "engine stopped (installation)": lambda: one_fault(stop_engine, sound),
        "another file loaded": lambda: one_fault(load_file, sound, renew=True),
        "undo": lambda: one_fault(undo, sound, renew=True),
        "scene deleted": lambda: one_fault(delete_scene, sound, renew=True),
        "head deleted": lambda: one_fault(delete_head, sound, renew=True),
        "strip deleted": lambda: one_fault(delete_strip, sound, renew=True),
        "add-on disabled": lambda: one_fault(disable, sound, renew=True),
    }
    for way in WAYS_TO_QUIT:
        rows[f"Blender ends: {way}"] = lambda way=way: quitting(way, sound, folder)
    return rows


def main() -> int:
    """Break jobs, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--kills", type=int, default=50, help="of the built-in engine")
    parser.add_argument("--full-kills", type=int, default=20, help="of the full engine")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", help="rows whose name begins so")
    options = parser.parse_args()
    bad = 0
    with tempfile.TemporaryDirectory(prefix="faults-") as work:
        folder = Path(work) / "temporary"
        folder.mkdir()
        sound = write_sound(Path(work) / "speech.wav")
        enter(folder)
        client = part("engine_client")
        limits = client.Limits(restart=0.0, job_silence=5.0, cancel_grace=1.0)  # no pause after a crash; hangs end sooner
        part("session").EngineClient = partial(client.EngineClient, limits=limits)
        rng = random.Random(options.seed)
        rows = {
            "kill -9, built-in engine": lambda: kill_at_random(options.kills, False, sound, rng),
            "kill -9, full engine": lambda: kill_at_random(options.full_kills, True, sound, rng),
            **faults(sound, folder),
        }
        print(f"{'fault':34}{'times':>6}{'bad':>5}{'seconds':>9}  said")
        for name, run in rows.items():
            if options.only and not name.startswith(options.only):
                continue
            started = time.monotonic()
            times, problems, said = run()
            part("session").stop_engine()
            if children():
                problems.append(f"processes left: {len(children())}")
            left = [p.name for p in folder.rglob("facediff-*")]
            if left:
                problems.append(f"left behind: {', '.join(left)}")
            bad += len(problems)
            row = f"{name:34}{times:>6}{len(problems):>5}{time.monotonic() - started:>9.1f}"
            print(f"{row}  {' | '.join(sorted(said))[:300]}", flush=True)
            for problem in problems:
                print(f"    {problem}", flush=True)
        leave()
    return 1 if bad else 0


if __name__ == "__main__":
    run_and_exit(main)
