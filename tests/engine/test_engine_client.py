"""The client and its jobs against a mock engine that goes wrong in every way we can think of."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest
from facediff.engine.messages import EXIT_NO_MEMORY, NO_MEMORY, Cancelled, Failure, Generate, Hello, Progress, Result
from facediff.facediff_blender.engine_client import EngineClient, EngineError, Limits
from facediff.facediff_blender.engine_process import clean_environment
from facediff.facediff_blender.jobs import Job, Jobs, JobState

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PATIENT = 120.0  # seconds until a test gives up; on an idle machine none takes more than one
# Limits that a busy machine does not reach by itself, but where reaching one is the point.
LONG = Limits(start_silence=60, job_silence=60, stuck=60, cancel_grace=30, end_grace=30, garbage_lines=20)
QUICK = {
    "hang-at-start": replace(LONG, start_silence=0.6),
    "close-stdin": replace(LONG, start_silence=0.6),
    "hang": replace(LONG, job_silence=0.6, cancel_grace=0.3),
    "stuck": replace(LONG, stuck=0.6),
    "deaf": replace(LONG, cancel_grace=0.3),
    "close-stdout": replace(LONG, end_grace=0.2),
}


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Private folders go here, so that one left behind is seen."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def make(temporary):
    """make(mode) -> EngineClient of a mock engine; afterwards nothing may be left of any of them."""
    clients = []

    def build(mode: str, **options) -> EngineClient:
        command = options.pop("command", [sys.executable, str(HERE / "mock_engine.py"), mode])
        options.setdefault("limits", QUICK.get(mode, LONG))
        clients.append(EngineClient(sys.executable, ROOT, command=command, **options))
        return clients[-1]

    yield build
    groups = [client.pid for client in clients if client.pid]
    for client in clients:
        client.stop()
    assert not list(temporary.glob("facediff-engine-*")), "a private folder was left behind"
    for group in groups:
        assert not group_lives(group), "a process was left behind"


def group_lives(group: int) -> bool:
    """Whether any process of the group is left that is not a zombie waiting to be collected."""
    end = time.monotonic() + PATIENT
    while time.monotonic() < end:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.01)
    return True


def wait_for(client: EngineClient, wanted: type | tuple[type, ...]) -> list:
    """Poll as Blender's timer does until an event of a wanted type came; all events until then."""
    events, end = [], time.monotonic() + PATIENT
    while time.monotonic() < end:
        events += client.poll()
        if any(isinstance(event, wanted) for event in events):
            return events
        time.sleep(0.005)
    raise AssertionError(f"nothing came but {events}; log: {client.log_tail()}")


def run_out(jobs: Jobs, job: Job, until: tuple[JobState, ...] = ()) -> Job:
    """Tick until the job is over, or in one of the states."""
    end = time.monotonic() + PATIENT
    while not job.over and job.state not in until:
        assert time.monotonic() < end, (job.state, job.stage, jobs.client.log_tail())
        jobs.tick()
        time.sleep(0.005)
    return job


def request(client: EngineClient, id: str = "a") -> Generate:
    return Generate(id, "speech.wav", str(client.scratch / f"{id}.npz"))


# --- the good case


def test_a_job_goes_through_every_state_and_yields_its_file_once(make):
    jobs = Jobs(make("ok"))
    job = jobs.submit("speech.wav", emotion={"happy": 1.0}, seed=3)
    states, fractions = [job.state], []
    while not job.over and job.state is not JobState.FINISHING:
        jobs.tick()
        if states[-1] is not job.state:
            states.append(job.state)
        fractions.append(job.fraction)
        time.sleep(0.001)
    assert states[0] is JobState.STARTING and states[-1] is JobState.FINISHING
    assert [s for s in states if s in (JobState.PREPARING, JobState.RUNNING)] == states[1:-1]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0
    path = job.take_result()
    assert path.read_bytes() == b"a motion" and job.take_result() is None
    assert job.seconds == {"sampling": 0.1}
    job.finish()
    assert job.state is JobState.DONE and not path.exists()
    assert jobs.tick() and not jobs.active  # True: the panel must be drawn once more
    assert not jobs.tick()


def test_a_warm_engine_takes_the_next_job_without_starting(make):
    jobs = Jobs(make("ok"))
    first = run_out(jobs, jobs.submit("a.wav"), (JobState.FINISHING,))
    pid = jobs.client.pid
    second = jobs.submit("b.wav")
    assert second.state is JobState.PREPARING and second.id != first.id
    run_out(jobs, second, (JobState.FINISHING,))
    assert jobs.client.pid == pid


def test_several_jobs_may_wait_together(make):
    jobs = Jobs(make("ok"))
    waiting = [jobs.submit("a.wav", seed=seed) for seed in range(3)]
    for job in waiting:
        run_out(jobs, job, (JobState.FINISHING,))
    assert len({job.take_result() for job in waiting}) == 3


def test_lines_that_are_no_messages_are_logged_and_do_no_harm(make):
    client = make("some-garbage")
    client.send(request(client))
    assert isinstance(wait_for(client, (Result, Failure))[-1], Result)
    assert "not a message: a library says hello on stdout" in client.log_tail()


def test_nothing_the_caller_does_waits(make):
    client, jobs_took = make("huge-output"), []
    jobs = Jobs(client)
    job = jobs.submit("a.wav")
    while job.state is not JobState.FINISHING and not job.over:
        started = time.perf_counter()
        jobs.tick()
        jobs_took.append(time.perf_counter() - started)
        time.sleep(0.001)
    assert job.state is JobState.FINISHING
    jobs_took.sort()
    assert jobs_took[len(jobs_took) // 4] < 0.008  # the budget of 5 ms; a low quartile, because machines are shared


# --- cancelling


def test_cancel_is_obeyed_and_the_engine_stays_warm(make):
    jobs = Jobs(make("slow"))
    job = run_out(jobs, jobs.submit("a.wav"), (JobState.RUNNING,))
    pid = jobs.client.pid
    job.request_cancel()
    assert run_out(jobs, job).state is JobState.CANCELLED
    assert jobs.client.pid == pid and jobs.client.state == "ready"


@pytest.mark.parametrize("mode", ["deaf", "hang"])
def test_an_engine_that_does_not_obey_is_killed_after_the_grace_and_may_start_again_at_once(make, mode):
    jobs = Jobs(make(mode))
    job = run_out(jobs, jobs.submit("a.wav"), (JobState.RUNNING,))
    pid, started = jobs.client.pid, time.monotonic()
    behind = jobs.submit("b.wav")
    job.request_cancel()
    assert run_out(jobs, job).state is JobState.CANCELLED
    assert time.monotonic() - started >= QUICK[mode].cancel_grace
    assert not group_lives(pid)
    assert run_out(jobs, behind).state is JobState.FAILED
    assert behind.message == "The engine was ended because it did not stop a cancelled job."
    assert jobs.submit("c.wav").state is JobState.STARTING


def test_an_abandoned_job_is_over_at_once_and_its_result_is_thrown_away(make):
    jobs = Jobs(make("ok"))
    job = run_out(jobs, jobs.submit("a.wav"), (JobState.RUNNING,))
    job.abandon("The head was deleted.")
    assert job.state is JobState.CANCELLED and job.message == "The head was deleted."
    while job.id in jobs.client._jobs:  # until its last words have come
        jobs.tick()
        time.sleep(0.005)
    assert job.take_result() is None and not list(jobs.client.scratch.glob("*.npz"))


def test_everything_is_abandoned_when_another_file_is_loaded(make):
    jobs = Jobs(make("slow"))
    both = [jobs.submit("a.wav"), jobs.submit("b.wav")]
    done = Jobs(make("ok"))
    finishing = run_out(done, done.submit("c.wav"), (JobState.FINISHING,))
    for job in (*both, finishing):
        job.abandon("Another file was loaded.")
    jobs.tick()
    assert [job.message for job in [*both, finishing]] == ["Another file was loaded."] * 3
    assert finishing.take_result() is None and not jobs.active


def test_a_result_that_overtakes_the_cancel_is_not_applied(make):
    jobs = Jobs(make("ok"))
    job = run_out(jobs, jobs.submit("a.wav"), (JobState.FINISHING,))
    job.request_cancel()
    assert job.state is JobState.CANCELLED and job.take_result() is None


# --- everything that goes wrong


@pytest.mark.parametrize(
    ("mode", "sentence"),
    [
        ("crash-at-start", "The engine stopped while it was starting (exit status 1)."),
        ("crash-in-job", "The engine was ended by the signal SIGABRT unexpectedly."),
        ("hang", "The engine has not answered for 1 s and was ended."),
        ("stuck", "The engine made no progress for 0 minutes and was ended."),
        ("hang-at-start", "The engine did not start within 1 s."),
        ("close-stdin", "The engine did not start within 1 s."),
        ("close-stdout", "The engine closed its output but did not end."),
        ("grandchild", "The engine stopped unexpectedly (exit status 4)."),
        ("disk-full", "The disk is full."),
        ("no-file", "The engine said it was done but left no motion file."),
        ("empty-file", "The engine said it was done but left no motion file."),
    ],
)
def test_each_failure_is_one_sentence_and_leaves_nothing(make, mode, sentence):
    jobs = Jobs(make(mode))
    job = jobs.submit("a.wav")
    pid = jobs.client.pid
    run_out(jobs, job)
    assert (job.state, job.message) == (JobState.FAILED, sentence)
    assert job.take_result() is None and not list(jobs.client.scratch.glob("*.npz"))
    if mode not in ("disk-full", "no-file", "empty-file"):
        assert jobs.client.state == "stopped" and not group_lives(pid)


@pytest.mark.parametrize("mode", ["garbage", "endless-line"])
def test_an_engine_that_only_talks_nonsense_is_given_up(make, mode):
    jobs = Jobs(make(mode))
    job = run_out(jobs, jobs.submit("a.wav"))
    assert job.state is JobState.FAILED and job.message.startswith("The engine talks nonsense ('")
    assert "is the engine's Python?" not in job.message and sys.executable in job.message


@pytest.mark.parametrize(("mode", "version"), [("wrong-version", "9.9.9"), ("wrong-protocol", "0.1.0")])
def test_another_version_of_the_engine_is_refused(make, mode, version):
    job_list = Jobs(make(mode))
    job = run_out(job_list, job_list.submit("a.wav"))
    assert job.message.startswith(f"The engine is version {version} (protocol ")
    assert job.message.endswith("install the engine again.")


def test_a_damaged_motion_file_is_the_callers_to_refuse(make):
    from facediff.engine.motion import FaceMotion, MotionError

    jobs = Jobs(make("partial-file"))
    job = run_out(jobs, jobs.submit("a.wav"), (JobState.FINISHING,))
    with pytest.raises(MotionError) as caught:
        FaceMotion.load(job.take_result())
    job.finish(str(caught.value))
    assert job.state is JobState.FAILED and "not a motion file" in job.message


def test_the_last_lines_of_the_log_come_with_a_crash(make):
    jobs = Jobs(make("crash-in-job"))
    job = run_out(jobs, jobs.submit("a.wav"))
    assert "Fatal: the mock engine crashes now" in job.detail


def test_kill_9_in_the_middle_of_a_job(make):
    jobs = Jobs(make("slow"))
    job = run_out(jobs, jobs.submit("a.wav"), (JobState.RUNNING,))
    os.kill(jobs.client.pid, signal.SIGKILL)
    run_out(jobs, job)
    assert job.message == (
        "The engine was ended by the signal SIGKILL unexpectedly; the computer may be out of memory."
    )


def test_it_is_restarted_after_a_crash_but_not_twice_in_5_seconds(make):
    now = 100.0
    client = make("crash-at-start", clock=lambda: now)
    client.start()
    failure = wait_for(client, Failure)[-1]
    assert failure.id is None and failure.code == "engine" and "no module named torch" in failure.detail
    now += 3
    with pytest.raises(EngineError, match=r"exit status 1.*again in 2 s\.$"):
        client.start()
    now += 2
    client.start()
    assert client.state == "starting"


def test_an_engine_that_died_while_idle_is_started_anew_by_the_next_job(make):
    jobs = Jobs(make("ok"))
    run_out(jobs, jobs.submit("a.wav"), (JobState.FINISHING,))
    pid = jobs.client.pid
    os.kill(pid, signal.SIGKILL)
    while jobs.client._process.child.poll() is None:
        time.sleep(0.001)
    run_out(jobs, jobs.submit("b.wav"), (JobState.FINISHING,))
    assert jobs.client.pid != pid and not group_lives(pid)


@pytest.fixture
def deaf(make):
    """(jobs, job): the job was sent to an idle engine that stands still; nothing of it was read."""
    jobs = Jobs(make("ok"))
    run_out(jobs, jobs.submit("a.wav"), (JobState.FINISHING,))
    os.kill(jobs.client.pid, signal.SIGSTOP)
    return jobs, jobs.submit("b.wav")


def kill_under(jobs: Jobs) -> int:
    """Kill the engine, and tick until the client has noticed; returns the process that is gone."""
    pid, end = jobs.client.pid, time.monotonic() + PATIENT
    os.killpg(pid, signal.SIGKILL)
    while jobs.client.pid == pid:
        assert time.monotonic() < end
        jobs.tick()
        time.sleep(0.001)
    return pid


def test_a_job_that_a_dead_engine_never_read_is_done_by_a_fresh_one(deaf):
    jobs, job = deaf
    pid = kill_under(jobs)
    assert not job.over and jobs.client.state == "starting" and not group_lives(pid)
    assert run_out(jobs, job, (JobState.FINISHING,)).take_result().read_bytes() == b"a motion"


def test_a_job_is_sent_again_only_once(deaf):
    jobs, job = deaf
    kill_under(jobs)
    kill_under(jobs)
    assert job.state is JobState.FAILED and job.message.startswith("The engine was ended by the signal SIGKILL while")


def test_a_job_that_was_cancelled_is_not_sent_again(deaf):
    jobs, job = deaf
    job.request_cancel()
    kill_under(jobs)
    assert run_out(jobs, job).state is JobState.CANCELLED and jobs.client.state == "stopped"


@pytest.mark.parametrize(
    ("python", "sentence"),
    [
        ("/nowhere/python", "The engine's Python '/nowhere/python' was not found."),
        (str(ROOT), f"The engine's Python '{ROOT}' cannot be run (Permission denied)."),
        ("py\0thon", "The engine's Python 'py\\x00thon' is not a path."),
    ],
)
def test_a_python_that_cannot_be_run_is_named(temporary, python, sentence):
    client = EngineClient(python, ROOT)
    jobs = Jobs(client)
    for _ in range(2):  # mending the setting must not need a wait
        job = jobs.submit("a.wav")
        assert (job.state, job.message) == (JobState.FAILED, sentence)
    client.stop()
    assert not list(temporary.iterdir())


def test_a_program_that_is_not_a_python_is_refused(temporary):
    client = EngineClient("/bin/true", ROOT)
    job = Jobs(client).submit("a.wav")
    jobs = Jobs(client)
    jobs.active[job.id] = job
    assert run_out(jobs, job).message == "The engine stopped while it was starting (exit status 0)."
    client.stop()


def test_no_temporary_folder_is_a_sentence(temporary, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(temporary / "gone"))
    job = Jobs(EngineClient(sys.executable, ROOT)).submit("a.wav")
    assert job.message == "No temporary folder can be made (No such file or directory)."


def test_a_host_that_was_busy_for_a_minute_does_not_call_the_engine_silent(make):
    now = 0.0
    client = make("slow", clock=lambda: now, limits=Limits())
    client.send(request(client))
    wait_for(client, Progress)
    now += 120.0
    assert not [event for event in client.poll() if isinstance(event, Failure)]


# --- the process


def test_the_real_engine_process_says_hello_with_its_own_folder_as_the_only_path_of_ours(temporary):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", "/nowhere")
        patch.setenv("PYTHONHOME", "/nowhere")
        client = EngineClient(sys.executable, ROOT)
        client.start()
        hello = wait_for(client, (Hello, Failure))[-1]
    assert isinstance(hello, Hello), hello
    assert client.hello == hello and client.state == "ready"
    assert hello.default_device in {d.id for d in hello.devices if d.usable}
    client.stop()
    assert not list(temporary.iterdir())


def test_the_childs_environment_is_cleaned_of_the_hosts_python():
    host = {
        "PATH": "/bin", "HOME": "/h", "CUDA_VISIBLE_DEVICES": "0", "HSA_OVERRIDE_GFX_VERSION": "1", "TEMP": "/t",
        "LD_LIBRARY_PATH": "/cuda", "PYTHONHOME": "x", "PYTHONPATH": "x", "PYTHONSTARTUP": "x", "VIRTUAL_ENV": "x",
        "CONDA_PREFIX": "x", "__PYVENV_LAUNCHER__": "x", "BLENDER_SYSTEM_PYTHON": "x", "LD_PRELOAD": "x",
    }  # fmt: skip
    assert set(clean_environment(host)) == {
        "PATH", "HOME", "CUDA_VISIBLE_DEVICES", "HSA_OVERRIDE_GFX_VERSION", "TEMP", "LD_LIBRARY_PATH",
    }  # fmt: skip


def test_a_folder_with_spaces_and_accents_is_no_obstacle(make, temporary):
    command = [sys.executable, str(HERE / "mock_engine.py"), "ok"]
    folder = temporary / "Größe und Maß 日本"
    folder.mkdir()
    client = make("ok", command=command, log_file=folder / "log file.txt")
    job_list = Jobs(client)
    run_out(job_list, job_list.submit("наверх.wav"), (JobState.FINISHING,))
    assert (folder / "log file.txt").exists()


HOST = """
import sys, time
sys.path.insert(0, {here!r})
import conftest
from facediff.facediff_blender.engine_client import EngineClient
client = EngineClient({python!r}, {root!r})
client.start()
while not client.hello:
    client.poll()
    time.sleep(0.01)
print(client.pid, client.scratch, flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is a POSIX matter")
def test_the_real_engine_ends_and_cleans_up_when_its_host_is_killed(temporary):
    script = HOST.format(here=str(HERE), python=sys.executable, root=str(ROOT))
    environment = {**os.environ, "TMPDIR": str(temporary)}
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment) as host:
        pid, scratch = host.stdout.readline().split(maxsplit=1)
        assert Path(scratch.strip()).is_dir()
        host.kill()
    assert not group_lives(int(pid))
    assert not list(temporary.iterdir())


def test_stopping_takes_a_moment_only_even_when_the_engine_hangs(make):
    jobs = Jobs(make("hang"))
    run_out(jobs, jobs.submit("a.wav"), (JobState.RUNNING,))
    pid, started = jobs.client.pid, time.monotonic()
    jobs.client.stop()
    assert time.monotonic() - started < 3.0 and not group_lives(pid)


def test_an_exit_of_the_host_stops_the_engine(temporary):
    script = HOST.replace("time.sleep(60)\n", "").replace("while not client.hello:", "while False:")
    script = script.format(here=str(HERE), python=sys.executable, root=str(ROOT))
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env={**os.environ, "TMPDIR": str(temporary)}
    )
    assert done.returncode == 0, done.stderr
    assert not group_lives(int(done.stdout.split()[0])) and not list(temporary.iterdir())


# --- the time left


def test_the_time_left_counts_down_between_events_and_does_not_jump(make):
    job = Job(Generate("a", "a.wav", ""), make("ok"))
    for now in (10.0, 10.1):
        job.tick(now)
    assert job.seconds_left is None
    job.hear(Progress("a", "sampling", 1, 10, 0.1, 20.0))
    assert job.seconds_left == 20.0
    job.tick(12.1)
    assert job.seconds_left == pytest.approx(18.0)
    job.hear(Progress("a", "sampling", 2, 10, 0.2, 28.0))
    assert job.seconds_left == pytest.approx(21.0)
    job.hear(Progress("a", "sampling", 2, 10, 0.15, None))
    assert job.seconds_left == pytest.approx(21.0) and job.fraction == 0.2
    job.tick(60.0)
    assert job.seconds_left == 0.0
    job.hear(Cancelled("a"))
    assert job.seconds_left is None


# --- what a run of scripts/faults.py found


def test_an_engine_without_memory_for_its_last_words_says_it_by_its_exit_status(make):
    client = make("ok", command=[sys.executable, "-c", f"raise SystemExit({EXIT_NO_MEMORY})"])
    client.start()
    assert wait_for(client, Failure)[-1].message == NO_MEMORY


def test_words_that_no_panel_can_show_are_left_out(make):
    code = "import sys\nwhile True: sys.stdout.buffer.write(b'a\\x00\\x1b[1m\\x07b\\n'); sys.stdout.flush()"
    client = make("ok", command=[sys.executable, "-c", code])
    client.start()
    assert wait_for(client, Failure)[-1].message.startswith("The engine talks nonsense ('a  [1m b');")


@pytest.mark.skipif(not Path("/proc/self/net").is_dir(), reason="only Linux lists the sockets of a process")
def test_the_engine_opens_no_port_and_its_folder_is_private(temporary):
    client = EngineClient(sys.executable, ROOT, built_in=True)
    jobs = Jobs(client)
    job = jobs.submit(str(ROOT / "engine" / "assets" / "demo" / "speech.flac"))
    wait_for(client, (Hello, Failure))
    sockets = [os.readlink(link) for link in Path(f"/proc/{client.pid}/fd").iterdir() if link.is_symlink()]
    assert not [s for s in sockets if s.startswith("socket:")]
    assert client.scratch.stat().st_mode & 0o777 == 0o700
    job.abandon("Enough.")
    client.stop()
    assert not list(temporary.iterdir())
