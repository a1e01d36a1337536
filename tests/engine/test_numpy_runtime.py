"""The starter on NumPy alone: the same performances as with PyTorch, and nothing but NumPy imported on the way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from engine.animate import ASSETS, load_model
from engine.audio import SAMPLE_RATE, load_audio
from engine.diffusion.samplers import ddim, ddim_timesteps, dpm_solver_pp_2m
from engine.diffusion.schedule import cosine_schedule, cosine_schedule_arrays
from engine.errors import InputError
from engine.messages import Check, Failure, Generate, Hello, HelloRequest, Result, decode_event, encode
from engine.motion import FaceMotion
from engine.starter import pipeline

ROOT = Path(__file__).resolve().parents[2]
STARTER = ASSETS / "starter"
# What Blender's own Python lacks; None in sys.modules makes an import fail as if it were not installed.
WITHOUT = "import sys; sys.modules.update(dict.fromkeys(['torch', 'scipy', 'soundfile', 'safetensors', 'av', 'transformers']));"
WORKER = f"""{WITHOUT}
import json
from pathlib import Path
import numpy as np
from engine.starter import pipeline
folder = Path(sys.argv[1])
model = pipeline.load(Path(sys.argv[2]), "numpy")
for case in json.loads((folder / "cases.json").read_text()):
    samples, felt = (np.load(folder / f"{{case['name']}}.{{kind}}.npy") for kind in ("samples", "felt"))
    motion = pipeline.generate(
        model, samples, felt, case["seed"], case["steps"], case["fps"], case["variation"], lambda *a: None)
    motion.save(folder / f"{{case['name']}}.npz")
"""
# seconds, seed, steps, fps, variation, emotion: {} is neutral, "over time" a different mixture in every frame
CASES = [
    (0.1, 0, 8, 25, 0.3, {}),
    (0.37, 3, 8, 60, 0.3, {"happy": 1.0}),
    (3.0, 1, 8, 24, 0.3, {"sad": 0.5, "angry": 0.5}),
    (5.0, 2, 3, 30, 1.0, {"surprised": 0.7}),
    (5.16, 7, 8, 29.97, 0.3, "over time"),
    (11.9, 4, 8, 60, 0.0, {"disgusted": 1.0}),
    (70.0, 5, 2, 25, 0.3, "over time"),
]


def one_thread() -> dict[str, str]:
    """As the built-in engine runs."""
    return {**os.environ, "OPENBLAS_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def starter():
    return load_model("starter", "cpu")


@pytest.fixture(scope="module")
def speech():
    return load_audio(ASSETS / "demo" / "speech.flac")


def over_time(frames):
    """(frames, 7) weights that change in every frame."""
    time = np.arange(frames)[:, None] / 25
    return (0.5 + 0.5 * np.sin(time * (1 + np.arange(7)) + np.arange(7))).astype(np.float32) / 2


def test_every_performance_is_the_same_on_numpy_and_on_torch(tmp_path, starter, speech):
    """The NumPy side runs in a process where neither torch nor any other of the engine's packages can be imported."""
    cases = []
    for number, (seconds, seed, steps, fps, variation, emotion) in enumerate(CASES):
        samples = np.resize(np.roll(speech, 9000 * number), round(seconds * SAMPLE_RATE)).astype(np.float32)
        frames = pipeline.model_frames(starter, samples)
        felt = over_time(frames) if emotion == "over time" else pipeline.constant_emotion(starter, emotion, frames)
        name = f"case{number}"
        np.save(tmp_path / f"{name}.samples.npy", samples)
        np.save(tmp_path / f"{name}.felt.npy", felt)
        cases.append({"name": name, "seed": seed, "steps": steps, "fps": fps, "variation": variation})
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    done = subprocess.run(
        [sys.executable, "-c", WORKER, tmp_path, STARTER], cwd=ROOT, env=one_thread(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    for case, (seconds, *_) in zip(cases, CASES, strict=True):
        samples, felt = (np.load(tmp_path / f"{case['name']}.{kind}.npy") for kind in ("samples", "felt"))
        expected = pipeline.generate(
            starter, samples, felt, case["seed"], case["steps"], case["fps"], case["variation"], lambda *a: None
        )
        found = FaceMotion.load(tmp_path / f"{case['name']}.npz")
        assert found.frames == expected.frames == max(1, int(np.ceil(seconds * case["fps"])))
        assert (found.meta["runtime"], expected.meta["runtime"]) == ("numpy", "torch")
        assert np.abs(found.weights - expected.weights).max() < 1e-3, case
        assert np.abs(found.rotations - expected.rotations).max() < 1e-3, case


def test_motion_becomes_the_same_latent_and_motion_again(starter, speech):
    """What in-painting builds on: encode and decode."""
    other = load_model("starter", "numpy")
    motion = np.random.default_rng(0).normal(0, 0.3, (50, len(starter.motion))).astype(np.float32)
    latent = starter.networks.encode(motion)
    assert latent.shape == (50, starter.networks.latent_dim)
    np.testing.assert_allclose(other.networks.encode(motion), latent, atol=1e-5)
    np.testing.assert_allclose(other.networks.decode(latent), starter.networks.decode(latent), atol=1e-5)


def test_the_noise_is_the_same_numbers_wherever_it_is_drawn(starter):
    noise = pipeline.starting_noise(starter, 12345, 4)
    assert noise.dtype == np.float32 and noise.shape == (4, starter.networks.latent_dim)
    np.testing.assert_allclose(noise[0, :3], [-1.2160426, -0.36933464, 1.8661257], atol=1e-6)
    np.testing.assert_array_equal(pipeline.starting_noise(starter, 12345, 9)[:4], noise)


def test_the_last_digits_of_the_sound_do_not_change_the_performance(speech):
    assert pipeline.performance_seed(1, speech) == pipeline.performance_seed(1, speech * np.float32(1 + 1e-7))
    assert pipeline.performance_seed(1, speech) != pipeline.performance_seed(2, speech)
    assert pipeline.performance_seed(1, speech) != pipeline.performance_seed(1, speech[:-1])


def test_codes_are_the_nearest_and_change_smoothly_between():
    book = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 3.0]], np.float32)
    latent = np.array([[0.1, 0.2, 0.9, 0.1], [0.3, 2.5, 0.5, 0.0]], np.float32)
    np.testing.assert_allclose(pipeline.quantise(book, latent), [[0, 0, 1, 0], [0, 3, 0.5, 0]], atol=1e-6)
    across = np.stack([np.linspace(0.4, 0.6, 2001), np.zeros(2001)], axis=1).astype(np.float32)
    codes = pipeline.quantise(book, across)[:, 0]
    assert codes[0] == 0 and codes[-1] == 1 and 0 <= np.diff(codes).min() and np.diff(codes).max() < 0.02


def test_the_sampler_and_its_schedule_are_the_same_for_arrays_and_tensors():
    arrays, tensors = cosine_schedule_arrays(), cosine_schedule()
    noise = np.random.default_rng(1).normal(size=(2, 5)).astype(np.float32)
    for sampler in (ddim, dpm_solver_pp_2m):
        a = sampler(lambda x, t: x * np.float32(0.5) + t / 2000, noise, arrays, 12)
        b = sampler(lambda x, t: x * 0.5 + t / 2000, torch.from_numpy(noise), tensors, 12)
        assert a.dtype == np.float32
        np.testing.assert_allclose(a, b.numpy(), rtol=2e-4, atol=1e-5)
    for total, steps in ((1000, 8), (1000, 37), (1000, 999), (50, 7), (1, 1)):
        assert ddim_timesteps(total, steps) == [int(t) for t in torch.linspace(-1, total - 1, steps + 1)][::-1]


@pytest.mark.parametrize("runtime", ["numpy", "cpu"])
@pytest.mark.parametrize(
    ("part", "name", "value"),
    [("encoder", "width", 100), ("denoiser", "layers", 5), ("regressor", "mouth", ["jawOpen"]), ("vqvae", "code_dim", 7),
     ("vqvae", "emotions", 7), ("encoder", "dilations", 3), ("denoiser", "timesteps", "many")],
)  # fmt: skip
def test_a_config_that_does_not_fit_is_refused_in_a_sentence(tmp_path, runtime, part, name, value):
    config = json.loads((STARTER / "config.json").read_text())
    config[part][name] = value
    (tmp_path / "config.json").write_text(json.dumps(config))
    os.link(STARTER / "starter.safetensors", tmp_path / "starter.safetensors")
    with pytest.raises(InputError, match="incomplete or damaged"):
        pipeline.load(tmp_path, runtime)


@pytest.fixture(scope="module")
def built_in():
    """The server as Blender starts it, in a Python without the engine's packages."""
    code = f"{WITHOUT} from engine.cli import main; sys.exit(main(['serve', '--built-in']))"
    child = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    yield child
    child.stdin.close()
    assert child.wait(20) == 0
    child.stdout.close()


def ask(child, request):
    """The first event that answers."""
    child.stdin.write(encode(request))
    child.stdin.flush()
    while True:
        event = decode_event(child.stdout.readline())
        if isinstance(event, (Hello, Result, Failure)):
            return event


def test_the_built_in_engine_says_what_it_is(built_in):
    hello = ask(built_in, HelloRequest())
    assert hello.models == ["starter"] and hello.default_device == "cpu"
    assert {d.id: d.usable for d in hello.devices} == {"cuda": False, "xpu": False, "mps": False, "cpu": True}
    assert hello.devices[-1].label == "CPU (built in)"


def test_the_built_in_engine_makes_the_performance_that_the_full_one_makes(built_in, starter, speech, tmp_path):
    """From the 16-bit WAV file at 48 kHz that Blender writes, to the motion file."""
    upsampled = np.interp(np.arange(48_000 * 4) / 3, np.arange(len(speech)), speech)
    soundfile.write(tmp_path / "speech.wav", upsampled, 48_000, subtype="PCM_16")
    options = {"emotion": {"happy": 1.0}, "seed": 3, "fps": 30.0}
    out = tmp_path / "m.npz"
    answer = ask(built_in, Generate("a", str(tmp_path / "speech.wav"), str(out), landmarks=True, **options))
    assert isinstance(answer, Result), answer
    found = FaceMotion.load(out)
    from engine.animate import AnimateOptions, animate

    expected = animate(tmp_path / "speech.wav", AnimateOptions(landmarks=True, device="cpu", **options))
    assert found.meta["audio_sha256"] == expected.meta["audio_sha256"]
    assert np.abs(found.weights - expected.weights).max() < 1e-3
    assert np.abs(found.rotations - expected.rotations).max() < 1e-3
    assert np.abs(found.landmarks68 - expected.landmarks68).max() < 1e-4
    assert found.meta["runtime"] == "numpy" and found.meta["device"] == "cpu"


def test_the_built_in_engine_edits_and_checks_as_the_full_one_does(built_in, starter, speech, tmp_path):
    """Emotions over time, a part made anew, and how well the lips follow the sound."""
    from engine.animate import AnimateOptions, animate
    from engine.emotion_curve import load_curve
    from engine.parts import load_base

    audio = str(tmp_path / "speech.wav")
    soundfile.write(audio, speech[: 5 * SAMPLE_RATE], SAMPLE_RATE, subtype="PCM_16")
    curve = np.linspace([0, 1], [1, 0], 126).astype(np.float32)
    FaceMotion(fps=25, channels=("happy", "sad"), weights=curve).save(tmp_path / "curve.npz")
    full = {"device": "cpu", "emotion_curve": load_curve(tmp_path / "curve.npz")}
    expected = animate(audio, AnimateOptions(seed=1, **full))
    expected.save(tmp_path / "base.npz")
    out = str(tmp_path / "m.npz")
    asked = {"seed": 1, "emotion_curve": str(tmp_path / "curve.npz")}
    assert isinstance(ask(built_in, Generate("curve", audio, out, **asked)), Result)
    assert np.abs(FaceMotion.load(out).weights - expected.weights).max() < 1e-3

    part = {"start": 2.0, "end": 3.5, "channels": ["jawOpen", "browInnerUp", "head"]}
    answer = ask(built_in, Generate("part", audio, out, **{**asked, "seed": 9}, base=str(tmp_path / "base.npz"), **part))
    assert isinstance(answer, Result), answer
    found = FaceMotion.load(out)
    base = load_base(tmp_path / "base.npz")
    again = animate(audio, AnimateOptions(seed=9, base=base, **full, **part))
    assert found.meta["runtime"] == "numpy" and np.abs(found.weights - expected.weights).max() > 0.01
    assert np.abs(found.weights - again.weights).max() < 1e-3
    assert np.abs(found.rotations - again.rotations).max() < 1e-3

    answer = ask(built_in, Check("check", audio, str(tmp_path / "checked.npz"), str(tmp_path / "base.npz")))
    assert isinstance(answer, Result), answer
    assert "sync" in FaceMotion.load(tmp_path / "checked.npz").meta


def test_what_needs_the_full_engine_is_said_in_a_sentence_that_names_the_button(built_in, tmp_path):
    soundfile.write(tmp_path / "speech.wav", np.full(8000, 0.1), 16_000)
    soundfile.write(tmp_path / "speech.flac", np.full(8000, 0.1), 16_000)
    folder = tmp_path / "published"
    folder.mkdir()
    (folder / "config.json").write_text('{"kind": "lgldm"}')
    wav, flac = str(tmp_path / "speech.wav"), str(tmp_path / "speech.flac")
    for number, (audio, options) in enumerate(
        [(wav, {"model": str(folder)}), (wav, {"device": "cuda"}), (flac, {})]
    ):
        answer = ask(built_in, Generate(str(number), audio, str(tmp_path / "m.npz"), **options))
        assert isinstance(answer, Failure) and answer.code == "input", answer
        assert answer.message.endswith("needs the full engine: install it in Edit > Preferences > Add-ons > FaceDiff.")
    assert not (tmp_path / "m.npz").exists()


def test_a_full_engine_without_torch_says_that_it_is_incomplete():
    code = f"{WITHOUT} from engine.cli import main; sys.exit(main(['serve']))"
    child = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    with child:
        failure = ask(child, HelloRequest())
    assert isinstance(failure, Failure)
    assert failure.message == "The engine's Python environment is incomplete (it has no PyTorch)."


def test_track_without_torch_is_a_sentence(tmp_path):
    code = f"{WITHOUT} from engine.cli import main; sys.exit(main(['track', 'a.mp4', '--out', 'm.npz']))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode != 0 and done.stderr.count("\n") == 1 and "Traceback" not in done.stderr, done.stderr


PEAK = """
def peak():
    try:  # Linux's ru_maxrss of a child includes its parent's memory at the fork
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
    except FileNotFoundError:
        import resource
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="peak memory is read where POSIX keeps it")
def test_memory_stays_in_proportion_to_the_length_of_the_speech(tmp_path, speech):
    """Four minutes at 48 kHz; scripts/bench.py measures ten. With one sampling step: more take longer, but no more memory."""
    samples = np.resize(np.repeat(speech, 3), 240 * 48_000)
    soundfile.write(tmp_path / "long.wav", samples, 48_000, subtype="PCM_16")
    code = (
        f"{WITHOUT}\n{PEAK}\nfrom engine.animate import animate, AnimateOptions\n"
        "print(animate(sys.argv[1], AnimateOptions(steps=1)).frames, peak())"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "long.wav"], cwd=ROOT, env=one_thread(),
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, done.stderr
    frames, bytes_used = map(int, done.stdout.split())
    assert frames == 240 * 25 and bytes_used < 300e6
