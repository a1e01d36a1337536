"""The command line as a person or a script meets it: statuses, sentences, and no file after a failure."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engine import __version__, cli
from engine.errors import InputError
from engine.motion import FaceMotion

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: str | Path, **options) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "engine", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, **options)


@pytest.fixture
def animate(monkeypatch):
    """Stands in for engine.animate.animate inside this process; `animate.calls` are the arguments it got."""
    import engine.animate

    def fake(audio, options, model="starter", progress=None, cancelled=None):
        fake.calls.append((audio, options, model))
        if fake.error:
            raise fake.error
        for step in range(5):
            if progress:
                progress("sampling", step, 4)
        return FaceMotion(fps=25.0, channels=("jawOpen",), weights=np.zeros((50, 1), np.float32))

    fake.calls, fake.error = [], None
    monkeypatch.setattr(engine.animate, "animate", fake)
    return fake


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("happy", {"happy": 1.0}),
        ("happy:0.6,surprised:0.4", {"happy": 0.6, "surprised": 0.4}),
        (" sad:.5 , angry", {"sad": 0.5, "angry": 1.0}),
    ],
)
def test_emotions_are_read_as_written(text, weights):
    assert cli.parse_emotion(text) == weights


@pytest.mark.parametrize("text", ["happy:", "happy:2", "happy:-1", ":1", "happy,happy", "happy:nan", "happy:x", ","])
def test_emotions_that_make_no_sense_are_refused(text):
    with pytest.raises(InputError, match="is not like 'happy' or"):
        cli.parse_emotion(text)


def test_animate_passes_every_option_on_and_writes_the_file(animate, tmp_path, capsys):
    out = tmp_path / "m.npz"
    options = (
        "--model other --emotion happy:0.6,sad:0.4 --intensity 0.5 --seed 9 --steps 12 --fps 30 --mouth-variation 0.3 "
        "--device cpu --landmarks --vertices"
    )
    assert cli.main(["animate", "speech.wav", "--out", str(out), *options.split()]) == 0
    audio, wanted, model = animate.calls[0]
    assert (audio, model) == ("speech.wav", "other")
    assert dict(wanted.emotion) == {"happy": 0.6, "sad": 0.4}
    assert (wanted.intensity, wanted.seed, wanted.steps, wanted.fps) == (0.5, 9, 12, 30.0)
    assert (wanted.mouth_variation, wanted.device, wanted.landmarks, wanted.vertices) == (0.3, "cpu", True, True)
    assert FaceMotion.load(out).frames == 50
    assert capsys.readouterr().out == f"{out}: 50 frames at 25 per second\n"


def test_the_defaults_are_the_models_own(animate, tmp_path):
    assert cli.main(["animate", "speech.wav", "--out", str(tmp_path / "m.npz")]) == 0
    wanted = animate.calls[0][1]
    assert (dict(wanted.emotion), wanted.intensity, wanted.seed, wanted.device) == ({}, 1.0, 0, "auto")
    assert (wanted.steps, wanted.fps, wanted.mouth_variation) == (None, None, None)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (InputError("The sound file 'x' is empty."), "The sound file 'x' is empty."),
        (MemoryError(), "There is not enough memory for this clip; try a shorter one or the CPU."),
        (OSError(28, "No space left on device"), "The disk is full; nothing was written."),
        (RuntimeError("boom\nsecond line"), "The engine failed unexpectedly (RuntimeError: boom)."),
    ],
)
def test_a_failure_is_one_sentence_and_no_file(animate, tmp_path, capsys, error, sentence):
    animate.error = error
    assert cli.main(["animate", "speech.wav", "--out", str(tmp_path / "m.npz")]) == 1
    captured = capsys.readouterr()
    assert captured.err == sentence + "\n" and captured.out == ""
    assert not list(tmp_path.iterdir())


def test_progress_is_shown_when_asked_for(animate, tmp_path, capsys):
    cli.main(["animate", "speech.wav", "--out", str(tmp_path / "m.npz"), "--progress"])
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("  ")[-1] for line in lines] == [f"sampling {n} %" for n in (0, 20, 50, 70, 100)]


def test_an_output_that_cannot_be_written_is_said_before_the_work(animate, tmp_path, capsys, monkeypatch):
    taken = tmp_path / "folder"
    taken.mkdir()
    locked = tmp_path / "locked"
    locked.mkdir()
    real_access = os.access  # the tests may run as root, who may write anywhere
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != locked and real_access(path, mode))
    for out, sentence in {
        tmp_path / "no" / "m.npz": f"There is no folder '{tmp_path / 'no'}' to write 'm.npz' into.",
        taken: f"'{taken}' is a folder, not a file to write.",
        locked / "m.npz": f"The folder '{locked}' does not allow writing.",
    }.items():
        assert cli.main(["animate", "speech.wav", "--out", str(out)]) == 1
        assert capsys.readouterr().err == sentence + "\n"
    assert animate.calls == []


def test_an_existing_file_survives_a_failure(animate, tmp_path):
    out = tmp_path / "m.npz"
    out.write_bytes(b"earlier")
    animate.error = InputError("No.")
    assert cli.main(["animate", "speech.wav", "--out", str(out)]) == 1
    assert out.read_bytes() == b"earlier"


# --- the real command


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["sing"], "invalid choice: 'sing'"),
        (["animate", "a.wav"], "required: --out"),
        (["animate", "a.wav", "--out", "m.npz", "--seed", "x"], "argument --seed: invalid int value: 'x'"),
        ([], "required: COMMAND"),
    ],
)
def test_a_wrong_command_line_is_one_sentence(arguments, said):
    done = run(*arguments)
    assert done.returncode == 2 and done.stdout == ""
    assert said in done.stderr and len(done.stderr.splitlines()) == 1 and done.stderr.endswith("--help.\n")


def test_missing_sound_is_one_sentence_from_the_real_engine(tmp_path):
    done = run("animate", tmp_path / "no such.wav", "--out", tmp_path / "m.npz")
    assert done.returncode == 1
    assert done.stderr == f"There is no sound file '{tmp_path / 'no such.wav'}'.\n"
    assert not list(tmp_path.iterdir())


def test_unknown_emotion_is_one_sentence_from_the_real_engine(tmp_path):
    done = run("animate", "a.wav", "--out", tmp_path / "m.npz", "--emotion", "bored")
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("There is no emotion 'bored'; choose from neutral, angry")


def test_help_lists_the_commands():
    done = run("--help")
    assert done.returncode == 0
    assert all(f" {name} " in done.stdout for name in ("animate", "serve", "devices", "report"))
    assert run("--version").stdout == f"{__version__}\n"


def test_devices_lists_the_cpu():
    done = run("devices")
    assert done.returncode == 0
    assert any(line.startswith("cpu   yes CPU") for line in done.stdout.splitlines())


@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ending_it_by_hand_leaves_nothing(tmp_path, number):
    script = (
        "import sys, time; import engine.animate as a; from engine.cli import main\n"
        "a.animate = lambda *_, **__: (print('working', flush=True), time.sleep(60))\n"
        f"sys.exit(main(['animate', 'a.wav', '--out', {str(tmp_path / 'm.npz')!r}]))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Tests that a shell runs in the background have inherited deafness to Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        assert process.stdout.readline() == "working\n"
        process.send_signal(number)
        assert process.wait(30) == 130
        assert process.stderr.read() == "Interrupted; nothing was written.\n"
    assert not list(tmp_path.iterdir())
