"""The ARKit CSV: layout, values and signs against a recording of the app itself, and what it refuses."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest

from engine.face.arkit import ARKIT_52
from engine.face.livelink import COLUMNS, LIVE_LINK_52, LiveLinkError, read_csv, timecode, write_csv
from engine.face.starter_head import rotation_matrices
from engine.motion import FaceMotion

RECORDING = Path(__file__).resolve().parents[3] / "shared" / "human_speech" / "arkit_noaudio" / "alex_rom_4.csv"
needs_recording = pytest.mark.skipif(not RECORDING.is_file(), reason="no ../shared folder with a recording of the app")


def a_motion(fps: float = 25.0, frames: int = 60) -> FaceMotion:
    rng = np.random.default_rng(4)
    return FaceMotion(
        fps=fps,
        channels=(*reversed(ARKIT_52), "expression 1"),
        weights=rng.uniform(0, 1, (frames, 53)),
        rotation_names=("jaw", "left_eye", "right_eye", "head"),
        rotations=rng.uniform(-0.7, 0.7, (frames, 4, 3)),
    )


def test_the_layout(tmp_path):
    path = tmp_path / "größe.csv"
    motion = a_motion()
    write_csv(motion, path, start_seconds=16 * 3600 + 55 * 60 + 51.5)
    header, *rows = csv.reader(path.open(encoding="ascii"))
    assert tuple(header) == COLUMNS and len(header) == 63 and {len(r) for r in rows} == {63}
    assert sorted(LIVE_LINK_52) == sorted(ARKIT_52)
    assert [r[0] for r in rows[:3]] == ["16:55:51:30.000", "16:55:51:32.400", "16:55:51:34.800"]
    assert {r[1] for r in rows} == {"61"}
    assert abs(float(rows[7][header.index("JawOpen")]) - motion.channel("jawOpen")[7]) < 1e-9
    assert timecode(24 * 3600 - 1 / 60000 / 3) == "00:00:00:00.000"
    assert os.listdir(tmp_path) == ["größe.csv"]


@pytest.mark.parametrize("fps", [24.0, 24000 / 1001, 25.0, 30.0, 60.0, 12.5])
def test_there_and_back(tmp_path, fps):
    motion = a_motion(fps)
    write_csv(motion, tmp_path / "m.csv", start_seconds=86399.5)  # over midnight
    again = read_csv(tmp_path / "m.csv")
    assert again.frames == motion.frames and abs(again.fps / fps - 1) < 2e-4
    for name in ARKIT_52:
        assert np.abs(again.channel(name) - motion.channel(name)).max() < 3e-3, name  # timecodes have 17 us
    for joint in ("head", "left_eye", "right_eye"):
        turns = rotation_matrices(again.rotation(joint)) - rotation_matrices(motion.rotation(joint))
        assert np.abs(turns).max() < 3e-3, joint


def test_dropped_rows_are_filled_in(tmp_path):
    ramp = FaceMotion(fps=30, channels=("jawOpen",), weights=np.linspace(0, 1, 31)[:, None])
    write_csv(ramp, tmp_path / "a.csv")
    lines = (tmp_path / "a.csv").read_text().splitlines()
    (tmp_path / "b.csv").write_text("\n".join(lines[:9] + lines[12:]))
    again = read_csv(tmp_path / "b.csv")
    assert again.fps == 30 and again.frames == 31
    assert np.abs(again.channel("jawOpen") - ramp.weights[:, 0]).max() < 1e-4


def test_signs(tmp_path):
    """Looking down, then to the subject's right, then tilting to the right shoulder."""
    turns = np.zeros((3, 1, 3))
    turns[0, 0, 0], turns[1, 0, 1], turns[2, 0, 2] = 0.3, -0.2, 0.1
    motion = FaceMotion(25, ("jawOpen",), np.zeros((3, 1)), ("head",), turns)
    write_csv(motion, tmp_path / "m.csv")
    rows = list(csv.DictReader((tmp_path / "m.csv").open()))
    found = [[float(r[f"Head{angle}"]) for angle in ("Pitch", "Yaw", "Roll")] for r in rows]
    assert np.allclose(found, np.diag([0.3, 0.2, 0.1]), atol=1e-6)


@needs_recording
def test_a_recording_of_the_app(tmp_path):
    header = RECORDING.open().readline().strip().split(",")
    assert tuple(header) == COLUMNS
    motion = read_csv(RECORDING)
    assert motion.fps == 30 and motion.frames == 3810
    rows = list(csv.DictReader(RECORDING.open()))
    for name in ("EyeBlinkLeft", "JawOpen", "MouthClose"):
        ours = motion.channel(name[0].lower() + name[1:])
        assert abs(ours.mean() - np.mean([float(r[name]) for r in rows])) < 1e-4, name
    left, right = motion.rotation("left_eye"), motion.rotation("right_eye")
    down = motion.channel("eyeLookDownLeft") - motion.channel("eyeLookUpLeft")
    assert np.corrcoef(left[:, 0], down)[0, 1] > 0.97, "looking down turns about +x"
    for eye, side, out in ((left, "Left", 1.0), (right, "Right", -1.0)):
        outward = motion.channel(f"eyeLookOut{side}") - motion.channel(f"eyeLookIn{side}")
        assert np.corrcoef(eye[:, 1], out * outward)[0, 1] > 0.97, f"{side}: outward turns about +y to its side"
        torsion = np.abs(rotation_matrices(eye)[:, 1, 0])  # 0 of a turn about x, then one about y
        assert np.percentile(torsion, 95) < 1e-3, "none but where a dropped row is filled in"
    write_csv(motion, tmp_path / "m.csv")
    assert np.abs(read_csv(tmp_path / "m.csv").weights - motion.weights).max() < 1e-4


def test_what_is_refused(tmp_path):
    flame = FaceMotion(25, ("expression 1",), np.zeros((3, 1)))
    with pytest.raises(LiveLinkError, match="none of ARKit's"):
        write_csv(flame, tmp_path / "no.csv")
    with pytest.raises(OSError):
        write_csv(a_motion(), tmp_path / "no folder" / "m.csv")
    assert not os.listdir(tmp_path)
    bad = tmp_path / "bad.csv"
    head = ",".join(COLUMNS)
    for text, words in (
        ("", "not an ARKit CSV"),
        ("a,b\n1,2\n", "not an ARKit CSV"),
        (head, "no frames"),
        (head + "\n00:00:00:00.000,61,0.5", "does not fit"),
        (head + "\n" + "noon" + ",0" * 62, "does not fit"),
        (head + "\n00:00:00:00.000" + ",nan" * 62, "not finite"),
        (head + ("\n00:00:00:00.000" + ",0" * 62) * 2, "do not go forward"),
    ):
        bad.write_text(text)
        with pytest.raises(LiveLinkError, match=words):
            read_csv(bad)
    bad.write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(LiveLinkError):
        read_csv(bad)
