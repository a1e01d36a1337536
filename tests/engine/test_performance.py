"""Training targets: ARKit weights in range, lips sealed whatever the emotion, emotions distinct, chance above the mouth."""

import numpy as np
import pytest

from engine.face.starter_head import load_starter_head, pose_landmarks68
from engine.starter.articulation import CONTROLS
from engine.starter.performance import EMOTIONS, HEAD, LEARNED, MOTION, Feeling, apply_contacts, perform, pose_weights

T = 100


def controls(close=0.0):
    c = np.zeros((T, len(CONTROLS)), np.float32)
    c[:, CONTROLS.index("jaw")] = 0.4
    c[:, CONTROLS.index("drop")] = 0.3
    c[40:44, CONTROLS.index("close")] = close
    return c


def energy():
    return 0.5 + 0.5 * np.sin(np.arange(T) / 5)


def feeling(name, weight=1.0):
    weights = np.zeros(len(EMOTIONS), np.float32)
    if name:
        weights[EMOTIONS.index(name)] = weight
    return Feeling(weights)


def column(motion, name):
    return motion[:, MOTION.index(name)]


def lip_gap_mm(motion):
    """(T,) distance of the inner lips' centres on the starter head."""
    head = load_starter_head()
    weights = np.zeros((len(motion), len(head.blendshape_names)), np.float32)
    for i, name in enumerate(LEARNED):
        weights[:, head.blendshape_names.index(name)] = motion[:, i]
    landmarks = pose_landmarks68(head, weights, {})
    return np.linalg.norm(landmarks[:, 62] - landmarks[:, 66], axis=1) * 1000


@pytest.mark.parametrize("emotion", [None, *EMOTIONS])
def test_lips_seal_under_every_emotion(emotion):
    motion = perform(controls(close=1.0), energy(), feeling(emotion), np.random.default_rng(1))
    assert motion[:, : len(LEARNED)].min() >= 0 and motion[:, : len(LEARNED)].max() <= 1
    inside = slice(40, 44)
    assert lip_gap_mm(motion)[inside].max() < 0.5 and lip_gap_mm(motion)[20] > 5
    for name in ("mouthLowerDownLeft", "mouthUpperUpRight", "mouthFunnel"):
        assert column(motion, name)[inside].max() < 1e-6
    assert column(motion, "mouthClose")[20].max() < 0.01


def test_each_emotion_moves_its_own_action_units_with_its_intensity():
    for emotion, name in {"happy": "mouthSmileLeft", "sad": "mouthFrownLeft", "angry": "browDownRight",
                          "surprised": "browOuterUpLeft", "fear": "eyeWideLeft", "disgusted": "noseSneerLeft",
                          "contempt": "mouthDimpleRight"}.items():  # fmt: skip
        levels = [
            column(perform(controls(), energy(), feeling(emotion, w), np.random.default_rng(2)), name).mean()
            for w in (0.0, 0.5, 1.0)
        ]
        assert levels[0] < levels[1] < levels[2] and levels[2] > levels[0] + 0.3, emotion


def test_poses_differ_from_each_other():
    poses = np.stack([pose_weights(e) for e in EMOTIONS])
    distances = np.linalg.norm(poses[:, None] - poses[None], axis=-1) + 9 * np.eye(len(EMOTIONS))
    assert distances.min() > 0.5


def test_two_performances_of_one_sound_share_the_mouth_not_the_head():
    a, b = (perform(controls(), energy(), feeling(None), np.random.default_rng(s)) for s in (3, 4))
    assert np.abs(column(a, "jawOpen") - column(b, "jawOpen")).max() < 0.05
    assert np.abs(column(a, HEAD[1]) - column(b, HEAD[1])).max() > 0.01
    assert np.abs(a[:, -3:]).max() < 0.5  # a few degrees, never a turn


def test_labiodental_keeps_the_lips_apart_but_tucked():
    face = np.zeros((1, len(LEARNED)), np.float32)
    face[:, LEARNED.index("jawOpen")] = 0.12
    out = apply_contacts(face, np.zeros(1), np.ones(1))
    assert out[0, LEARNED.index("mouthRollLower")] > 0.5
    assert out[0, LEARNED.index("mouthClose")] < out[0, LEARNED.index("jawOpen")]
