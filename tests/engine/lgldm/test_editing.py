"""Emotion over time and ranges made anew with tiny converted models: what stays, how it joins, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
import torch

from engine.animate import AnimateOptions, animate
from engine.errors import InputError
from engine.joins import jump_limits, speed_jumps
from engine.lgldm import editing, pipeline
from engine.lgldm.model import save_model
from engine.motion import FaceMotion

from .conftest import VERTICES, config_of, tensors_of

RATE = 16_000


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(model folder by dataset, sound of 3 s)."""
    root = tmp_path_factory.mktemp("models")
    folders = {}
    for dataset in ("mead", "vocaset"):
        config = config_of(dataset)
        folders[dataset] = str(root / dataset)
        save_model(root / dataset, config, {**tensors_of(config), "template": torch.linspace(0, 1, 3 * VERTICES)})
    t = np.arange(3 * RATE) / RATE
    soundfile.write(root / "s.wav", 0.3 * np.sin(2 * np.pi * 140 * t) * (1 + np.sin(2 * np.pi * 3 * t)), RATE)
    return folders, root / "s.wav"


def curve(name: str, values: np.ndarray) -> FaceMotion:
    return FaceMotion(25.0, (name,), values[:, None].astype(np.float32))


def options(**more: object) -> AnimateOptions:
    return AnimateOptions(**{"steps": 4, "device": "cpu", **more})


def test_mead_feels_frame_by_frame(made):
    folders, sound = made
    happy = animate(sound, options(emotion={"happy": 1.0}), folders["mead"])
    constant = animate(sound, options(emotion_curve=curve("happy", np.ones(2))), folders["mead"])
    np.testing.assert_allclose(constant.vertices, happy.vertices, atol=1e-5)
    late = np.zeros(75)
    late[50:] = 1.0
    changing = animate(sound, options(emotion_curve=curve("happy", late)), folders["mead"]).vertices
    neutral = animate(sound, options(), folders["mead"]).vertices
    # Stage 1 looks at the whole clip (instance norm, attention), so no frame stays exactly; the nearer one wins.
    nearer = [np.abs(changing - v).mean(axis=(1, 2)) for v in (neutral, happy.vertices)]
    assert (nearer[0] < nearer[1])[:45].mean() > 0.9 and (nearer[0] > nearer[1])[55:].mean() > 0.9


def test_an_emotion_the_model_does_not_know_over_time(made):
    folders, sound = made
    with pytest.raises(InputError, match=r"knows no emotion 'happy'"):
        animate(sound, options(emotion_curve=curve("happy", np.ones(2))), folders["vocaset"])
    with pytest.raises(InputError, match="knows no emotions"):
        animate(sound, options(emotion_curve=curve("neutral", np.ones(2))), folders["vocaset"])


@pytest.mark.parametrize(("dataset", "fps"), [("mead", None), ("vocaset", 24.0)])
def test_a_range_made_anew_joins_what_stays(made, dataset, fps):
    folders, sound = made
    base = animate(sound, options(fps=fps), folders[dataset])
    part = slice(round(1.0 * base.fps), round(2.0 * base.fps))
    anew = animate(sound, options(base=base, start=1.0, end=2.0, seed=5), folders[dataset])
    outside = np.r_[0 : part.start, part.stop : base.frames]
    np.testing.assert_array_equal(anew.vertices[outside].view(np.int32), base.vertices[outside].view(np.int32))
    assert not np.allclose(anew.vertices[part], base.vertices[part], atol=1e-4)
    old, new = (m.vertices.reshape(base.frames, -1) for m in (base, anew))
    joins = [part.start - 1, part.start, part.stop - 1, part.stop]
    assert (speed_jumps(new)[joins] <= jump_limits(old) + 1e-6).all()
    assert anew.fps == base.fps and anew.meta["part"] == {"first": part.start, "after": part.stop}


def test_a_range_of_a_long_clip_needs_only_what_is_near(made, monkeypatch):
    folders, sound = made
    base = animate(sound, options(), folders["mead"])
    seen = []
    real = pipeline.joined_denoiser
    monkeypatch.setattr(editing, "WINDOW", 40)
    monkeypatch.setattr(editing, "CONTEXT", 10)
    monkeypatch.setattr(editing, "AFTERMATH", 5)
    monkeypatch.setattr(editing, "joined_denoiser", lambda m, a, *r: (seen.append(a.shape[1]), real(m, a, *r))[1])
    anew = animate(sound, options(base=base, start=1.0, end=2.0, seed=5), folders["mead"])
    assert seen == [25 + 10 + 5 + 1]
    np.testing.assert_array_equal(anew.vertices[50:], base.vertices[50:])


def test_what_vertices_cannot_do_is_one_sentence(made):
    folders, sound = made
    base = animate(sound, options(), folders["mead"])
    with pytest.raises(InputError, match="has no channels"):
        animate(sound, options(base=base, start=1.0, channels=["mouth"]), folders["mead"])
    with pytest.raises(InputError, match="has no vertices of the mesh"):
        animate(sound, options(base=FaceMotion(25.0, ("a",), np.zeros((9, 1), np.float32))), folders["mead"])
