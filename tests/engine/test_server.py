"""The server over real pipes, with an engine of our own making behind it, and as the real process."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import fields
from pathlib import Path

import pytest

from engine import __version__
from engine.errors import Cancelled as JobCancelled
from engine.errors import InputError
from engine.failures import describe_failure
from engine.messages import (
    PROTOCOL,
    Alive,
    Cancel,
    Cancelled,
    DeviceInfo,
    Failure,
    Generate,
    Hello,
    HelloRequest,
    Progress,
    Result,
    Shutdown,
    Track,
    decode_event,
    decode_request,
    encode,
)
from engine.server import STAGE_SHARES, Engine, Server, _Meter, follow_video, load_engine, shares_of

ROOT = Path(__file__).resolve().parents[2]


class Note:
    """Something that can be saved."""

    def __init__(self, text: str) -> None:
        self.text = text

    def save(self, path: str) -> None:
        Path(path).write_text(self.text)


class Conversation:
    """A server on a thread, its pipes, and the engine behind it: what a job does depends on its audio's name."""

    def __init__(self) -> None:
        request_end, self._to = os.pipe()
        self._from, event_end = os.pipe()
        self.to, self.events = os.fdopen(self._to, "wb"), os.fdopen(self._from, "rb")
        self._reading, self._writing = os.fdopen(request_end, "rb"), os.fdopen(event_end, "wb")
        engine = Engine(self.generate, [CPU], "cpu", ["starter"])
        self.server = Server(self._reading, self._writing, load=lambda: engine)
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        self.release = threading.Event()
        self.requests: list[Generate] = []

    def generate(self, request, progress, cancelled):
        self.requests.append(request)
        if error := FAILURES.get(request.audio):
            raise error
        if request.audio == "print":
            print("a stray print")
        total = 100_000 if request.audio in ("endless", "deaf") else 5
        for step in range(total):
            if cancelled() and request.audio != "deaf":
                raise JobCancelled
            progress(next(iter(STAGE_SHARES)), step, total)
            self.release.wait(0.01 if total > 5 else 0.001)
        return Note(f"{request.audio} {request.seed}")

    def say(self, *requests) -> None:
        for request in requests:
            self.to.write(request if isinstance(request, bytes) else encode(request))
        self.to.flush()

    def hear(self, *wanted):
        """The next event of the wanted types; the others are read past."""
        while True:
            event = decode_event(self.events.readline())
            if isinstance(event, wanted):
                return event

    def close(self) -> None:
        self.to.close()
        self.thread.join(60)
        assert not self.thread.is_alive()
        for stream in (self._reading, self._writing, self.events):
            stream.close()


CPU = DeviceInfo("cpu", "CPU", True, "Always works.")
FAILURES = {
    "unknown": InputError("There is no emotion 'bored'."),
    "memory": MemoryError(),
    "torch": RuntimeError("[enforce fail at alloc_cpu.cpp:124] not enough memory: you tried to allocate 9 bytes."),
    "exit": SystemExit(2),
    "disk": OSError(errno.ENOSPC, "No space left on device", "/out/m.npz"),
    "denied": PermissionError(errno.EACCES, "Permission denied", "/out/m.npz"),
    "bug": KeyError("jawOpen"),
}


@pytest.fixture
def talk():
    conversation = Conversation()
    yield conversation
    conversation.close()


def job(tmp_path: Path, audio: str, id: str = "a", seed: int = 0) -> Generate:
    return Generate(id, audio, str(tmp_path / f"{id}.npz"), seed=seed)


def test_hello_tells_versions_devices_and_models(talk):
    talk.say(HelloRequest())
    hello = talk.hear(Hello)
    assert (hello.protocol, hello.engine_version) == (PROTOCOL, __version__)
    assert hello.python == ".".join(str(n) for n in sys.version_info[:3])
    assert (hello.devices, hello.default_device, hello.models) == ([CPU], "cpu", ["starter"])


def test_a_job_reports_progress_and_leaves_its_file(talk, tmp_path):
    talk.say(job(tmp_path, "speech", seed=7))
    stage = next(iter(STAGE_SHARES))
    first = talk.hear(Progress)
    assert (first.id, first.stage, first.step, first.total, first.fraction) == ("a", stage, 0, 5, 0.0)
    result = talk.hear(Result)
    assert Path(result.path).read_text() == "speech 7"
    assert set(result.seconds) == {stage, "save"} and result.seconds[stage] > 0.004


def test_jobs_run_one_after_the_other_in_the_order_of_asking(talk, tmp_path):
    talk.say(*[job(tmp_path, "speech", id) for id in "abc"])
    assert [talk.hear(Result).id for _ in range(3)] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("audio", "code", "message"),
    [
        ("unknown", "input", "There is no emotion 'bored'."),
        ("memory", "memory", "There is not enough memory for this clip; try a shorter one or the CPU."),
        ("torch", "memory", "There is not enough memory for this clip; try a shorter one or the CPU."),
        ("disk", "disk_full", "The disk is full ('/out/m.npz'); nothing was written."),
        ("denied", "file", "A file could not be read or written: Permission denied ('/out/m.npz')."),
        ("exit", "internal", "The engine failed unexpectedly (SystemExit: 2)."),
        ("bug", "internal", "The engine failed unexpectedly (KeyError: 'jawOpen')."),
    ],
)
def test_a_failed_job_is_a_sentence_with_a_code_and_the_server_lives_on(talk, tmp_path, audio, code, message):
    talk.say(job(tmp_path, audio), job(tmp_path, "speech", "b"))
    failure = talk.hear(Failure)
    assert (failure.id, failure.code, failure.message) == ("a", code, message)
    assert (code == "input") == (failure.detail == "")
    assert talk.hear(Result).id == "b"


def test_a_result_that_cannot_be_saved_is_a_failure(talk, tmp_path):
    talk.say(Generate("a", "speech", str(tmp_path / "missing" / "m.npz")))
    assert talk.hear(Failure, Result).code == "file"


def test_running_and_waiting_jobs_can_be_cancelled(talk, tmp_path):
    talk.say(job(tmp_path, "endless"), job(tmp_path, "speech", "b"), job(tmp_path, "speech", "c"))
    talk.hear(Progress)
    talk.say(Cancel("b"), Cancel("a"), Cancel("nobody"))
    assert talk.hear(Cancelled) == Cancelled("a")
    assert talk.hear(Cancelled) == Cancelled("b")
    assert talk.hear(Result).id == "c"
    assert [request.id for request in talk.requests] == ["a", "c"]
    assert [path.name for path in tmp_path.iterdir()] == ["c.npz"]


def test_an_id_that_is_in_use_is_refused(talk, tmp_path):
    talk.say(job(tmp_path, "endless"), job(tmp_path, "speech"))
    assert talk.hear(Failure).message == "There is already a job 'a'."
    talk.say(Cancel("a"))
    talk.hear(Cancelled)


def test_a_line_that_is_no_request_is_refused_and_the_server_lives_on(talk, tmp_path):
    talk.say(b"import os\n", b'{"type": "generate"}\n', b"\xff" * 100 + b"\n")
    assert [talk.hear(Failure).code for _ in range(3)] == ["protocol"] * 3
    talk.say(job(tmp_path, "speech"))
    assert talk.hear(Result).id == "a"


def test_it_says_that_it_is_alive_while_a_job_runs(talk, tmp_path):
    talk.say(job(tmp_path, "endless"))
    talk.hear(Progress)
    talk.hear(Alive)
    talk.hear(Alive)
    talk.say(Cancel("a"))
    talk.hear(Cancelled)


@pytest.mark.parametrize("audio", ["endless", "deaf"])
def test_the_end_of_the_requests_ends_it_even_in_the_middle_of_a_job(tmp_path, audio):
    talk = Conversation()
    talk.say(job(tmp_path, audio))
    talk.hear(Progress)
    started = time.monotonic()
    talk.to.close()
    talk.thread.join(60)
    assert not talk.thread.is_alive() and time.monotonic() - started < 3.0
    assert not list(tmp_path.iterdir())
    talk.release.set()


def test_shutdown_ends_it(talk):
    talk.say(Shutdown())
    talk.thread.join(60)
    assert not talk.thread.is_alive()


def test_progress_within_a_stage_is_told_at_most_twenty_times_a_second_with_the_share_of_the_whole_and_the_time_left():
    now, told = 100.0, []
    meter = _Meter("a", told.append, clock=lambda: now)
    meter("load", 0, 1)
    for step in range(101):
        meter("sampling", step, 100)
        now += 0.02
    meter("decode", 0, 1)
    meter.close()
    steps = [event.step for event in told if event.stage == "sampling"]
    assert steps[:3] == [0, 3, 6] and steps[-1] == 100 and len(steps) == 35
    before, share = STAGE_SHARES["load"], STAGE_SHARES["sampling"]
    middle = next(event for event in told if event.step == 51)
    assert middle.fraction == pytest.approx(before + 0.51 * share)
    assert middle.seconds_left == pytest.approx(51 * 0.02 * (1 - middle.fraction) / middle.fraction)
    assert [event.fraction for event in told] == sorted(event.fraction for event in told)
    assert told[0].seconds_left is None and told[-1].fraction == pytest.approx(before + share)
    assert meter.seconds == {"load": 0.0, "sampling": pytest.approx(2.02), "decode": 0.0}


def test_gpu_memory_is_told_apart_by_name_so_that_no_torch_is_needed():
    error = type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory.")
    assert describe_failure("a", error).code == "memory"
    assert describe_failure(None, ModuleNotFoundError("No module named 'torch'")).code == "install"


def test_torchs_own_words_for_too_little_memory_are_understood():
    import torch

    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 55)
    assert describe_failure("a", caught.value).code == "memory", str(caught.value)


def test_the_shares_of_the_stages_make_a_whole():
    assert sum(STAGE_SHARES.values()) == pytest.approx(1.0)
    for occlusion in ("auto", "mouth"):
        assert sum(shares_of(Track("a", "v", "o", occlusion=occlusion)).values()) == pytest.approx(1.0)


def test_a_video_job_is_followed_with_every_choice_of_the_request(monkeypatch, tmp_path):
    asked = {}
    monkeypatch.setattr("engine.track.track", lambda *given: asked.setdefault("given", given))
    request = Track(
        "a", "v.mp4", "o.npz", "s.wav", "masks", "m", 3, 4, "cpu", True, True, start=1.5, end=2.5, masks_fps=24.0, masks_start=1.0
    )
    follow_video(decode_request(encode(request)), print, bool)
    video, options, model, progress, _ = asked["given"]
    assert (video, model, progress, options.audio) == (Path("v.mp4"), "m", print, Path("s.wav"))
    for name in fields(options):
        if name.name != "audio":
            assert getattr(options, name.name) == getattr(request, name.name)


def test_a_video_job_has_progress_and_can_be_cancelled(talk, tmp_path):
    talk.say(Track("a", "v.mp4", str(tmp_path / "a.npz")))
    assert talk.hear(Progress).stage == "load"
    assert talk.hear(Result).path == str(tmp_path / "a.npz")
    talk.say(Track("b", "v.mp4", str(tmp_path / "b.npz"), "endless"))
    talk.hear(Progress)
    talk.say(Cancel("b"))
    talk.hear(Cancelled)
    assert not (tmp_path / "b.npz").exists()


def test_the_built_in_engine_says_that_videos_need_the_full_one():
    with pytest.raises(InputError, match="needs the full engine: press Install Full Engine"):
        load_engine(built_in=True).generate(Track("a", "v.mp4", "o.npz"), print, bool)


# --- the real process


def hear_ctrl_c() -> None:
    """Tests that a shell runs in the background have inherited deafness to Ctrl-C; a person's terminal has not."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def process(tmp_path):
    scratch = tmp_path / "facediff-engine-1"
    scratch.mkdir()
    command = [sys.executable, "-m", "engine", "serve", "--log", tmp_path / "log.txt", "--scratch", scratch]
    child = subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=hear_ctrl_c if os.name == "posix" else None,
    )
    yield child
    child.kill()
    child.wait()
    for stream in (child.stdin, child.stdout, child.stderr):
        stream.close()


def read_until(process, word: str) -> dict:
    while True:
        event = json.loads(process.stdout.readline())
        if event["type"] == word:
            return event


def test_the_process_speaks_json_only_logs_to_its_file_and_ends_with_stdin(process, tmp_path):
    process.stdin.write(b'{"type": "hello", "protocol": 1}\n')
    process.stdin.flush()
    hello = read_until(process, "hello")
    assert hello["engine_version"] == __version__ and hello["devices"][-1]["id"] == "cpu"
    process.stdin.write(b'{"type": "generate", "id": "1", "audio": "/no/such.wav", "out": "m.npz", "intensity": 7}\n')
    process.stdin.flush()
    error = read_until(process, "error")
    assert error["code"] == "input" and "between 0 and 1" in error["message"]
    process.stdin.close()
    assert process.wait(60) == 0
    log = (tmp_path / "log.txt").read_text()
    assert "ready after" in log and "/no/such.wav" in log and process.stderr.read() == b""
    assert not (tmp_path / "facediff-engine-1").exists()


def test_it_never_removes_a_folder_that_is_not_a_hosts_private_one(tmp_path):
    command = [sys.executable, "-m", "engine", "serve", "--scratch", tmp_path]
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.endswith("so it is not one to remove.\n")
    assert tmp_path.is_dir()


def test_the_process_ends_while_it_is_still_loading(process, tmp_path):
    process.stdin.close()
    assert process.wait(60) == 0


@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
def test_a_person_may_end_it_with_ctrl_c(process):
    assert json.loads(process.stdout.readline()) == {"type": "alive"}
    for _ in range(10):  # Python drops an interrupt that comes while a finaliser runs; a person presses again
        process.send_signal(signal.SIGINT)
        try:
            assert process.wait(6) == 130
            break
        except subprocess.TimeoutExpired:
            continue
    else:
        pytest.fail("ten times Ctrl-C did not end it")
