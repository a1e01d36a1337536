"""Which face is followed, what happens without one, and that FaceMesh finds a real one."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from engine.detection import detect_landmarks, face_mesh, follow
from engine.errors import Cancelled, InputError
from engine.video import VideoFrame, read_frames

from .test_video import video

HUMAN = Path(__file__).resolve().parents[3] / "shared" / "human_video"


def a_face(x: float, size: float = 20.0) -> np.ndarray:
    turn = np.linspace(0, 2 * np.pi, 478)
    return np.stack([x + size * np.cos(turn), 50 + size * np.sin(turn)], axis=1)


def frames(count: int) -> list[VideoFrame]:
    return [VideoFrame(i / 30, np.full((100, 200, 3), i, np.uint8)) for i in range(count)]


def played(script: list[list[np.ndarray]]):
    """A detector that knows the frame by its brightness."""
    return lambda image: script[int(image[0, 0, 0])]


def test_the_largest_face_is_followed_through_others_that_pass():
    script = [[a_face(40, 10), a_face(60)], [a_face(150, 60), a_face(64)], [], [a_face(160, 60), a_face(70)], [a_face(75)]]
    found = follow(frames(5), played(script))
    centres = found.points.mean(axis=1)[:, 0]
    assert centres[[0, 1, 3, 4]] == pytest.approx([60, 64, 70, 75], abs=0.5) and np.isnan(centres[2])
    assert found.detected.tolist() == [True, True, False, True, True] and found.faces.tolist() == [2, 2, 0, 2, 1]
    assert found.size == (200, 100) and found.seconds == pytest.approx(5 / 30)


def test_a_face_that_was_missed_is_looked_for_once_more():
    asked = []

    def forgetful(image):
        asked.append(1)
        return [a_face(50)] if len(asked) % 2 == 0 else []

    assert follow(frames(3), forgetful).detected.all() and len(asked) == 6


def test_no_face_is_a_sentence_and_a_search_can_be_stopped(tmp_path):
    path = video(tmp_path / "wall.mkv", [0.0, 0.04, 0.08])
    with pytest.raises(InputError, match=r"No face was found in the video 'wall.mkv'\."):
        detect_landmarks(path, lambda image: [])
    told = []

    def stop(time: float) -> None:
        told.append(time)
        if len(told) == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        detect_landmarks(path, lambda image: [a_face(30)], stop)
    assert told == pytest.approx([0.0, 0.04])


def test_face_mesh_finds_a_person_and_not_a_wall(capfd):
    if not HUMAN.is_dir():
        pytest.skip("no ../shared folder with films of people")
    clip = sorted(HUMAN.glob("*.mpg"))[0]
    picture = next(iter(read_frames(clip)))
    with face_mesh() as detector:
        found = follow([picture], detector, lambda time: print("told", file=sys.stderr))
        assert not detector(np.full((120, 160, 3), 90, np.uint8))
    assert found.detected.all() and found.faces[0] == 1
    points = found.points[0]
    width, height = found.size
    assert (points > 0).all() and (points < [width, height]).all()
    # Eyes above the nose above the mouth above the chin; the subject's left eye to the right in the picture.
    assert points[33, 1] < points[1, 1] < points[13, 1] < points[152, 1] and points[33, 0] < points[263, 0]
    assert capfd.readouterr().err == "told\n"
