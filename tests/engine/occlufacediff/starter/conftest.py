"""A tracker of the architecture with random weights, the shipped one, and a face as a detector would see it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.animate import ASSETS
from engine.face.arkit import ARKIT_52
from engine.face.starter_head import rotation_matrices
from engine.occlufacediff.denoiser import Denoiser, DenoiserConfig
from engine.occlufacediff.flint import Flint, FlintConfig
from engine.occlufacediff.starter.channels import CHANNELS
from engine.occlufacediff.starter.model import Tracker, TrackerConfig, load_tracker
from engine.occlufacediff.starter.points import LOOKED_AT, face_points
from engine.starter.encoder import EncoderConfig, SpeechEncoder

CONFIG = TrackerConfig(
    EncoderConfig(phones=3, controls=2, width=8, dilations=(1,)),
    FlintConfig(motion_dim=len(CHANNELS), width=8, heads=2, ff=8),
    DenoiserConfig(
        latent_channels=8, landmark_dim=3 * (len(LOOKED_AT) + 2), landmark_width=8, audio_dim=22, audio_width=8,
        encoder_layers=1, encoder_ff=8, width=8, decoder_layers=1, decoder_ff=8, heads=2,
    ),
)  # fmt: skip
EYEBALLS = np.array([[-31.5, 0.1, 2.5], [31.5, 0.1, 2.5]])  # mm: fronts of the right and the left one


def tensors_of(seed: int = 0) -> dict[str, torch.Tensor]:
    """Random weights under the names of a model folder; attention is enlarged so that it matters."""
    torch.manual_seed(seed)
    parts = {"ears": SpeechEncoder(CONFIG.ears), "flint": Flint(CONFIG.flint), "denoiser": Denoiser(CONFIG.denoiser)}
    for module in parts.values():
        for name, value in module.state_dict().items():
            if name.endswith("in_proj_weight"):
                torch.nn.init.normal_(value, std=0.5)
    own = {f"{p}.{n}": v.detach() for p, module in parts.items() for n, v in module.state_dict().items()}
    ones = {"latent.mean": torch.zeros(8), "latent.deviation": torch.ones(8), "motion.scale": torch.ones(len(CHANNELS))}
    return {**own, **ones}


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Tracker:
    from engine.occlufacediff.starter.model import save_tracker

    folder = tmp_path_factory.mktemp("tracker") / "tiny"
    save_tracker(folder, CONFIG, tensors_of())
    return load_tracker(folder, torch.device("cpu"))


@pytest.fixture(scope="session")
def shipped() -> Tracker:
    return load_tracker(ASSETS / "tracker", torch.device("cpu"))


def filmed(
    weights: dict[str, np.ndarray], head: np.ndarray, looking: np.ndarray | None = None, noise: float = 0.0
) -> np.ndarray:
    """(T, 478, 2) px, y down: a face other than the starter head, 1.2 pixels per mm, with ARKit weights (T,) by name, head
    (T, 3) rad, looking (T, 2) rad pitch and yaw."""
    points, rng, frames = face_points(), np.random.default_rng(0), len(head)
    person = points.rest * [1.06, 0.97, 1.1] + 1.5 * np.sin(points.rest / 17 + [0, 1, 2])
    shapes = np.zeros((frames, len(ARKIT_52)))
    for name, curve in weights.items():
        shapes[:, ARKIT_52.index(name)] = curve
    moved = person + np.tensordot(shapes, points.basis, 1)
    irises = np.repeat(EYEBALLS, 5, axis=0)[None].repeat(frames, axis=0)
    if looking is not None:
        irises[..., 0] += 12 * np.sin(looking[:, 1:])
        irises[..., 1] -= 12 * np.sin(looking[:, :1])
    whole = np.concatenate([moved, irises], axis=1) @ rotation_matrices(head).transpose(0, 2, 1)
    pixels = 1.2 * whole[..., :2] * [1, -1] + [180, 140]
    return pixels + rng.normal(0, noise, pixels.shape)
