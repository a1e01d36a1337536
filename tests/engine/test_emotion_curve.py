"""Emotion over time: curves from files and from spans, what the model makes of them, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from engine import cli
from engine.animate import ASSETS, AnimateOptions, animate
from engine.emotion_curve import CHANGE, from_spans, load_curve, weights_at
from engine.errors import InputError
from engine.motion import FaceMotion

SPEECH = ASSETS / "demo" / "speech.flac"


def curve_of(values: np.ndarray, fps: float = 25.0, name: str = "happy") -> FaceMotion:
    return FaceMotion(fps, (name,), values.reshape(-1, 1).astype(np.float32))


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """The demo's first 6 s, so that the tests are quick."""
    import soundfile

    samples, rate = soundfile.read(SPEECH)
    path = tmp_path_factory.mktemp("sound") / "s.wav"
    soundfile.write(path, samples[: 6 * rate], rate)
    return path


def smile(motion: FaceMotion) -> np.ndarray:
    return (motion.channel("mouthSmileLeft") + motion.channel("mouthSmileRight")) / 2


def test_the_face_feels_what_the_curve_says_when_it_says_it(sound):
    neutral, happy = (animate(sound, AnimateOptions(e, device="numpy")) for e in ({}, {"happy": 1.0}))
    ramp = np.zeros(300)
    ramp[150:] = 1.0  # at 50 Hz: from second 3 on
    motion = animate(sound, AnimateOptions(device="numpy", emotion_curve=curve_of(ramp, 50.0)))
    before, after = slice(0, 60), slice(90, motion.frames)
    assert np.abs(smile(motion)[before] - smile(neutral)[before]).max() < 0.1
    assert smile(motion)[after].mean() > 0.8 * smile(happy)[after].mean() > smile(motion)[before].mean() + 0.25
    assert motion.meta["emotion"] == {} and motion.meta["emotion_curve"]["mean"] == {"happy": 0.5}


def test_a_constant_curve_is_the_constant_emotion(sound):
    plain = animate(sound, AnimateOptions({"sad": 1.0}, intensity=0.5, device="numpy"))
    curve = curve_of(np.full(3, 0.5), 10.0, "sad")  # its last value is held
    motion = animate(sound, AnimateOptions({"angry": 1.0}, device="numpy", emotion_curve=curve))
    np.testing.assert_array_equal(motion.weights, plain.weights)


def test_curves_are_read_at_the_models_rate():
    curve = FaceMotion(10.0, ("neutral", "fear"), np.array([[1, 0], [1, 0.5], [0, 1]], np.float32))
    np.testing.assert_allclose(weights_at(curve, ["angry", "fear"], 20.0, 6)[:, 1], [0, 0.25, 0.5, 0.75, 1, 1])


def test_spans_fade_and_fill_their_time():
    curve = from_spans(cli.parse_spans("happy@0..2,sad:0.5@2..4"))
    at = lambda name, second: float(weights_at(curve, [name], 100.0, 600)[round(second * 100), 0])  # noqa: E731
    assert at("happy", 0) == at("happy", 2 - CHANGE / 2) == 1.0 and at("happy", 2 + CHANGE / 2) == pytest.approx(0, abs=1e-6)
    assert at("happy", 2) == pytest.approx(0.5) and at("sad", 2) == pytest.approx(0.25)
    assert at("sad", 3) == pytest.approx(0.5) and at("sad", 5) == 0.0


@pytest.mark.parametrize("text", ["happy@", "happy@2..1", "happy@0..nan", "happy@0..2,sad", "happy@0..1e9", "happy@-1..2"])
def test_spans_that_make_no_sense_are_refused(text):
    with pytest.raises(InputError, match=r"has no time like 'happy@0\.\.2'"):
        cli.parse_spans(text)


def test_curves_that_are_none_are_refused(tmp_path):
    curve_of(np.zeros(3), name="jawOpen").save(tmp_path / "m.npz")
    curve_of(np.full(3, 1.5)).save(tmp_path / "strong.npz")
    FaceMotion(25.0, (), np.zeros((3, 0), np.float32)).save(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("happy")
    for name, said in {
        "m.npz": "'jawOpen', which is no emotion", "strong.npz": "between 0 and 1", "none.npz": "names no emotion",
        "text.npz": "is not a motion file", "absent.npz": "No such file",
    }.items():  # fmt: skip
        with pytest.raises(InputError, match=said) as caught:
            load_curve(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_the_command_line_takes_a_curve_or_spans(tmp_path, monkeypatch, capsys):
    import engine.animate

    seen = []
    monkeypatch.setattr(
        engine.animate, "animate", lambda a, o, **_: (seen.append(o), curve_of(np.zeros(5), name="jawOpen"))[1]
    )
    curve_of(np.linspace(0, 1, 9)).save(tmp_path / "c.npz")
    run = ["animate", "s.wav", "--out", str(tmp_path / "m.npz")]
    assert cli.main([*run, "--emotion-curve", str(tmp_path / "c.npz")]) == 0
    assert cli.main([*run, "--emotion", "happy@0..2,sad@2..4"]) == 0
    np.testing.assert_allclose(seen[0].emotion_curve.weights[:, 0], np.linspace(0, 1, 9), atol=1e-6)
    assert seen[1].emotion_curve.channels == ("happy", "sad")
    assert cli.main([*run, "--emotion", "happy", "--emotion-curve", str(tmp_path / "c.npz")]) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("An emotion over time holds its own strength")
