"""Losses and figures of a small face against plain arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.errors import InputError
from engine.occlufacediff.geometry import LandmarkEmbedding, Posed, Subject, load_embedding, pose, project
from engine.occlufacediff.losses import losses
from engine.occlufacediff.metrics import clip_metrics, jitter, vertex_errors
from engine.occlufacediff.regions import EMBEDDING


def posed(seed: int, frames: int = 12) -> Posed:
    generator = torch.Generator().manual_seed(seed)

    def some(*shape: int) -> torch.Tensor:
        return 0.1 * torch.randn(1, frames, *shape, generator=generator)

    return Posed(some(100), some(3), some(20, 3), some(105, 3), some(105, 2))


def detections(truth: Posed) -> np.ndarray:
    """What a perfect detector finds, (n, 468, 2)."""
    out = np.full((truth.landmarks2d.shape[1], 468, 2), np.nan, np.float32)
    out[:, EMBEDDING] = truth.landmarks2d[0].numpy()
    return out


REGIONS = {"lips": np.array([1, 2, 3]), "face": np.arange(10)}


def test_a_perfect_prediction_costs_and_errs_nothing():
    truth = posed(0)
    seen = detections(truth)
    latent = torch.randn(1, 2, 16)
    assert losses(latent, latent, truth, truth, torch.from_numpy(seen)[None]).total.item() == 0
    figures = clip_metrics(truth, truth, seen, np.ones((12, 468)), REGIONS)
    assert all(v == 0 for n, v in figures.items() if "jitter" not in n)
    assert figures["pred_jitter"] == figures["gt_jitter"] > 0


def test_figures_have_the_units_they_say():
    truth = posed(0)
    shift = torch.tensor([0.003, 0.0, 0.004])  # 5 mm
    moved = Posed(truth.expression + 0.5, truth.jaw + np.pi / 180, truth.vertices + shift, truth.landmarks3d + shift,
                  truth.landmarks2d + 0.01)  # fmt: skip
    figures = clip_metrics(moved, truth, detections(truth), np.ones((12, 468)), REGIONS)
    expected = {"mvpe": 5, "mvpe_face": 5, "lve": 5, "lve_usual": 5, "lmk_3d_mvpe": 5, "mvve": 0, "pose_error": 1,
                "expre_error": 0.5, "mouth_closure": 0, "lmk2d_reproj_error": 0.02, "lmk2d_invis_reproj_error": 0}  # fmt: skip
    assert {n: figures[n] for n in expected} == pytest.approx(expected, abs=2e-3)
    assert vertex_errors(moved, truth) == pytest.approx(np.full(20, 5), abs=1e-3)
    t = np.arange(8)[:, None, None] / 25
    assert jitter(np.repeat(t**3, 3, axis=2) * [1, 0, 0]) == pytest.approx(6)  # the third derivative of t^3


def test_lve_takes_the_largest_error_over_time_and_the_usual_one_over_the_lips():
    truth, wrong = posed(0), posed(0)
    wrong.vertices[0, 4, 1, 0] += 0.03
    figures = clip_metrics(wrong, truth, detections(truth), np.ones((12, 468)), REGIONS)
    assert figures["lve"] == pytest.approx(10, abs=0.01)
    assert figures["lve_usual"] == pytest.approx(30 / 12, abs=0.01)


def test_jaw_angles_wrap_and_hidden_landmarks_count_apart():
    truth, wrong = posed(0), posed(0)
    truth.jaw[:] = np.pi - 0.01
    wrong.jaw[:] = -np.pi + 0.01
    wrong.landmarks2d[..., :50, :] += 0.1
    visible = np.ones((12, 468), bool)
    visible[:, EMBEDDING[:50]] = False
    figures = clip_metrics(wrong, truth, detections(truth), visible, REGIONS)
    assert figures["pose_error"] == pytest.approx(np.degrees(0.02), abs=1e-3)
    assert figures["lmk2d_vis_reproj_error"] == pytest.approx(0, abs=1e-6)
    assert figures["lmk2d_invis_reproj_error"] == pytest.approx(0.2, abs=1e-5)


def test_the_total_is_the_weighted_sum_and_reaches_the_latent():
    truth, other = posed(0), posed(1)
    latent = torch.randn(1, 2, 16, requires_grad=True)
    found = losses(latent, torch.zeros(1, 2, 16), other, truth, torch.from_numpy(detections(truth))[None])
    weights = torch.tensor([1.0, 100.0, 0.5, 0.5, 0.01, 0.0, 0.0])
    assert found.total.item() == pytest.approx(float((torch.stack(list(found)).detach() * weights).sum()), rel=1e-6)
    found.total.backward()
    assert latent.grad.abs().sum() > 0


def test_the_camera_is_weak_perspective_with_y_down():
    points = torch.tensor([[[[0.1, 0.2, 0.3]]]])
    camera = torch.tensor([[[2.0, 0.5, -0.1]]])
    assert project(points, camera)[0, 0, 0].tolist() == pytest.approx([1.2, -0.2, -0.6])


def test_landmarks_lie_in_their_triangles():
    class Layer:
        def __call__(self, expression, rotations, shape):
            return torch.eye(3).expand(len(expression), 3, 3)

    weights = np.full((105, 3), [0.5, 0.25, 0.25], np.float32)
    embedding = LandmarkEmbedding(np.tile([2, 0, 1], (105, 1)), weights, EMBEDDING)
    subject = Subject(torch.zeros(1, 4, 300), torch.zeros(1, 4, 3), torch.ones(1, 4, 3))
    out = pose(Layer(), embedding, torch.zeros(1, 4, 103), subject)
    assert out.landmarks3d.shape == (1, 4, 105, 3)
    assert out.landmarks3d[0, 2, 50].tolist() == [0.25, 0.25, 0.5]


def test_another_embedding_is_refused(tmp_path):
    faces = np.arange(9).reshape(3, 3)
    good = {"lmk_face_idx": np.ones(105, int), "lmk_b_coords": np.full((105, 3), 1 / 3), "landmark_indices": EMBEDDING}
    np.savez(tmp_path / "e.npz", **good)
    assert (load_embedding(tmp_path / "e.npz", faces).corners == [3, 4, 5]).all()
    for change in ({"landmark_indices": EMBEDDING[::-1]}, {"lmk_face_idx": np.full(105, 3)}, {"lmk_b_coords": np.ones((104, 3))}):
        np.savez(tmp_path / "e.npz", **{**good, **change})
        with pytest.raises(InputError, match=r"^'e.npz'.*\.$"):
            load_embedding(tmp_path / "e.npz", faces)
    (tmp_path / "e.npz").write_bytes(b"no")
    with pytest.raises(InputError):
        load_embedding(tmp_path / "e.npz", faces)
