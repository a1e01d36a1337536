"""The report's measures on curves whose right answer is known, and the command itself on sounds and motion files."""

import json
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import soundfile

from engine.animate import with_geometry
from engine.cli import main
from engine.face.arkit import ARKIT_52
from engine.motion import ROTATION_NAMES, FaceMotion
from engine.starter.mouth_shaping import crisp_jaw, lip_contacts, sharpen
from engine.sync import Phones, lip_gap
from engine.sync_measures import articulation, closure_offsets, envelope_figures, jitter, mouth_width, stillness

FPS = 50.0
ROWS = [("sil", 0, 0.5), ("f", 0.5, 0.6), ("a", 0.6, 0.9), ("u", 0.9, 1.1), ("m", 1.1, 1.2), ("i", 1.2, 1.5),
        ("sil", 1.5, 2.1)]  # fmt: skip
SENTENCE = Phones([r[0] for r in ROWS], np.array([r[1] for r in ROWS], float), np.array([r[2] for r in ROWS], float))


def motion_of(curves, frames=105, fps=FPS):
    """The starter head with ARKit weights {name: [(start s, end s, weight), ...]}."""
    weights = np.zeros((frames, len(ARKIT_52)), np.float32)
    time = np.arange(frames) / fps
    for name, spans in curves.items():
        for start, end, weight in spans:
            weights[(time >= start) & (time < end), ARKIT_52.index(name)] = weight
    motion = FaceMotion(fps, ARKIT_52, weights, ROTATION_NAMES, np.zeros((frames, len(ROTATION_NAMES), 3), np.float32))
    return with_geometry(motion, landmarks=True, vertices=False)


SPEAKING = {
    "jawOpen": [(0.5, 0.6, 0.1), (0.6, 0.9, 0.5), (0.9, 1.1, 0.15), (1.2, 1.5, 0.15)],
    "mouthPucker": [(0.9, 1.1, 0.8)],
    "mouthStretchLeft": [(1.2, 1.5, 0.4)],
    "mouthStretchRight": [(1.2, 1.5, 0.4)],
}


def test_a_face_that_does_it_right():
    motion = motion_of(SPEAKING)
    gap = lip_gap(motion)
    figures = articulation(motion, gap, SENTENCE).figures()
    assert figures["labiodental_rate"] == 1 and figures["vowel_height_order"] == 1
    assert figures["rounding_contrast"] > 0.5
    assert abs(figures["offset_ms"]) < 15
    width = mouth_width(motion)
    assert width[50] < width[30] < width[65]
    pooled = articulation(motion, gap, SENTENCE) + articulation(motion, gap, SENTENCE)
    assert pooled.labiodentals == 2 and pooled.figures() == figures


def test_a_face_that_does_it_wrong():
    motion = motion_of({"jawOpen": [(0.4, 0.7, 0.4), (0.7, 0.9, 0.1), (0.9, 1.1, 0.4), (1.2, 1.5, 0.4)]})
    figures = articulation(motion, lip_gap(motion), SENTENCE).figures()
    assert figures["labiodental_rate"] == 0 and figures["vowel_height_order"] == 0
    assert abs(figures["rounding_contrast"]) < 0.1


@pytest.mark.parametrize("late", [-0.04, 0.0, 0.1])
def test_the_offset_is_positive_when_the_mouth_is_late(late):
    time = np.arange(200) / 100
    gap = np.where(np.abs(time - 1.15 - late) < 0.05, 0.0, 1.0)
    assert closure_offsets(gap, 100, SENTENCE) == pytest.approx([late], abs=0.011)
    assert closure_offsets(np.zeros(200), 100, SENTENCE) == []  # a mouth that never opens says nothing about timing


def test_stillness_counts_the_pauses_alone():
    gap = np.where(np.arange(105) / FPS > 1.5, 0.0, np.tile([0.0, 1.0], 53)[:105])
    assert stillness(gap, FPS, SENTENCE) == pytest.approx(FPS * 15 / 35)  # half of it is beyond the first 0.1 s
    assert stillness(np.full(105, 0.3), FPS, SENTENCE) == 0
    assert np.isnan(stillness(gap, FPS, Phones(["a"], np.array([0.0]), np.array([2.0]))))


def test_jitter_is_the_size_of_the_trembling():
    still = motion_of(SPEAKING)
    trembling = still.landmarks68 + np.random.default_rng(0).normal(0, 1e-3, still.landmarks68.shape).astype(np.float32)
    shaken = FaceMotion(FPS, ARKIT_52, still.weights, ROTATION_NAMES, still.rotations, landmarks68=trembling)
    assert jitter(shaken) == pytest.approx(np.sqrt(3) * 1.1, rel=0.2)  # mm; the median moves a little too
    assert jitter(motion_of({})) == 0


def test_the_envelope_finds_the_delay():
    rng = np.random.default_rng(1)
    loud = np.repeat(rng.uniform(0.0, 1.0, 40), 3200) ** 2
    sound = (loud * rng.standard_normal(len(loud))).astype(np.float32)
    gap = np.repeat(np.sqrt(loud[::3200]), 10)  # 50 Hz
    figures = envelope_figures(np.roll(gap, 4), FPS, sound, 16000)
    assert figures["envelope_r"] > 0.9 and figures["envelope_lag_ms"] == pytest.approx(80, abs=20)


def test_beside_a_sure_contact_a_shoulder_is_open():
    sure = np.array([0.0, 0.55, 1.0, 0.55, 0.0, 0.0, 0.0, 0.0, 0.62, 0.0])
    close = sharpen(sure, 0.6, 0.4)
    assert close[2] == 1 and close[1] == 0 and close[8] == 1 and close[5] == 0


def test_lips_meet_and_part_faster_than_the_regressor_is_sure_of_it():
    sure = np.concatenate([np.linspace(0.01, 0.9, 10), np.linspace(0.9, 0.01, 10)])
    close = lip_contacts(np.log(sure / (1 - sure))[:, None].repeat(2, axis=1), 1.0)[:, 0]
    assert close.argmax() in (9, 10) and close.max() > 0.99
    assert 2 <= (close > 0.05).sum() < (sure > 0.3).sum() / 2


def test_the_jaw_moves_more_but_rests_where_it_was():
    jaw = np.array([0.0] * 5 + [0.3] * 8 + [0.1] * 8 + [0.0] * 5)
    livelier = crisp_jaw(jaw)
    assert livelier[5] > 0.33 and livelier[13] < 0.09 and livelier.min() == 0
    np.testing.assert_allclose(livelier[[0, 9, 17, -1]], jaw[[0, 9, 17, -1]], atol=5e-3)


def test_in_noise_a_weaker_closure_is_enough():
    logits = np.full((18, 2), -9.0)
    logits[8:10, 0] = -1.0  # 0.27
    quiet, noisy = (lip_contacts(logits, clarity)[:, 0] for clarity in (1.0, 0.0))
    assert noisy[8] == 1 and quiet[8] < 0.9 and np.abs(noisy[:6]).max() == 0


def test_the_command_reports_on_a_sound_without_labels(tmp_path, capsys):
    rng = np.random.default_rng(0)
    beat = np.repeat((np.arange(12) % 2).astype(np.float32), 4000)
    soundfile.write(tmp_path / "a.wav", beat * rng.normal(0, 0.1, len(beat)), 16000)
    arguments = [
        "report",
        str(tmp_path / "a.wav"),
        "--json",
        str(tmp_path / "a.json"),
        "--figure",
        str(tmp_path / "a.svg"),
    ]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "own phone head" in printed and "recall" in printed
    figures = json.loads((tmp_path / "a.json").read_text())["as shipped"]["a.wav"]
    assert {"recall_at_0.05", "precision_at_0.10", "labiodental_rate", "rounding_contrast", "vowel_height_order", "envelope_r",
            "envelope_lag_ms", "offset_ms", "stillness", "blinks_per_minute", "jitter_mm"} <= set(figures)  # fmt: skip
    drawing = ElementTree.parse(tmp_path / "a.svg").getroot()
    assert drawing.tag.endswith("svg") and sum(1 for e in drawing.iter() if e.tag.endswith("polyline")) == 1


def test_the_command_reports_on_a_motion_file_and_marks_misses(tmp_path, capsys):
    motion_of(SPEAKING).save(tmp_path / "good.npz")
    motion_of({**SPEAKING, "jawOpen": [(0.5, 1.5, 0.4)]}).save(tmp_path / "open.npz")
    rows = "\n".join(
        f"{s},{e},{'AA1' if n == 'a' else {'i': 'IY1', 'u': 'UW1', 'sil': 'SIL'}.get(n, n.upper())}" for n, s, e in ROWS
    )
    (tmp_path / "phones.csv").write_text(f"start_s,end_s,phone\n{rows}\n")
    for name, recall, red in (("good", 1.0, False), ("open", 0.0, True)):
        command = ["report", str(tmp_path / f"{name}.npz"), "--phones", str(tmp_path / "phones.csv")]
        assert main([*command, "--json", str(tmp_path / "r.json"), "--figure", str(tmp_path / "r.svg")]) == 0
        figures = json.loads((tmp_path / "r.json").read_text())["as shipped"][f"{name}.npz"]
        assert figures["recall"] == recall and figures["blinks_per_minute"] == 0
        assert ("d62728" in (tmp_path / "r.svg").read_text()) == red
    assert "ITU-R BT.1359" in capsys.readouterr().out
    assert main(["report", str(tmp_path / "good.npz"), "--figure", str(tmp_path / "x.svg")]) == 1
    assert "--phones" in capsys.readouterr().err and not (tmp_path / "x.svg").exists()
