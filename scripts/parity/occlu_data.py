"""OccluFaceDiff's crop, occluders, windows, losses and metrics against the recorded numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from engine.face.flame import FlameModel
from engine.face.flame_torch import FlameLayer
from engine.occlufacediff import regions
from engine.occlufacediff.checkpoints import take_flint
from engine.occlufacediff.flint import Flint
from engine.occlufacediff.geometry import LandmarkEmbedding, Posed, Subject, pose, project
from engine.occlufacediff.landmarks import CROP, crop_of, crop_pixels, fill_gaps, normalise, warp
from engine.occlufacediff.losses import losses
from engine.occlufacediff.mask_pictures import crop_occluder
from engine.occlufacediff.metrics import clip_metrics, vertex_errors
from engine.occlufacediff.occlusion import crop_mask, hidden_region, look_up, training_visibility, visible_in_crop
from engine.occlufacediff.windows import cut

from .rows import Arrays, Comparison, Row

POINTS, WARP = 1e-6, 1e-3
VERTICES, LOSS, METRIC, GRADIENT = 1e-6, 1e-5, 1e-4, 1e-5


class Script:
    """Recorded random numbers, given out in order; anything else asked for is an error."""

    def __init__(self, arrays: Arrays, name: str):
        self._left = list(zip(arrays[f"{name}_draw_kind"], arrays[f"{name}_draw_value"], strict=True))

    def uniform(self) -> float:
        """The next number, which must be a uniform one."""
        return float(self._next("uniform"))

    def integer(self, low: int, high: int) -> int:
        """The next number, which must be of exactly this range."""
        return int(self._next(f"integer[{low},{high})"))

    def left(self) -> int:
        """How many were not asked for."""
        return len(self._left)

    def _next(self, wanted: str) -> float:
        if not self._left:
            raise ValueError(f"a random number was drawn that the reference does not draw: {wanted}")
        kind, value = self._left.pop(0)
        if not str(kind).startswith(wanted):
            raise ValueError(f"the reference drew {kind}, not {wanted}")
        return value


def crop(path: Path) -> list[Row]:
    """Crop boxes, transforms, normalised points, the warped picture, and missing frames."""
    arrays = Arrays(path)
    check = Comparison(arrays)
    for name, match in arrays.matching(r"s(\d+)_landmarks_px"):
        points, case = arrays[name], f"s{match[1]}"
        box = crop_of(points)
        check.exact(f"{case}_size", np.array(box.size))
        check.close(f"{case}_center", box.centre, POINTS)
        check.close(f"{case}_matrix", box.matrix, POINTS)
        check.close(f"{case}_landmarks_norm", normalise(points, box), POINTS)
        for warped, every in arrays.matching(rf"{case}_warped_every_(\d+)th"):
            picture = arrays["image"] / 255.0
            check.close(warped, warp(picture, box, np.arange(0, CROP, int(every[1]))), WARP)
    detected = arrays["missing_detected"]
    check.exact("missing_valid_idx", np.flatnonzero(detected))
    check.close("missing_out", fill_gaps(arrays["missing_in"][..., :2], detected), POINTS)
    return check.finish()


def training_occluder(path: Path) -> list[Row]:
    """Single regions and whole masks from scripted random numbers."""
    arrays = Arrays(path)
    check = Comparison(arrays)
    landmarks = arrays["lmk_2d"]
    start, length = arrays["region_span"]
    span = slice(start, start + length)
    for name, match in arrays.matching(r"region_(\w+)_mask"):
        script = Script(arrays, f"region_{match[1]}")
        visible = np.ones(landmarks.shape[:2], bool)
        visible[span] &= ~hidden_region(landmarks[span], match[1], script)
        finish_mask(check, name, visible, script)
    for name, match in arrays.matching(r"(train\d+)_mask"):
        script = Script(arrays, match[1])
        finish_mask(check, name, training_visibility(landmarks, str(arrays[f"{match[1]}_phase"]), script), script)
    return check.finish()


def finish_mask(check: Comparison, name: str, visible: np.ndarray, script: Script) -> None:
    """Compare a mask; numbers left over are a failure."""
    check.exact(name, visible.astype(np.uint8))
    if script.left():
        check.add(f"{name} draws", float(script.left()), 0.0, "random numbers were left over")


def test_occluder(path: Path) -> list[Row]:
    """The test types on the crop, and the pasted picture."""
    arrays = Arrays(path)
    check = Comparison(arrays)
    landmarks = arrays["lmk_2d"]
    check.exact("pixel", crop_pixels(landmarks).astype(np.int16))
    for name, match in arrays.matching(r"(\w+)_img_mask_packed"):
        script = Script(arrays, match[1])
        mask = crop_mask(landmarks, match[1], script)
        packed = np.packbits(mask, axis=-1)
        finish_mask(check, name, packed, script)
        check.exact(f"{match[1]}_lmk_mask", visible_in_crop(landmarks, mask).astype(np.uint8))
    if "png_frames" in arrays:
        alpha, seen = crop_occluder(next(path.parent.glob("I_*.png")))
        check.close("png_alpha_224", alpha, 1.0)
        check.exact("png_img_mask", (~seen).astype(np.uint8))
        start, length = arrays["png_frames"]
        visible = np.ones(landmarks.shape[:2], bool)
        span = slice(start, start + length)
        visible[span] = look_up(seen[None], crop_pixels(landmarks[span]))
        check.exact("png_lmk_mask", visible.astype(np.uint8))
    return check.finish()


def windows(path: Path) -> list[Row]:
    """Which frame stands where in the reference's windows."""
    arrays = Arrays(path)
    check = Comparison(arrays)
    for total in arrays["N"]:
        size = arrays[f"n{total}_window_frames"].shape[1]
        pieces = cut(int(total), size)
        for name, value in {"window_frames": pieces.frames, "out_window": pieces.window, "out_position": pieces.place}.items():
            check.exact(f"n{total}_{name}", value)
    return check.finish()


def index_sets(path: Path) -> list[Row]:
    """Which landmarks form which region."""
    arrays = Arrays(path)
    check = Comparison(arrays)
    for name, value in {
        "mouth": regions.MOUTH,
        "left_eye_brow": regions.LEFT_EYE_BROW,
        "right_eye_brow": regions.RIGHT_EYE_BROW,
        "face_center": regions.FACE_CENTRE,
        "face_oval": regions.FACE_OVAL,
        "embedding_105": regions.EMBEDDING,
        "upper_lip_pairs": regions.UPPER_LIP,
        "lower_lip_pairs": regions.LOWER_LIP,
    }.items():
        check.exact(name, value)
    return check.finish()


def losses_and_metrics(path: Path) -> list[Row]:
    """A small FLAME posed and projected, every loss with its gradient, and every metric."""
    arrays = Arrays(path)
    check = Comparison(arrays)
    layer = FlameLayer(
        FlameModel(
            arrays["v_template"], arrays["shape_basis"], arrays["exp_basis"], arrays["posedirs"], arrays["J_regressor"],
            arrays["lbs_weights"], arrays["parents"], arrays["faces"],
        )
    )  # fmt: skip
    corners = arrays["faces"][arrays["lmk_face_idx"]]
    embedding = LandmarkEmbedding(corners, arrays["lmk_b_coords"], arrays["landmark_indices"])
    check.exact("landmark_indices", regions.EMBEDDING)
    subject = Subject(*(arrays.tensor(f"in_{n}") for n in ("shape", "global_pose", "cam")))
    truth = pose(layer, embedding, torch.cat([arrays.tensor("in_exp"), arrays.tensor("in_jaw")], dim=-1), subject)
    decoder = flint_of_b(path.parent)
    latent = arrays.tensor("in_latent_pred").requires_grad_(True)
    motion = decoder.decode(latent)
    check.close("pred_motion", motion, LOSS)
    predicted = pose(layer, embedding, motion, subject)
    for kind, posed in {"gt": truth, "pred": predicted}.items():
        check.close(f"verts_{kind}", posed.vertices, VERTICES)
        check.close(f"lmk3d_{kind}", posed.landmarks3d, VERTICES)
    check.close("lmk2d_pred", predicted.landmarks2d, LOSS)
    check.close("verts_pred_projected", project(predicted.vertices, subject.camera), LOSS)
    found = losses(latent, arrays.tensor("in_latent_target"), predicted, truth, arrays.tensor("in_lmk_2d"))
    found.total.backward()
    for name, value in {
        "expr_loss": found.expression,
        "pose_loss": found.jaw,
        "latent_rec_loss": found.latent,
        "mesh_verts_loss": found.vertices,
        "lmk3d_loss": found.landmarks3d,
        "lmk2d_loss": found.landmarks2d,
        "mouth_closure_loss": found.mouth,
        "loss": found.total,
    }.items():
        check.close(f"loss_{name}", value, LOSS, relative=True)
    check.close("grad_loss_wrt_latent_pred", latent.grad, GRADIENT)
    metrics(check, layer, embedding, subject)
    return check.finish()


@torch.no_grad()
def metrics(check: Comparison, layer: FlameLayer, embedding: LandmarkEmbedding, subject: Subject) -> None:
    """Every figure of sample 0, whose jaw is replaced."""
    arrays = check.arrays
    one = Subject(subject.shape[:1], subject.rotation[:1], subject.camera[:1])
    true_motion = torch.cat([arrays.tensor("in_exp")[0], arrays.tensor("metric_gt_jaw")], dim=-1)
    truth: Posed = pose(layer, embedding, true_motion[None], one)
    predicted = pose(layer, embedding, arrays.tensor("metric_pred_motion")[None], one)
    detected, visible = arrays["in_lmk_2d"][0], arrays["metric_lmk_mask"]
    sets = {match[1]: arrays[name] for name, match in arrays.matching(r"metric_region_(\w+)")}
    figures = clip_metrics(predicted, truth, detected, visible, sets)
    figures["mean_full_vertex_error"] = vertex_errors(predicted, truth)
    for label, shown in {"allvisible": True, "allhidden": False}.items():
        other = clip_metrics(predicted, truth, detected, np.full_like(visible, shown), sets)
        figures |= {f"{label}_{k}": other[f"lmk2d_{k}_reproj_error"] for k in ("vis", "invis")}
    for name, match in arrays.matching(r"metric_(\w+)"):
        if match[1] in figures:
            value = np.asarray(figures[match[1]]).reshape(arrays[name].shape)
            check.close(name, value, METRIC, relative=True)


def flint_of_b(folder: Path) -> Flint:
    """The prior of case B."""
    path = next(folder.glob("B_*.npz"))
    heads = json.loads((folder / "config.json").read_text(encoding="utf-8"))["flint"]["heads"]
    config, tensors = take_flint(Arrays(path).state(), path.name, heads)
    model = Flint(config).eval().requires_grad_(False)
    model.load_state_dict(tensors)
    return model
