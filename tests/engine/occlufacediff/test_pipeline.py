"""Landmarks and sound to motion: windows of both kinds, guidance, repeatability, and hidden points that cannot be felt."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from engine.errors import Cancelled, InputError
from engine.motion import FaceMotion
from engine.occlufacediff import pipeline
from engine.occlufacediff.landmarks import prepare
from engine.occlufacediff.model import OccluModel, load_model, save_model
from engine.occlufacediff.pipeline import Clip, Guidance, generate, make_clip, memories
from engine.occlufacediff.regions import MOUTH
from engine.occlufacediff.windows import cut
from engine.windows import Windows

from .conftest import CONFIG, tensors_of
from .test_landmarks import face

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> OccluModel:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_model(folder, CONFIG, tensors_of())
    return load_model(folder, CPU)


def inputs(frames: int = 100, seconds: float | None = None, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Landmarks that drift smoothly, two thirds of them visible, and a tone that swells."""
    generator = np.random.default_rng(seed)
    drift = np.cumsum(generator.normal(0, 0.01, (frames, 1, 2)), axis=0)
    landmarks = (generator.uniform(-0.8, 0.8, (1, 468, 2)) + drift).astype(np.float32)
    visible = np.repeat(generator.random((1, 468)) > 0.35, frames, axis=0)
    t = np.arange(int(16000 * (frames / 25 if seconds is None else seconds))) / 16000
    return landmarks, visible, (0.1 * np.sin(700 * t) * np.sin(3 * t)).astype(np.float32)


def run(model: OccluModel, frames: int = 100, seed: int = 0, steps: int = 6, **options) -> FaceMotion:
    return generate(model, make_clip(*inputs(frames), CPU), seed, lambda *_: None, steps=steps, **options)


def same(a: FaceMotion, b: FaceMotion) -> bool:
    return np.array_equal(a.expression, b.expression) and np.array_equal(a.jaw_pose, b.jaw_pose)


@pytest.mark.parametrize("overlapping", [True, False])
@pytest.mark.parametrize("frames", [1, 40, 64, 65, 100, 130, 200])
def test_every_frame_gets_its_motion(model, frames, overlapping):
    motion = run(model, frames, overlapping=overlapping)
    assert motion.frames == frames and motion.fps == 25
    assert motion.expression.shape == (frames, 100) and motion.jaw_pose.shape == (frames, 3)
    assert np.array_equal(motion.rotation("jaw"), motion.jaw_pose)
    assert motion.meta["windows"] == ("overlapping" if overlapping and frames > 64 else "side by side")


def test_from_the_video_s_pixels_on_hidden_points_have_no_influence_to_the_last_bit(model):
    """The crop, the change of frame rate and the network together: 30 frames per second, some frames without a face."""
    generator = np.random.default_rng(2)
    points = np.stack([face(0.2 * np.sin(i / 7), 3 + 0.01 * i, 400 + i) for i in range(90)])
    visible = np.ones(points.shape[:2], bool)
    visible[20:70, MOUTH] = False
    visible[40:45] = False
    detected = generator.random(90) > 0.1
    times = np.arange(90) / 30
    samples = inputs(75)[2]

    def motion(own: np.ndarray) -> FaceMotion:
        clip = make_clip(*prepare(own, times, detected, visible, 3.0), samples, CPU)
        return generate(model, clip, 0, lambda *_: None, steps=5)

    before = motion(points)
    assert before.frames == 75
    junk = generator.normal(400, 300, points.shape)
    assert same(before, motion(np.where((visible & detected[:, None])[..., None], points, junk)))
    lips = points.copy()
    lips[75:, MOUTH] += 3
    assert not same(before, motion(lips))


@pytest.mark.parametrize("overlapping", [True, False])
def test_hidden_landmarks_have_no_influence_to_the_last_bit(model, overlapping):
    landmarks, visible, samples = inputs()
    visible[30:60, :200] = False
    generator = np.random.default_rng(5)

    def motion(points: np.ndarray) -> FaceMotion:
        clip = make_clip(points, visible, samples, CPU)
        return generate(model, clip, 0, lambda *_: None, steps=5, overlapping=overlapping, guidance=Guidance(1.0, 0.5))

    before = motion(landmarks)
    for junk in (generator.normal(0, 50, landmarks.shape), np.full_like(landmarks, np.nan)):
        assert same(before, motion(np.where(visible[..., None], landmarks, junk).astype(np.float32)))
    assert not same(before, motion(landmarks + 0.2 * visible[..., None].astype(np.float32)))


def test_the_same_seed_is_the_same_motion_and_another_is_not(model):
    assert same(run(model, seed=3), run(model, seed=3))
    assert not same(run(model, seed=3), run(model, seed=4))


def test_sound_is_heard_and_its_level_is_not(model):
    landmarks, visible, samples = inputs()

    def motion(sound: np.ndarray) -> FaceMotion:
        return generate(model, make_clip(landmarks, visible, sound, CPU), 0, lambda *_: None, steps=5)

    before = motion(samples)
    assert np.abs(before.expression - motion(4 * samples).expression).max() < 1e-2
    assert not same(before, motion(samples[::-1].copy()))
    assert motion(np.zeros(0, np.float32)).frames == 100


def test_the_sound_is_normalised_over_the_clip_then_cut_or_padded():
    landmarks, visible, samples = inputs(20, seconds=1.3)
    clip = make_clip(landmarks, visible, samples, CPU)
    whole = (samples - samples.mean()) / samples.std()
    assert np.allclose(clip.audio.flatten(), whole[: 20 * 640], atol=1e-4)
    short = make_clip(landmarks, visible, samples[:1000], CPU).audio.flatten()
    assert (short[1000:] == 0).all() and short[:1000].std().item() == pytest.approx(1, abs=1e-3)


def test_conditions_computed_once_are_those_of_every_step(model):
    """The reference hears and looks again at every step; the numbers are the same."""
    clip = make_clip(*inputs(64), CPU)
    pieces = cut(64)
    with torch.inference_mode():
        (_, memory), = memories(model, clip, pieces.frames)
        x = torch.randn(1, 8, 16)
        for t in (0, 500, 999):
            (_, again), = memories(model, clip, pieces.frames)
            step = torch.tensor([t])
            assert torch.equal(model.denoiser(x, step, memory), model.denoiser(x, step, again))


def test_guidance_is_the_weighted_sum_of_three_passes(model):
    clip = make_clip(*inputs(64), CPU)
    frames = cut(64).frames
    dark = replace(clip, visible=torch.zeros_like(clip.visible))
    mute = replace(dark, audio=torch.zeros_like(clip.audio))
    with torch.inference_mode():
        x = torch.randn(1, 8, 16)
        single = [model.denoiser(x, torch.tensor([300]), memories(model, c, frames)[0][1]) for c in (mute, clip, dark)]
        guided = pipeline.predictor(model, memories(model, clip, frames, Guidance(1.5, 0.7)))(x, 300)
    assert torch.allclose(guided, -1.2 * single[0] + 1.5 * single[1] + 0.7 * single[2], atol=1e-5)
    assert same(run(model, guidance=Guidance(1.0, 0.0)), run(model)) or np.allclose(
        run(model, guidance=Guidance(1.0, 0.0)).expression, run(model).expression, atol=1e-4
    )


def test_overlapping_windows_leave_no_seams(model):
    """Frame-to-frame change where a window begins or ends. With random weights neighbours agree on nothing and the clip is
    nearly still inside a window, so whatever stands out there is the joint."""
    frames = 64 * 8
    at_edges, typical = {}, {}
    for overlapping in (True, False):
        motion = run(model, frames, steps=8, overlapping=overlapping)
        speed = np.linalg.norm(np.diff(motion.expression, axis=0), axis=1)
        if overlapping:
            windows = Windows(frames, 64, pipeline.OVERLAP, 8)
            edges = sorted({e for part in windows for e in (part.start, part.stop) if 0 < e < frames})
        else:
            edges = list(range(64, frames, 64))
        at_edges[overlapping] = speed[np.array(edges) - 1]
        typical[overlapping] = np.median(speed)
    assert at_edges[False].min() > 10 * typical[False]
    assert at_edges[True].max() < 4 * typical[True]
    assert at_edges[True].max() < at_edges[False].min() / 4


def test_windows_in_steps_start_on_them():
    windows = Windows(8 * 29, 64, 16, 8)
    assert all(s % 8 == 0 for s in windows.starts) and windows.starts[-1] == 8 * 29 - 64
    assert [s // 8 for s in windows.starts] == Windows(29, 8, 2).starts
    assert min(b - a for a, b in zip(windows.starts, windows.starts[1:])) > 0
    assert max(b - a for a, b in zip(windows.starts, windows.starts[1:])) <= 48
    with pytest.raises(ValueError):
        Windows(100, 64, 16, 8)


def test_the_reference_s_windows_take_the_tail_from_the_last_frames():
    pieces = cut(83)
    assert pieces.frames[1].tolist() == list(range(19, 83))
    assert pieces.window.tolist() == [0] * 64 + [1] * 19 and pieces.place[64:].tolist() == list(range(45, 64))
    assert cut(40).frames[0].tolist() == [0] * 24 + list(range(40))


def test_bad_input_is_one_sentence_and_a_job_can_be_stopped(model):
    landmarks, visible, samples = inputs(10)
    broken = landmarks.copy()
    broken[3, np.flatnonzero(visible[3])[0]] = np.nan
    for call in (
        lambda: make_clip(landmarks[:0], visible[:0], samples, CPU),
        lambda: make_clip(landmarks[:, :400], visible[:, :400], samples, CPU),
        lambda: make_clip(landmarks, visible[:5], samples, CPU),
        lambda: make_clip(broken, visible, samples, CPU),
        lambda: run(model, 10, steps=0),
        lambda: run(model, 10, steps=1001),
    ):
        with pytest.raises(InputError, match=r"^[A-Z].*\.$"):
            call()

    def stop(stage: str, step: int, total: int) -> None:
        if step == 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        generate(model, make_clip(landmarks, visible, samples, CPU), 0, stop, steps=9)


def test_windows_in_batches_are_the_windows_one_by_one(model, monkeypatch):
    whole = run(model, 300)
    monkeypatch.setattr(pipeline, "BATCH", 2)
    seen: list[tuple[str, int, int]] = []
    few = generate(model, make_clip(*inputs(300), CPU), 0, lambda *s: seen.append(s), steps=6)
    assert np.allclose(whole.expression, few.expression, atol=1e-4)
    assert [s[1] for s in seen if s[0] == "features"] == [0, 2, 4]


def test_progress_is_told_and_the_motion_file_reads_back(model, tmp_path):
    seen: list[tuple[str, int, int]] = []
    clip: Clip = make_clip(*inputs(70), CPU)
    motion = generate(model, clip, 1, lambda *s: seen.append(s), steps=4)
    assert [s for s in seen if s[0] == "sampling"] == [("sampling", i, 4) for i in range(1, 5)]
    assert {"features", "decode"} <= {s[0] for s in seen}
    motion.save(tmp_path / "m.npz")
    again = FaceMotion.load(tmp_path / "m.npz")
    assert same(motion, again) and again.meta["seed"] == 1
    assert again.meta["visible_share"] == pytest.approx(clip.visible.float().mean().item())
