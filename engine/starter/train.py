"""Training of the starter model on the synthesised corpus, stage by stage; each stage resumes from its checkpoint.

1. encoder: log-mel -> phones and mouth controls (its features become the conditions of everything after it)
2. features: frozen encoder over training chunks, with targets drawn by `performance` (several draws per sound)
3. regressor: the deterministic mouth and its contacts
4. vqvae: stage 1 of LG-LDM on the 25 Hz motion
5. denoiser: stage 2, latent diffusion
"""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..audio import log_mel
from ..diffusion.schedule import cosine_schedule
from ..lgldm.denoiser import Denoiser, DenoiserConfig
from ..lgldm.vqvae import VQVAE, VQVAEConfig, perplexity
from .articulation import (
    CONTACT_RATE,
    CONTACTS,
    CONTROLS,
    TENDENCIES,
    contact_frames,
    mouth_controls,
    random_style,
    to_frames,
)
from .augment import augment, augment_mel
from .data import CHUNK_SECONDS, ECHOING, ChunkMaker, EncoderExamples, load_corpus, loudness
from .dereverberation import dry_log_mel
from .encoder import EncoderConfig, MouthRegressor, RegressorConfig, SpeechEncoder
from .front_end import BANDS, both
from .performance import EMOTIONS, FRAME_RATE, LEARNED, MOTION, MOUTH, perform, random_feeling
from .phones import PHONES

FRAMES = round(CHUNK_SECONDS * FRAME_RATE)  # 256 frames of 25 Hz in a chunk
CONTACTS_PER_FRAME = CONTACT_RATE // FRAME_RATE
WINDOW = 64  # frames the denoiser looks back: 2.56 s


@dataclass(frozen=True)
class Plan:
    """How much training. The defaults make weights like the committed ones (assets/starter/NOTES.md); `smoke` makes a
    useless model in seconds for tests."""

    seed: int = 0
    encoder_steps: int = 6300
    # The encoder is the mean of what it was after these steps: between two points of one run lie weights that know unheard
    # voices better than either (stochastic weight averaging, Izmailov et al. 2018).
    encoder_means: tuple[int, ...] = (4300, 6300)
    encoder_batch: int = 8
    chunks: int = 2000  # sounds of 10.24 s whose features are kept
    draws: int = 3  # performances per sound
    regressor_steps: int = 4000
    vqvae_steps: int = 3000
    denoiser_steps: int = 4000
    workers: int = 1

    @staticmethod
    def smoke() -> Plan:
        """A few steps of everything."""
        return Plan(0, 3, (2, 3), 2, 4, 1, 3, 3, 3, 0)


Log = Callable[[str], None]


def train(corpus: Path, work: Path, assets: Path, plan: Plan, log: Log = print, warm_start: Path | None = None) -> None:
    """Run every stage that `work` does not hold yet, then write the model into `assets` (see `export`)."""
    work.mkdir(parents=True, exist_ok=True)
    start = None if warm_start is None else WarmStart(warm_start)
    encoder = train_encoder(corpus, work, plan, log, start)
    features = make_features(encoder, corpus, work, plan, log)
    train_regressor(features, work, plan, log, start)
    train_vqvae(features, work, plan, log, start)
    train_denoiser(features, work, plan, log, start)
    export(work, assets)


class WarmStart:
    """The weights of an earlier starter model of the same sizes, where every stage begins instead of at random."""

    def __init__(self, folder: Path):
        from safetensors.torch import load_file

        self.tensors = {name: tensor.float() for name, tensor in load_file(folder / "starter.safetensors").items()}

    def weights(self, stage: str) -> dict[str, Tensor]:
        """The state of one stage."""
        prefix = stage + "."
        return {name.removeprefix(prefix): v for name, v in self.tensors.items() if name.startswith(prefix)}


# ---------------------------------------------------------------------------------------------------------- 1. encoder
ENCODER = EncoderConfig(len(PHONES), len(CONTROLS), width=288, dilations=(1, 2, 4, 8, 1, 2, 4, 8, 1, 2), bands=BANDS)
# Lips against tongue (m/n, b/d, p/t, f/th, v/th) is what shows on a face and what recordings blur most.
PHONE_WEIGHTS = torch.tensor([1.6 if p in ("p", "b", "m", "f", "v") else 1.2 if p in "nθðw" else 1.0 for p in PHONES])
CONTROL_WEIGHTS = torch.tensor([4.0, 2.0, 2.0, 2.0, 2.0, 2.0, 1.0])  # of TENDENCIES: the jaw counts most


def encoder_loss(
    encoder: SpeechEncoder, mel: Tensor, phones: Tensor, controls: Tensor
) -> tuple[Tensor, dict[str, float]]:
    """Cross-entropy of the phones, squared error of the tendencies, binary cross-entropy of the contacts."""
    _, phone_logits, control_logits = encoder(mel)
    phone = F.cross_entropy(phone_logits.float().flatten(0, 1), phones.flatten(), PHONE_WEIGHTS, label_smoothing=0.05)
    split = len(TENDENCIES)
    tendency = (torch.sigmoid(control_logits[..., :split].float()) - controls[..., :split]).square()
    tendency = (tendency * CONTROL_WEIGHTS).mean()
    contact = F.binary_cross_entropy_with_logits(control_logits[..., split:].float(), controls[..., split:])
    return phone + 10 * tendency + 3 * contact, {
        "phone": phone.item(),
        "tendency": tendency.item(),
        "contact": contact.item(),
    }


def train_encoder(corpus: Path, work: Path, plan: Plan, log: Log, start: WarmStart | None = None) -> SpeechEncoder:
    """The speech encoder with its phone head; checkpoints to work/encoder.pt every 100 steps."""
    torch.manual_seed(plan.seed)
    encoder = SpeechEncoder(ENCODER)
    trainer = Trainer("encoder", encoder, plan.encoder_steps, 1.5e-3, work, log, start, plan.encoder_means)
    if trainer.step < trainer.steps:
        examples = EncoderExamples(corpus, plan.encoder_steps * plan.encoder_batch, plan.seed)
        left = torch.utils.data.Subset(examples, range(trainer.step * plan.encoder_batch, len(examples)))  # type: ignore[arg-type]
        batches = torch.utils.data.DataLoader(
            left, plan.encoder_batch, num_workers=plan.workers, worker_init_fn=_one_thread
        )
        for mel, phones, controls in batches:
            trainer.update(lambda m=mel, p=phones, c=controls: encoder_loss(encoder, m, p, c))
    return trainer.finished()


def _one_thread(_worker: int) -> None:
    torch.set_num_threads(1)


# --------------------------------------------------------------------------------------------------------- 2. features
@dataclass(frozen=True)
class Features:
    """N sounds with D performances each, 256 frames at 25 Hz.

    conditions: (2, N, T, C) float16, clean and degraded sound. motion: (N, D, T, M) float16. contacts: (N, D, T, K, 2)
    float16, K at CONTACT_RATE in a frame. emotion: (N, D, T, E) float16.
    """

    conditions: np.ndarray
    motion: np.ndarray
    contacts: np.ndarray
    emotion: np.ndarray

    def batches(self, size: int, frames: int, seed: int, first_step: int) -> Iterator[tuple[Tensor, ...]]:
        """Endless batches of windows: conditions, motion, contacts, emotion; batch k depends on (seed, k) alone."""
        step = first_step
        while True:
            rng = np.random.default_rng([seed, step])
            n, d = rng.integers(self.motion.shape[0], size=size), rng.integers(self.motion.shape[1], size=size)
            version = rng.integers(2, size=size)
            start = rng.integers(FRAMES - frames + 1, size=size)
            span = start[:, None] + np.arange(frames)
            yield (
                torch.from_numpy(self.conditions[version[:, None], n[:, None], span].astype(np.float32)),
                torch.from_numpy(self.motion[n[:, None], d[:, None], span].astype(np.float32)),
                torch.from_numpy(self.contacts[n[:, None], d[:, None], span].astype(np.float32)),
                torch.from_numpy(self.emotion[n[:, None], d[:, None], span].astype(np.float32)),
            )
            step += 1


def make_features(encoder: SpeechEncoder, corpus: Path, work: Path, plan: Plan, log: Log) -> Features:
    """Conditions and targets of `plan.chunks` sounds, kept in work/features.npz."""
    path = work / "features.npz"
    if not path.exists():
        maker = ChunkMaker(load_corpus(corpus))
        count, draws = plan.chunks, plan.draws
        conditions = np.zeros((2, count, FRAMES, encoder.feature_dim), np.float16)
        motion = np.zeros((count, draws, FRAMES, len(MOTION)), np.float16)
        contacts = np.zeros((count, draws, FRAMES, CONTACTS_PER_FRAME, len(CONTACTS)), np.float16)
        emotion = np.zeros((count, draws, FRAMES, len(EMOTIONS)), np.float16)
        encoder.eval()
        for i in range(count):
            rng = np.random.default_rng([plan.seed, 7, i])
            chunk = maker.draw(rng, warped=True)
            energy = loudness(chunk.samples)[:FRAMES]
            for d in range(draws):
                curves = mouth_controls(chunk.phones, chunk.starts, chunk.ends, CHUNK_SECONDS, random_style(rng), rng)
                feeling = random_feeling(rng, FRAMES)
                motion[i, d] = perform(to_frames(curves, FRAME_RATE, FRAMES), energy, feeling, rng)
                contacts[i, d] = contact_frames(curves, CONTACTS_PER_FRAME * FRAMES).reshape(contacts.shape[2:])
                emotion[i, d] = feeling.weights
            babble, echoing = maker.draw(rng).samples, rng.random() < ECHOING
            spoiled = augment(chunk.samples, babble, echoing, rng)
            for version, samples in enumerate((chunk.samples, spoiled)):
                mel = dry_log_mel(samples)[0] if version and echoing else log_mel(samples)
                # On the voices that it was trained on the encoder is surer than on people's: other voices, here too.
                with torch.inference_mode():
                    heard = torch.from_numpy(both(augment_mel(mel, rng)))[None]
                    conditions[version, i] = encoder.conditions(heard, FRAMES)[0].numpy()
            if i % 100 == 99:
                log(f"features {i + 1}/{count}")
        partial = work / "features.part.npz"
        np.savez(partial, conditions=conditions, motion=motion, contacts=contacts, emotion=emotion)
        partial.replace(path)
    with np.load(path, allow_pickle=False) as data:
        return Features(**{name: data[name] for name in data.files})


# -------------------------------------------------------------------------------------------------------- 3. regressor
MOUTH_COLUMNS = [MOTION.index(n) for n in MOUTH]
JAW, CLOSE = MOTION.index("jawOpen"), MOTION.index("mouthClose")


def train_regressor(
    features: Features, work: Path, plan: Plan, log: Log, start: WarmStart | None = None
) -> MouthRegressor:
    """Squared error of weights and their speed, cross-entropy of contacts, and the lip gap (jawOpen - mouthClose)."""
    torch.manual_seed(plan.seed + 1)
    config = RegressorConfig(features.conditions.shape[-1], len(EMOTIONS), MOUTH, contacts_per_frame=CONTACTS_PER_FRAME)
    model = MouthRegressor(config)
    trainer = Trainer("regressor", model, plan.regressor_steps, 1e-3, work, log, start)
    jaw, close = MOUTH.index("jawOpen"), MOUTH.index("mouthClose")

    def loss(conditions: Tensor, motion: Tensor, contacts: Tensor, emotion: Tensor) -> tuple[Tensor, dict[str, float]]:
        mouth, logits = model(conditions, emotion)
        target = motion[..., MOUTH_COLUMNS]
        weights = (mouth - target).square().mean()
        speed = (mouth.diff(dim=1) - target.diff(dim=1)).square().mean()
        contact = F.binary_cross_entropy_with_logits(logits, contacts.flatten(1, 2))
        gap = ((mouth[..., jaw] - mouth[..., close]) - (target[..., jaw] - target[..., close])).square().mean()
        parts = {"weights": weights.item(), "contact": contact.item(), "gap": gap.item()}
        return 20 * weights + 10 * speed + contact + 4 * gap, parts

    for batch in features.batches(16, 128, plan.seed + 1, trainer.step):
        if trainer.step >= trainer.steps:
            break
        trainer.update(lambda b=batch: loss(*b))
    return trainer.finished()


# ------------------------------------------------------------------------------------------------------------ 4. vqvae
VQ = VQVAEConfig(motion_dim=len(MOTION), width=160)


def motion_scale(features: Features, start: WarmStart | None) -> Tensor:
    """(M,) typical size of each channel: the autoencoder sees motion divided by it."""
    if start is not None:
        return start.tensors["latent.scale"]
    deviation = features.motion[:, :, ::4].astype(np.float32).std(axis=(0, 1, 2))
    return torch.from_numpy(np.maximum(deviation, 0.02))


def channel_weights() -> Tensor:
    """(M,) loss weights: what closes the lips counts most."""
    weights = torch.ones(len(MOTION))
    weights[JAW], weights[CLOSE] = 3.0, 3.0
    for name in ("mouthFunnel", "mouthPucker", "mouthRollLower"):
        weights[MOTION.index(name)] = 2.0
    return weights


def train_vqvae(features: Features, work: Path, plan: Plan, log: Log, start: WarmStart | None = None) -> VQVAE:
    """Stage 1. Seven in ten samples go through the codebook; unused codes are re-seeded from the batch. It hears no
    sound, so with a warm start it is kept as it is, and the latents with it."""
    torch.manual_seed(plan.seed + 2)
    model = VQVAE(VQ)
    trainer = Trainer("vqvae", model, plan.vqvae_steps if start is None else 0, 1e-3, work, log, start)
    scale, weights = motion_scale(features, start), channel_weights()
    used = torch.zeros(VQ.codebook_size)

    def loss(_c: Tensor, motion: Tensor, _k: Tensor, _e: Tensor) -> tuple[Tensor, dict[str, float]]:
        nonlocal used
        x = motion / scale
        latent = model.encode(x)
        quantised = model.quantiser(latent)
        through = (torch.rand(len(x), 1, 1) < 0.7).float()
        out = model.decode(torch.where(through > 0, quantised.latent, latent))
        error = ((out - x).abs() * weights).mean() + ((out - x).square() * weights).mean()
        speed = (out.diff(dim=1) - x.diff(dim=1)).abs().mean()
        gap = (((out - x) * scale)[..., JAW] - ((out - x) * scale)[..., CLOSE]).abs().mean()
        used = 0.99 * used + torch.bincount(quantised.indices.flatten(), minlength=VQ.codebook_size)
        if trainer.step % 50 == 49 and trainer.step < 0.8 * trainer.steps:
            reseed_dead_codes(model, latent.detach(), used)
        parts = {
            "error": error.item(),
            "gap": gap.item(),
            "codes": perplexity(quantised.indices, VQ.codebook_size).item(),
        }
        return error + 0.5 * speed + 8 * gap + quantised.loss, parts

    for batch in features.batches(16, 64, plan.seed + 2, trainer.step):
        if trainer.step >= trainer.steps:
            break
        trainer.update(lambda b=batch: loss(*b))
    return trainer.finished()


def reseed_dead_codes(model: VQVAE, latent: Tensor, used: Tensor) -> None:
    """Codes that almost nothing chose move onto random latents of the batch, in place."""
    dead = torch.nonzero(used < 0.02 * used.mean()).flatten()
    codes = latent.reshape(-1, VQ.code_dim)
    with torch.no_grad():
        model.quantiser.codebook.weight[dead] = codes[torch.randint(len(codes), (len(dead),))].float()
    used[dead] = used.mean()


# --------------------------------------------------------------------------------------------------------- 5. denoiser
CONDITION_DROPOUT = 0.1  # sound and emotion dropped together, so that guidance is possible


def denoiser_config(features: Features) -> DenoiserConfig:
    """The starter's sizes (measured: 192 x 4 x 4 is enough for the phone-driven mouth)."""
    return DenoiserConfig(VQ.latent_dim, features.conditions.shape[-1], emotions=len(EMOTIONS), window=WINDOW)


def train_denoiser(features: Features, work: Path, plan: Plan, log: Log, start: WarmStart | None = None) -> Denoiser:
    """Stage 2: x0 prediction of the standardised, un-quantised latent, plus what it decodes to."""
    torch.manual_seed(plan.seed + 3)
    vqvae = train_vqvae(features, work, plan, log, start).eval().requires_grad_(False)
    model = Denoiser(denoiser_config(features))
    trainer = Trainer("denoiser", model, plan.denoiser_steps, 1e-3, work, log, start)
    scale, weights = motion_scale(features, start), channel_weights()
    mean, deviation = latent_statistics(features, vqvae, scale, work, start)
    schedule = cosine_schedule()

    def loss(conditions: Tensor, motion: Tensor, _k: Tensor, emotion: Tensor) -> tuple[Tensor, dict[str, float]]:
        x = motion / scale
        with torch.no_grad():
            target = (vqvae.encode(x) - mean) / deviation
        t = torch.randint(len(schedule), (len(x),))
        kept = (torch.rand(len(x), 1, 1) >= CONDITION_DROPOUT).float()
        noisy = schedule.add_noise(target, t, torch.randn_like(target))
        predicted = model(noisy, t, model.embed_audio(conditions * kept), emotion * kept)
        latent = (predicted - target).square().mean()
        out = vqvae.decode(predicted * deviation + mean)
        decoded = ((out - x).square() * weights).mean()
        speed = (out.diff(dim=1) - x.diff(dim=1)).square().mean()
        gap = (((out - x) * scale)[..., JAW] - ((out - x) * scale)[..., CLOSE]).square().mean()
        parts = {"latent": latent.item(), "decoded": decoded.item(), "gap": gap.item()}
        return latent + 0.5 * decoded + 0.25 * speed + 40 * gap, parts

    for batch in features.batches(16, 112, plan.seed + 3, trainer.step):
        if trainer.step >= trainer.steps:
            break
        trainer.update(lambda b=batch: loss(*b))
    return trainer.finished()


def latent_statistics(
    features: Features, vqvae: VQVAE, scale: Tensor, work: Path, start: WarmStart | None
) -> tuple[Tensor, Tensor]:
    """(latent_dim,) mean and deviation of the un-quantised latent; kept in work/latent.npz for `export`."""
    if start is None:
        with torch.inference_mode():
            motion = torch.from_numpy(features.motion[:400, 0].astype(np.float32))
            latent = vqvae.encode(motion / scale).flatten(0, 1)
        mean, deviation = latent.mean(0).clone(), latent.std(0).clamp(min=1e-3).clone()
    else:
        mean, deviation = start.tensors["latent.mean"], start.tensors["latent.deviation"]
    np.savez(work / "latent.npz", mean=mean.numpy(), deviation=deviation.numpy(), scale=scale.numpy())
    return mean, deviation


# ------------------------------------------------------------------------------------------------------------- shared
WARM_RATE = 0.67  # of the learning rate when a stage does not begin at random


class Trainer:
    """One stage: AdamW with warm-up and cosine decay, gradient clipping, an exponential moving average of the weights (in
    the end the mean of what it was after the steps `means`, where there are any), and a checkpoint (work/NAME.pt) that a
    restarted run continues from."""

    def __init__(
        self, name: str, model: nn.Module, steps: int, rate: float, work: Path, log: Log,
        start: WarmStart | None = None, means: tuple[int, ...] = (),
    ):  # fmt: skip
        if start is not None:
            model.load_state_dict(start.weights(name))
            rate *= WARM_RATE
        self.name, self.model, self.steps, self.log = name, model, steps, log
        self.path = work / f"{name}.pt"
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0.01)
        self.rate, self.warm = rate, min(200, max(1, steps // 10))
        self.average = {k: v.detach().clone() for k, v in model.state_dict().items()}
        self.means = means
        self.kept: list[dict[str, Tensor]] = []
        self.step, self.started = 0, time.monotonic()
        self.sums: dict[str, float] = {}
        if self.path.exists():
            saved = torch.load(self.path, weights_only=True)
            model.load_state_dict(saved["model"])
            self.optimizer.load_state_dict(saved["optimizer"])
            self.average, self.step, self.kept = saved["average"], saved["step"], saved["kept"]
            if self.step < steps:
                log(f"{name}: going on from step {self.step}")
        self.first = self.step

    def update(self, loss: Callable[[], tuple[Tensor, dict[str, float]]]) -> None:
        """One optimiser step."""
        self.model.train()
        with torch.autocast("cpu", torch.bfloat16):  # twice as fast where the CPU has bf16, measured equal in quality
            value, parts = loss()
        decayed = 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, self.step / self.steps)))
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * decayed * min(1.0, (self.step + 1) / self.warm)
        self.optimizer.zero_grad(set_to_none=True)
        value.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        keep = min(0.999, (self.step + 1) / (self.step + 20))
        for name, tensor in self.model.state_dict().items():
            if tensor.is_floating_point():
                self.average[name].lerp_(tensor, 1 - keep)
        if self.step in self.means:
            self.kept.append({name: tensor.clone() for name, tensor in self.average.items()})
        if self.step == self.steps and self.kept:
            self.average = {name: torch.stack([k[name] for k in self.kept]).mean(dim=0) for name in self.average}
        for name, part in {"loss": value.item(), **parts}.items():
            self.sums[name] = self.sums.get(name, 0.0) + part
        if self.step % 50 == 0:
            pace = (time.monotonic() - self.started) / (self.step - self.first)
            shown = " ".join(f"{k} {v / 50:.5f}" for k, v in self.sums.items())
            self.log(f"{self.name} {self.step}/{self.steps} {shown} {pace:.3f} s/step")
            self.sums = {}
        if self.step % 100 == 0 or self.step == self.steps:
            self.save()

    def save(self) -> None:
        """Write the checkpoint whole or not at all."""
        partial = self.path.with_suffix(".part")
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average,
            "step": self.step,
            "kept": self.kept,
        }
        torch.save(state, partial)
        partial.replace(self.path)

    def finished(self) -> nn.Module:
        """The model with its averaged weights, for evaluation and the next stages."""
        if self.steps == 0:
            self.save()
        self.model.load_state_dict(self.average)
        return self.model.eval()


MANTISSA = 7  # bits kept of float16's 10: two decimal digits are enough for a weight, and the zip is 2.6 MB smaller


def coarse(weights: Tensor) -> Tensor:
    """Weights as float16, rounded to MANTISSA bits behind the point."""
    fraction, exponent = torch.frexp(weights.half().float())
    return torch.ldexp(torch.round(fraction * 2 ** (MANTISSA + 1)), exponent - MANTISSA - 1).half().contiguous()


def export(work: Path, assets: Path) -> None:
    """The trained stages as safetensors (float16) + config.json in `assets`; whole or not at all per file."""
    from safetensors.torch import save_file

    assets.mkdir(parents=True, exist_ok=True)
    with np.load(work / "features.npz", allow_pickle=False) as data:
        feature_dim = data["conditions"].shape[-1]
    tensors: dict[str, Tensor] = {}
    for stage in ("encoder", "regressor", "vqvae", "denoiser"):
        average = torch.load(work / f"{stage}.pt", weights_only=True)["average"]
        tensors.update({f"{stage}.{k}": coarse(v) for k, v in average.items()})
    with np.load(work / "latent.npz", allow_pickle=False) as data:
        for name in ("mean", "deviation", "scale"):
            tensors[f"latent.{name}"] = torch.from_numpy(data[name]).float()
    config = {
        "format": 1,
        "name": "starter",
        "frame_rate": FRAME_RATE,
        "emotions": list(EMOTIONS),
        "motion": list(MOTION),
        "learned": list(LEARNED),
        "phones": list(PHONES),
        "encoder": dataclasses.asdict(ENCODER),
        "regressor": dataclasses.asdict(
            RegressorConfig(feature_dim, len(EMOTIONS), MOUTH, contacts_per_frame=CONTACTS_PER_FRAME)
        ),
        "vqvae": dataclasses.asdict(VQ),
        "denoiser": dataclasses.asdict(
            DenoiserConfig(VQ.latent_dim, feature_dim, emotions=len(EMOTIONS), window=WINDOW)
        ),
    }
    save_file(tensors, assets / "starter.part")
    (assets / "starter.part").replace(assets / "starter.safetensors")
    (assets / "config.json").write_text(json.dumps(config, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
