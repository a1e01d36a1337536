"""The starter model at work: samples in, `FaceMotion` out. The same LG-LDM classes as the released models, small.

NumPy only; the networks come from `networks_torch` or `networks_numpy`. The noise, the sampler, the codebook and all
that follows are computed here, so that both give the same performance for the same seed.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import life
from ..audio import MEL_BANDS, SAMPLE_RATE
from ..diffusion.samplers import ddim
from ..diffusion.schedule import Schedule, cosine_schedule_arrays
from ..face.arkit import ARKIT_52
from ..model_folder import read_config, whole_model
from ..motion import ROTATION_NAMES, FaceMotion
from ..tensor_file import read_tensors
from .articulation import CONTACT_RATE
from .contacts import HEAD, apply_contacts
from .front_end import hear
from .mouth_shaping import crisp_jaw, lip_contacts, smooth_step, smoothed
from .networks import Networks
from .resample import contacts_at, values_at

DEFAULT_STEPS = 8
DEFAULT_VARIATION = 0.3  # share of the sampled mouth in the mouth; the contacts are never sampled
JAW_ANGLE = 0.3665  # rad (21 degrees) of jaw rotation at jawOpen 1, as the starter head's shape is made
# While nobody speaks, anticipation must not leave the mouth ajar: how much of it goes, and from which certainty on.
REST_STRENGTH = 0.65
REST_RANGE = (0.6, 0.9)
LIPS_APART = tuple(f"mouth{part}{side}" for part in ("UpperUp", "LowerDown") for side in ("Left", "Right"))
SHUT_RANGE = (0.03, 0.15)  # of jawOpen: where the jaw is nearly shut, and where it is open
# Gaussian smoothing, in model frames of 40 ms, against the trembling of few sampling steps.
HEAD_SMOOTHING, FACE_SMOOTHING = 2.0, 1.2
PARTING = ("jawOpen", "mouthFunnel", "mouthLowerDownLeft", "mouthLowerDownRight")
# Two codes whose squared distances differ by less than this share the frame, so that no processor's rounding decides.
TIE = 0.02
CODES_AT_ONCE = 4096  # whose distances to the codebook are in memory together

Progress = Callable[[str, int, int], None]


@dataclass
class Starter:
    """The loaded starter model. bands: numbers per frame of sound, see `front_end.hear`. latent_mean, latent_deviation:
    (D,); motion_scale: (M,); all float32."""

    name: str
    frame_rate: int
    bands: int
    emotions: list[str]
    motion: list[str]
    learned: list[str]
    mouth: list[str]
    networks: Networks
    latent_mean: np.ndarray
    latent_deviation: np.ndarray
    motion_scale: np.ndarray
    schedule: Schedule  # of NumPy arrays


@dataclass(frozen=True)
class Heard:
    """What a clip's sound and emotion say before anything is sampled; everything per model frame.

    conditions: (T, C). felt: (T, E). mouth: (T, mouth channels) of the regressor. contacts: (2 T, 2) strengths of close
    and fv at CONTACT_RATE. silence: (T,) 0..1.
    """

    conditions: np.ndarray
    felt: np.ndarray
    mouth: np.ndarray
    contacts: np.ndarray
    silence: np.ndarray


def load(folder: Path, device: str) -> Starter:
    """Read config.json and starter.safetensors of a starter-format folder.

    device: "numpy" (no torch is imported), "cpu", "cuda" or "mps". Raises InputError when the files do not fit.
    """
    with whole_model(folder):
        config = read_config(folder)
        tensors = read_tensors(folder / "starter.safetensors")
        return Starter(
            name=config["name"],
            frame_rate=config["frame_rate"],
            bands=config["encoder"].get("bands", MEL_BANDS),
            emotions=config["emotions"],
            motion=config["motion"],
            learned=config["learned"],
            mouth=config["regressor"]["mouth"],
            networks=load_networks(config, tensors, device),
            latent_mean=tensors["latent.mean"],
            latent_deviation=tensors["latent.deviation"],
            motion_scale=tensors["latent.scale"],
            schedule=cosine_schedule_arrays(config["denoiser"]["timesteps"]),
        )


def load_networks(config: dict[str, Any], tensors: dict[str, np.ndarray], device: str) -> Networks:
    """The networks on one device, see `load`. Imports torch only where it is asked for."""
    if device == "numpy":
        from .networks_numpy import NumpyNetworks

        return NumpyNetworks(config, tensors)
    from .networks_torch import TorchNetworks

    return TorchNetworks(config, tensors, device)


def model_frames(model: Starter, samples: np.ndarray) -> int:
    """T: how many model frames `generate` needs for (S,) samples at 16 kHz; frame i is at i / frame_rate s."""
    return int(np.ceil(len(samples) / SAMPLE_RATE * model.frame_rate)) + 1


def constant_emotion(model: Starter, emotion: Mapping[str, float], frames: int) -> np.ndarray:
    """(frames, E) float32 of one emotion, weights 0..1 by name, all the time."""
    return np.tile(np.array([emotion.get(name, 0.0) for name in model.emotions], np.float32), (frames, 1))


def generate(
    model: Starter,
    samples: np.ndarray,
    felt: np.ndarray,
    seed: int,
    steps: int,
    fps: float,
    variation: float,
    progress: Progress,
) -> FaceMotion:
    """samples: (S,) float32 at 16 kHz. felt: (T, E) float32, T = `model_frames`: weights 0..1 of the model's emotions in
    every model frame (`constant_emotion` makes one). Returns ceil(seconds * fps) frames (at least 1).

    The same samples, emotions, seed and steps give identical motion on one device, and within 1e-3 on any other.
    `progress(stage, step, total)` may raise to stop.
    """
    clock = Stopwatch()
    progress("features", 0, 1)
    heard = listen(model, samples, felt)
    clock.lap("features")
    own_seed = performance_seed(seed, samples)
    latent = sample(model, heard, starting_noise(model, own_seed, len(felt)), steps, progress)
    clock.lap("sampling")
    progress("decode", 0, 1)
    sampled = face_of(model, heard, latent, variation)
    seconds = len(samples) / SAMPLE_RATE
    motion = assemble(model, sampled, heard.contacts, variation, own_seed, seconds, fps)
    clock.lap("decode")
    motion.meta.update(
        {"model": model.name, "seed": seed, "steps": steps, "sampler": "ddim", "mouth_variation": variation,
         "device": model.networks.device, "runtime": model.networks.runtime, "seconds": clock.laps}
    )  # fmt: skip
    return motion


def listen(model: Starter, samples: np.ndarray, felt: np.ndarray) -> Heard:
    """The networks' part that is no diffusion. samples: (S,) at 16 kHz; felt: (T, E)."""
    networks = model.networks
    felt = np.ascontiguousarray(felt, dtype=np.float32)
    conditions, clarity = _heard_in(model, samples, len(felt))
    mouth, contact_logits = networks.mouth(conditions, felt)
    jaw = model.mouth.index("jawOpen")
    mouth[:, jaw] = crisp_jaw(mouth[:, jaw])
    contacts = lip_contacts(contact_logits, clarity)
    return Heard(conditions, felt, mouth, contacts, networks.silence(conditions))


def _heard_in(model: Starter, samples: np.ndarray, frames: int) -> tuple[np.ndarray, float]:
    """The encoder's conditions (frames, C) and the sound's clarity; the sound's own frames are gone when it returns."""
    sound = hear(samples, model.bands)
    return model.networks.conditions(sound.frames, frames), sound.clarity


def starting_noise(model: Starter, own_seed: int, frames: int) -> np.ndarray:
    """(frames, D) float32 Gaussian noise: the same numbers wherever it is drawn, and a longer clip begins as a shorter."""
    generator = np.random.Generator(np.random.PCG64(own_seed))
    return generator.standard_normal((frames, model.networks.latent_dim), dtype=np.float32)


def sample(model: Starter, heard: Heard, noise: np.ndarray, steps: int, progress: Progress) -> np.ndarray:
    """(T, D) noise to the (T, D) latent of a performance, in the units of the VQ-VAE."""
    denoise = model.networks.denoiser(heard.conditions, heard.felt)
    latent = ddim(denoise, noise, model.schedule, steps, step_done=lambda s, n: progress("sampling", s, n))
    return latent * model.latent_deviation + model.latent_mean


def face_of(model: Starter, heard: Heard, latent: np.ndarray, variation: float) -> np.ndarray:
    """(T, D) latent of `sample` to (T, M) model frames: mouth from the regressor and the sampled one, face and head steadied.

    The codebook keeps mouth shapes crisp but makes slow channels flicker: brows and head come un-quantised.
    """
    networks = model.networks
    sharp, smooth = (networks.decode(z) * model.motion_scale for z in (quantise(networks.codebook, latent), latent))
    columns = [model.motion.index(name) for name in model.mouth]
    sampled = smooth.copy()
    sampled[:, columns] = (1 - variation) * heard.mouth + variation * sharp[:, columns]
    steady(sampled, model.motion, model.mouth)
    rest = REST_STRENGTH * smooth_step(heard.silence, *REST_RANGE)
    sampled[:, [model.motion.index(name) for name in PARTING]] *= (1 - rest)[:, None]
    # Disgust is the one feeling whose pose parts the lips; while the jaw is nearly shut they come together all the same.
    shut = 1 - smooth_step(sampled[:, model.motion.index("jawOpen")], *SHUT_RANGE)
    together = shut * heard.felt[:, model.emotions.index("disgusted")]
    sampled[:, [model.motion.index(name) for name in LIPS_APART]] *= (1 - together)[:, None]
    return sampled


def quantise(codebook: np.ndarray, latent: np.ndarray) -> np.ndarray:
    """(T, D) latent to the nearest codes of (K, d); where two are equally near, to their mean, and smoothly between.

    In float64 and without a hard choice near a tie (see TIE), so that the result is continuous in the latent.
    """
    book = codebook.astype(np.float64)
    codes = latent.reshape(-1, book.shape[1])
    out = np.empty_like(codes)
    for start in range(0, len(codes), CODES_AT_ONCE):
        part = codes[start : start + CODES_AT_ONCE].astype(np.float64)
        distance = np.square(book).sum(1) - 2 * part @ book.T  # the code's own square is the same for every row
        nearest = np.argpartition(distance, 1, axis=1)[:, :2]
        pair = np.take_along_axis(distance, nearest, axis=1)
        share = smooth_step(pair[:, 1] - pair[:, 0], -TIE, TIE)[:, None]  # of the first of the two
        out[start : start + CODES_AT_ONCE] = share * book[nearest[:, 0]] + (1 - share) * book[nearest[:, 1]]
    return out.reshape(latent.shape)


def assemble(
    model: Starter, sampled: np.ndarray, contacts: np.ndarray, variation: float, seed: int, seconds: float, fps: float
) -> FaceMotion:
    """Model frames (T, M) and contacts (2 T, 2) to the finished motion at `fps`: contacts kept, eyes brought to life."""
    frames = max(1, int(np.ceil(seconds * fps)))
    values = values_at(sampled, model.frame_rate, fps, frames)
    learned = len(model.learned)
    face, head = np.clip(values[:, :learned], 0, 1), values[:, learned:]
    if variation < 1:  # with the mouth entirely sampled, so are its contacts
        close, fv = contacts_at(contacts, CONTACT_RATE, fps, frames).T
        face = np.clip(apply_contacts(face, close, fv), 0, 1)
    rng = np.random.default_rng(seed)
    quiet = face[:, model.learned.index("jawOpen")] < 0.03
    looking = life.gaze(fps, frames, head, rng)
    weights = np.zeros((frames, len(ARKIT_52)), np.float32)
    for i, name in enumerate(model.learned):
        weights[:, ARKIT_52.index(name)] = face[:, i]
    lids = life.blinks(fps, frames, quiet, rng)
    for name in ("eyeBlinkLeft", "eyeBlinkRight"):
        weights[:, ARKIT_52.index(name)] = lids
    for name in ("eyeWideLeft", "eyeWideRight", "eyeSquintLeft", "eyeSquintRight"):
        weights[:, ARKIT_52.index(name)] *= 1 - lids
    for name, curve in life.eye_channels(looking).items():
        weights[:, ARKIT_52.index(name)] = curve * (1 - lids)
    rotations = np.zeros((frames, len(ROTATION_NAMES), 3), np.float32)
    rotations[:, ROTATION_NAMES.index("head")] = head
    rotations[:, ROTATION_NAMES.index("jaw"), 0] = JAW_ANGLE * weights[:, ARKIT_52.index("jawOpen")]
    for eye in ("left_eye", "right_eye"):
        rotations[:, ROTATION_NAMES.index(eye), :2] = looking
    return FaceMotion(fps, ARKIT_52, weights, ROTATION_NAMES, rotations)


def steady(values: np.ndarray, names: list[str], mouth: list[str]) -> None:
    """Low-pass what few-step sampling makes tremble, in place: (T, M) face above the mouth and head; not the mouth."""
    for column, name in enumerate(names):
        if name not in mouth:
            values[:, column] = smoothed(values[:, column], HEAD_SMOOTHING if name in HEAD else FACE_SMOOTHING)


def performance_seed(seed: int, samples: np.ndarray) -> int:
    """A 63-bit seed from the user's seed and the sound itself (SHA-256), so that one seed does not mean one performance.

    The sound counts in steps of 16 bits: the last digits of its samples depend on the processor that resampled it.
    """
    digest = hashlib.sha256()
    for start in range(0, len(samples), 60 * SAMPLE_RATE):  # bounded memory
        heard = np.asarray(samples[start : start + 60 * SAMPLE_RATE], np.float64)
        digest.update(np.round(heard * 32768).astype("<i4").tobytes())
    digest.update(str(seed).encode())
    return int.from_bytes(digest.digest()[:8], "little") >> 1


class Stopwatch:
    """Seconds spent per stage."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self.last = time.perf_counter()

    def lap(self, stage: str) -> None:
        """Charge the time since the last lap to `stage`."""
        now = time.perf_counter()
        self.laps[stage] = self.laps.get(stage, 0.0) + now - self.last
        self.last = now
