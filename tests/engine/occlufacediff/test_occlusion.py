"""What the occluders hide, how often, and masks given as pictures."""

from __future__ import annotations

import av
import numpy as np
import pytest

from engine.errors import InputError
from engine.occlufacediff.landmarks import crop_of, normalise
from engine.occlufacediff.mask_pictures import (
    crop_occluder,
    mask_pictures,
    resize,
    seen_in_picture,
    visible_in_pictures,
)
from engine.occlufacediff.occlusion import (
    RandomDraws,
    crop_mask,
    draw_span,
    hidden_region,
    named_visibility,
    phase_of,
    training_visibility,
    visible_in_crop,
)
from engine.occlufacediff.regions import EMBEDDING, LEFT_EYE_BROW, LOWER_LIP, MOUTH, RIGHT_EYE_BROW, UPPER_LIP

from .test_landmarks import face


def clip(frames: int = 64) -> np.ndarray:
    points = face()[:468]
    still = normalise(points, crop_of(points)).astype(np.float32)
    return np.stack([still + np.float32([0.1 * np.sin(i / 9), 0]) for i in range(frames)])


def draws(seed: int = 0) -> RandomDraws:
    return RandomDraws(np.random.default_rng(seed))


def picture(path, pixels: np.ndarray):
    """Write (H, W, 3 | 4) uint8."""
    kind = {3: "rgb24", 4: "rgba"}[pixels.shape[2]]
    with av.open(str(path), "w", format="image2") as container:
        stream = container.add_stream("png", rate=1)
        stream.width, stream.height, stream.pix_fmt = pixels.shape[1], pixels.shape[0], kind
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format=kind)
        for packet in (*stream.encode(frame), *stream.encode()):
            container.mux(packet)
    return path


def test_boxes_follow_the_face_and_hide_what_they_are_named_after():
    landmarks = clip()
    mouth = hidden_region(landmarks, "mouth", draws())
    assert mouth[:, 13].all() and mouth[:, 14].all() and not mouth[:, 10].any()
    assert (mouth == mouth[0]).mean() > 0.95
    eyes = hidden_region(landmarks, "eye", draws())
    assert eyes[:, [27, 257]].all() and not eyes[:, 152].any()
    assert (hidden_region(landmarks, "left", draws()) == (landmarks[..., 0] < 0)).all()
    contour = hidden_region(landmarks, "contour", draws())
    assert contour[:, [10, 152, 234, 454]].all() and not contour[:, MOUTH].any()


@pytest.mark.parametrize(("phase", "everything", "frames"), [("visual", 0.15, 0.15), ("audio", 0.3, 0.2)])
def test_training_hides_as_often_as_its_table_says(phase, everything, frames):
    landmarks, generator = clip(), draws(4)
    masks = [training_visibility(landmarks, phase, generator) for _ in range(600)]
    assert np.mean([not m.any() for m in masks]) == pytest.approx(everything, abs=0.05)
    # Frames dropped singly come back and go again; a span does not.
    rows = [m.all(axis=1) for m in masks if (m.all(axis=1) | ~m.any(axis=1)).all()]
    dropped = [r for r in rows if np.abs(np.diff(r.astype(int))).sum() > 4]
    assert len(dropped) / len(masks) == pytest.approx(frames, abs=0.05)
    assert np.mean([1 - r.mean() for r in dropped]) == pytest.approx(0.39, abs=0.02)
    assert any(m.all() for m in masks)


def test_phases_change_every_three_epochs():
    assert [phase_of(e) for e in range(7)] == ["visual"] * 3 + ["audio"] * 3 + ["visual"]


def test_spans_are_long_enough_and_inside():
    generator = draws()
    for _ in range(200):
        span = draw_span(64, 30, generator)
        assert 0 <= span.start and span.stop <= 64 and span.stop - span.start >= 30
    assert draw_span(20, 30, generator) == slice(0, 20)
    assert training_visibility(clip(20), "visual", generator).shape == (20, 468)


def test_test_types_hide_their_part_of_the_crop():
    landmarks = clip(50)
    parts = {"mouth": MOUTH, "upper": LEFT_EYE_BROW, "left_eye": LEFT_EYE_BROW, "right_eye": RIGHT_EYE_BROW}
    for kind, points in parts.items():
        mask = crop_mask(landmarks, kind, draws())
        hidden = ~visible_in_crop(landmarks, mask)
        assert hidden[25, points].mean() > 0.5, kind
        assert not hidden[25].all()
    assert crop_mask(landmarks, "non_occ", draws()).all()
    assert not crop_mask(landmarks, "all", draws()).any()
    assert (~crop_mask(landmarks, "downsample_frames", draws())).any(axis=(1, 2)).sum() == 17
    sides = {bool(crop_mask(landmarks, "asym", draws(s))[25, 0, 0]) for s in range(20)}
    assert sides == {True, False}


def test_parts_hidden_by_name_are_the_same_points_on_every_face():
    hidden = {kind: ~named_visibility(kind) for kind in ("none", "mouth", "bottom", "upper", "left", "right", "audio_only")}
    assert not hidden["none"].any() and hidden["audio_only"].all()
    assert hidden["mouth"][MOUTH].all() and not hidden["mouth"][[1, 152, 33, 263, 468, 477]].any()
    assert 50 < hidden["mouth"].sum() < 130
    assert hidden["bottom"][[*MOUTH, 152]].all() and not hidden["bottom"][[33, 263, 10, 468, 477]].any()
    assert hidden["upper"][[*LEFT_EYE_BROW, *RIGHT_EYE_BROW, 10, 468, 477]].all() and not hidden["upper"][[*MOUTH, 4]].any()
    # 33 is at the subject's right eye, which a camera sees on the left; the middle line belongs to both sides.
    assert hidden["left"][[33, 61, 468, 472]].all() and hidden["right"][[263, 291, 473, 477]].all()
    assert not (hidden["left"] & ~hidden["right"])[263] and (hidden["left"] | hidden["right"]).all()


def test_a_landmark_outside_the_crop_is_not_visible():
    landmarks = clip(2)
    landmarks[0, 5] = (1.2, 0)
    landmarks[1, 6] = (0, -1.2)
    visible = visible_in_crop(landmarks, np.ones((1, 224, 224), bool))
    assert not visible[0, 5] and not visible[1, 6] and visible.sum() == visible.size - 2


def test_the_lips_pairs_are_pairs_of_lip_points():
    pairs = {(int(EMBEDDING[u]), int(EMBEDDING[w])) for u, w in zip(UPPER_LIP, LOWER_LIP)}
    assert len(pairs) == 20 and {(13, 14), (0, 17), (308, 78), (291, 61)} <= pairs
    assert {p for pair in pairs for p in pair} <= set(MOUTH.tolist())


def test_transparent_and_plain_masks_of_any_size_hide_video_pixels(tmp_path):
    alpha = np.zeros((40, 60, 4), np.uint8)
    alpha[20:, :, 3] = 255
    alpha[:, :, 0] = 255
    plain = np.zeros((480, 640, 3), np.uint8)
    plain[240:] = 255
    places = [[10.0, 100.0], [600.0, 239.0], [320.0, 241.0], [639.9, 479.9], [-1.0, 5.0], [5.0, 481.0]]
    points = np.array([places] * 3)
    for name, pixels in {"alpha.png": alpha, "plain.png": plain}.items():
        path = picture(tmp_path / name, pixels)
        assert seen_in_picture(path).shape == pixels.shape[:2]
        visible = visible_in_pictures(mask_pictures(path, np.arange(3)), points, (640, 480))
        assert visible.tolist() == [[True, True, False, False, False, False]] * 3


def test_a_folder_gives_one_mask_per_frame_in_the_order_of_its_numbers(tmp_path):
    folder = tmp_path / "masks"
    folder.mkdir()
    points = np.full((11, 1, 2), 5.0)
    for i in range(11):
        picture(folder / f"m{i}.png", np.full((8, 8, 3), 255 if i in (2, 10) else 0, np.uint8))
    (folder / "notes.txt").write_text("not a picture")
    visible = visible_in_pictures(mask_pictures(folder, np.arange(11)), points, (10, 10))
    assert np.flatnonzero(~visible[:, 0]).tolist() == [2, 10]
    assert [p.stem for p in mask_pictures(folder, np.array([-1.0, 0.0, 0.124, 0.1249, 0.9, 9.0]), 8.0)] == [
        f"m{i}" for i in (0, 0, 1, 1, 7, 10)
    ], "by time, whatever the rate"


def test_bad_masks_are_one_sentence(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "few").mkdir()
    for i in range(2):
        picture(tmp_path / "few" / f"{i}.png", np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "text.png").write_text("hello")
    for call in (
        lambda: mask_pictures(tmp_path / "absent.png", np.arange(3)),
        lambda: mask_pictures(tmp_path / "empty", np.arange(3)),
        lambda: mask_pictures(tmp_path / "few", np.arange(3)),
        lambda: seen_in_picture(tmp_path / "text.png"),
    ):
        with pytest.raises(InputError, match=r"^[A-Z].*\.$"):
            call()


def test_an_occluder_is_scaled_to_the_crop(tmp_path):
    pixels = np.zeros((256, 256, 4), np.uint8)
    pixels[64:192, :, 3] = 255
    alpha, seen = crop_occluder(picture(tmp_path / "o.png", pixels))
    assert alpha.shape == (224, 224) and (~seen).mean() == pytest.approx(0.5, abs=0.02)
    assert np.array_equal(resize(np.full((50, 70), 93, np.uint8), 224), np.full((224, 224), 93))
