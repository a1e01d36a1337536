"""A batch over real files: results by another reader, restarts, failures that stop nothing, killed workers, a full disk."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine import batch_files, cli
from engine.animate import ASSETS
from engine.batch import ATTEMPTS, Batch, environments
from engine.batch_files import PARTS, Job, find_jobs, is_done, make_parts, write_results
from engine.batch_worker import Outcome, Worker
from engine.errors import InputError
from engine.face.livelink import read_csv
from engine.motion import FaceMotion

REQUEST = {"seed": 0}


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """Three short sounds, two of one name, and a file that is none."""
    folder = tmp_path_factory.mktemp("sounds")
    samples, rate = soundfile.read(ASSETS / "demo" / "speech.flac")
    (folder / "deep").mkdir()
    for number, name in enumerate(("a.wav", "b.flac", "deep/c.d.wav")):
        soundfile.write(folder / name, samples[number * rate : (number + 1) * rate], rate)
    (folder / "b.wav").write_text("nothing")
    (folder / "notes.txt").write_text("nothing")
    return folder


@pytest.fixture(scope="module")
def results(sounds, tmp_path_factory):
    """The first run: its folder, exit status and lines."""
    out = tmp_path_factory.mktemp("out") / "new"
    return out, *run(sounds, out)


def run(folder: Path, out: Path, *more: str) -> tuple[int, list[str]]:
    command = [sys.executable, "-m", "engine", "batch", str(folder), "--out", str(out), "--device", "numpy"]
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([*command, "--workers", "1", *more], cwd=root, capture_output=True, text=True)
    assert done.stderr == ""
    return done.returncode, done.stdout.splitlines()


def motion(value: float = 0.0) -> FaceMotion:
    return FaceMotion(25.0, ("jawOpen",), np.full((5, 1), value, np.float32))


def files(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_results_are_whole_and_one_bad_file_stops_nothing(results):
    out, status, lines = results
    stems = ("a", "b.flac", "deep/c.d")
    assert files(out) == sorted(f"{stem}{suffix}" for stem in stems for suffix in (".npz", ".csv", ".json"))
    assert status == 1 and len(lines) == 5 and lines[-1] == "3 done, 0 done before, 1 failed; the same command tries again."
    assert any(line.endswith("b.wav: failed: 'b.wav' is not a sound or video file that can be read.") for line in lines)
    for stem in stems:
        made, table = FaceMotion.load(out / f"{stem}.npz"), read_csv(out / f"{stem}.csv")
        facts = json.loads((out / f"{stem}.json").read_text())
        assert made.frames == table.frames == facts["frames"] == len(facts["weights"]) == 25
        np.testing.assert_allclose(np.array(facts["weights"]), made.weights, atol=1e-6)
        np.testing.assert_allclose(table.weights[:, [table.channels.index(n) for n in made.channels]], made.weights, atol=1e-6)


def test_a_restart_makes_only_what_is_not_done(sounds, results):
    out = results[0]
    before = {name: (out / name).stat().st_mtime_ns for name in files(out)}
    (out / "a.csv").write_text("damaged")
    (out / "b.flac.json").unlink()
    status, lines = run(sounds, out)
    assert status == 1 and lines[-1].startswith("2 done, 1 done before, 1 failed")
    kept = {name for name in files(out) if (out / name).stat().st_mtime_ns == before[name]}
    assert kept == {"deep/c.d.npz", "deep/c.d.csv", "deep/c.d.json"}
    assert read_csv(out / "a.csv").frames == 25


def test_another_request_or_sound_makes_it_anew(tmp_path):
    source = tmp_path / "a.wav"
    source.write_bytes(b"one")
    job = Job(source, tmp_path / "a")
    write_results(motion(), job, REQUEST, tmp_path)
    assert is_done(job, REQUEST) and not is_done(job, {"seed": 1})
    source.write_bytes(b"two")
    assert not is_done(job, REQUEST)


def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch):
    source = tmp_path / "a.wav"
    source.write_bytes(b"one")
    job, parts = Job(source, tmp_path / "out" / "a"), tmp_path / "parts"
    parts.mkdir()
    write_results(motion(0.25), job, REQUEST, parts)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(batch_files.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_results(motion(0.5), job, {"seed": 1}, parts)
    assert is_done(job, REQUEST) and FaceMotion.load(tmp_path / "out" / "a.npz").weights[0, 0] == 0.25


class Pretended:
    """A worker whose answers are given; None is the end of the list and "done"."""

    def __init__(self, answers: list[Outcome], ended: Callable[[], None] = lambda: None) -> None:
        self.answers, self.end = answers, ended

    def do(self, job: Job) -> Outcome:
        return self.answers.pop(0) if self.answers else Outcome("done", "")


def begun(count: int) -> tuple[Batch, list[str]]:
    lines: list[str] = []
    batch = Batch([Job(Path(f"no/{i}.wav"), Path(f"no/{i}"), f"{i}.wav") for i in range(count)], REQUEST, lines.append)
    assert not batch.find_done()
    return batch, lines


def test_a_dead_worker_is_told_and_its_file_tried_again():
    batch, lines = begun(3)
    batch.work([Pretended([Outcome("died", "killed", "engine")])])
    assert lines == ["[0/3] 0.wav: tried again: killed", "[1/3] 1.wav: ", "[2/3] 2.wav: ", "[3/3] 0.wav: "]
    assert batch.done == 3 and not batch.failed


def test_a_file_that_kills_every_worker_fails_alone():
    batch, lines = begun(1)
    batch.work([Pretended([Outcome("died", "crashed", "engine")] * 9)])
    assert [line.split(": ")[1] for line in lines] == ["tried again"] * (ATTEMPTS - 1) + ["failed"]
    assert len(batch.failed) == 1


def test_workers_that_cannot_start_end_the_batch():
    batch, lines = begun(2)
    batch.work([Pretended([Outcome("died", "no numpy", "start")] * 99)])
    assert len(batch.failed) == 2 and "waits: no numpy" in lines[0] and "failed: No worker" in lines[-1]


def test_a_full_disk_is_tried_once_more_at_the_end():
    batch, lines = begun(2)
    full = Outcome("failed", "The disk is full; nothing was written.", "disk_full")
    batch.work([Pretended([full, Outcome("done", ""), full])])
    assert [line.split(": ")[1] for line in lines] == ["tried again", "", "failed"] and batch.done == 1


def test_a_worker_that_is_killed_is_noticed_and_replaced(sounds, tmp_path):
    samples, rate = soundfile.read(ASSETS / "demo" / "speech.flac")
    soundfile.write(tmp_path / "long.wav", np.tile(samples, 12), rate)
    shared = {"options": {**_options(), "device": "numpy"}, "request": REQUEST}
    worker = Worker("w", shared, {"OPENBLAS_NUM_THREADS": "1"}, tmp_path)
    try:
        assert worker.do(Job(sounds / "a.wav", tmp_path / "a")).status == "done"
        outcomes: list[Outcome] = []
        thread = threading.Thread(target=lambda: outcomes.append(worker.do(Job(tmp_path / "long.wav", tmp_path / "long"))))
        thread.start()
        while not (tmp_path / "w").is_dir():
            time.sleep(0.005)
        worker.process.kill()
        thread.join()
        assert outcomes[0].status == "died" and ("signal 9" in outcomes[0].text or os.name == "nt")
        assert not (tmp_path / "w").exists() and not (tmp_path / "long.npz").exists()
        assert worker.do(Job(sounds / "b.flac", tmp_path / "b")).status == "done"
    finally:
        worker.end()


def _options() -> dict[str, object]:
    options = cli._parser().parse_args(["animate", "a.wav", "--out", "b.npz"])
    return {k: v for k, v in vars(options).items() if k != "run"}


def test_unfinished_files_of_dead_processes_are_removed(tmp_path):
    mine = make_parts(tmp_path)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left = mine.with_name(f"{mine.name.rpartition('-')[0]}-{dead.pid}")
    elsewhere = tmp_path / f"{PARTS}another_machine-1"
    for folder in (left, elsewhere):
        folder.mkdir()
    assert make_parts(tmp_path) == mine and mine.is_dir() and elsewhere.is_dir() and not left.exists()


def test_processes_share_the_files_out(sounds, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    names = []
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        monkeypatch.setattr("engine.batch.Batch.work", lambda self, _: names.append([j.name for j in self.waiting]))
        cli.main(["batch", str(sounds), "--out", str(tmp_path / "out"), "--device", "numpy"])
    assert names == [["a.wav", "b.wav"], ["b.flac", os.path.join("deep", "c.d.wav")]]


def test_workers_share_the_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert len(environments("cpu", None, 100)) == 8 and len(environments("cpu", None, 3)) == 3
    assert [e["OMP_NUM_THREADS"] for e in environments("cpu", 2, 100)] == ["4", "4"]
    monkeypatch.setattr("engine.batch.count_gpus", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    assert [e["CUDA_VISIBLE_DEVICES"] for e in environments("auto", None, 100)] == ["3", "5"]
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert [e["CUDA_VISIBLE_DEVICES"] for e in environments("auto", None, 100)] == ["5"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "needs a folder"),
        (["no such", "--out", "x"], "There is no folder"),
        (["SOUNDS", "--out", "x", "--emotion", "bored"], "no emotion 'bored'"),
        (["SOUNDS", "--out", "x", "--workers", "0"], "at least 1 worker"),
        (["SOUNDS", "--out", "x", "--model", "no such"], "There is no model"),
    ],
)
def test_what_cannot_be_is_one_sentence(sounds, tmp_path, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["batch", *(str(sounds) if a == "SOUNDS" else a for a in arguments)]) == 1
    error = capsys.readouterr().err
    assert said in error and len(error.splitlines()) == 1 and not list(tmp_path.iterdir())


def test_a_folder_without_sounds(tmp_path):
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "a.wav").write_text("")
    with pytest.raises(InputError, match="no sound"):
        find_jobs(tmp_path, tmp_path / "out")
