"""The starter's networks on NumPy alone, for Blender's own Python: the layers of `encoder`, `lgldm.denoiser` and
`lgldm.vqvae`, as far as the starter uses them, with memory linear in the length of the clip.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..audio import MEL_BANDS
from .articulation import CONTACT_RATE
from .layers_numpy import Layers, gelu, leaky_relu, mish, relu, softmax
from .networks import Denoise

# Variants of the published systems that no starter has; a config that asks for one is refused.
ONLY = {
    "vqvae": {"emotions": 0, "codebook_slices": 1, "conv_norm": "none", "position": "none", "layers": 0},
    "denoiser": {"identities": 0, "position": "none"},
}
# Tensors that only training or the pipeline uses.
ELSEWHERE = ("encoder.control_head.", "vqvae.quantiser.", "latent.")


class NumpyNetworks:
    """See `networks.Networks`."""

    runtime = "numpy"
    device = "cpu"

    def __init__(self, config: dict[str, Any], tensors: dict[str, np.ndarray]) -> None:
        """Raises KeyError, TypeError or ValueError when the tensors do not fit the config."""
        for part, values in ONLY.items():
            for name, value in values.items():
                if config[part].get(name, value) != value:
                    raise ValueError(f"{part}.{name} = {config[part][name]}")
        self.config = config
        self.layers = Layers(tensors)
        self.latent_dim = config["vqvae"]["codes_per_frame"] * config["vqvae"]["code_dim"]
        self.codebook = tensors["vqvae.quantiser.codebook.weight"]
        self._try_out()

    def _try_out(self) -> None:
        """One frame through every layer, so that tensors that do not fit are found when the model is loaded."""
        conditions = self.conditions(np.zeros((4, self.config["encoder"].get("bands", MEL_BANDS)), np.float32), 1)
        if conditions.shape[1] != 2 * (self.config["encoder"]["width"] + self.config["encoder"]["phones"]):
            raise ValueError("the encoder's width")
        felt = np.zeros((1, self.config["regressor"]["emotions"]), np.float32)
        mouth, contacts = self.mouth(conditions, felt)
        if mouth.shape[1] != len(self.config["regressor"]["mouth"]):
            raise ValueError("the regressor's mouth")
        if len(contacts) * self.config["frame_rate"] != len(conditions) * CONTACT_RATE:
            raise ValueError("the regressor's contacts")
        latent = self.denoiser(conditions, felt)(np.zeros((1, self.latent_dim), np.float32), 0)
        self.encode(self.decode(latent))
        if unknown := [name for name in self.layers.unused() if not name.startswith(ELSEWHERE)]:
            raise ValueError(f"'{unknown[0]}' belongs to no layer")

    def conditions(self, mel: np.ndarray, frames: int) -> np.ndarray:
        """See `networks.Networks`."""
        layers, config = self.layers, self.config["encoder"]
        x = relu(layers.conv(mel, "encoder.stem", stride=2))
        for i, dilation in enumerate(config["dilations"]):
            x = self._residual_conv(x, f"encoder.layers.{i}", dilation)
        x = layers.norm(x, "encoder.norm")
        both = np.concatenate([x, softmax(layers.linear(x, "encoder.phone_head"))], axis=1)
        missing = 2 * frames - len(both)
        if missing > 0:
            both = np.concatenate([both, np.repeat(both[-1:], missing, axis=0)])
        return both[: 2 * frames].reshape(frames, -1)

    def silence(self, conditions: np.ndarray) -> np.ndarray:
        """See `networks.Networks`."""
        width, phones = self.config["encoder"]["width"], self.config["encoder"]["phones"]
        return np.minimum(conditions[:, width], conditions[:, 2 * width + phones])

    def mouth(self, conditions: np.ndarray, felt: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `networks.Networks`."""
        layers = self.layers
        x = layers.linear(conditions, "regressor.features_in") + layers.linear(felt, "regressor.emotion_in")
        for i in range(self.config["regressor"]["layers"]):
            x = self._residual_conv(x, f"regressor.layers.{i}", 1)
        out = layers.linear(layers.norm(x, "regressor.norm"), "regressor.out")
        mouth = len(self.config["regressor"]["mouth"])
        return out[:, :mouth], out[:, mouth:].reshape(-1, 2)

    def denoiser(self, conditions: np.ndarray, felt: np.ndarray) -> Denoise:
        """See `networks.Networks`."""
        layers, config = self.layers, self.config["denoiser"]
        heard = layers.linear(mish(layers.linear(conditions, "denoiser.audio_in")), "denoiser.audio_out")
        emotion = layers.linear(felt, "denoiser.emotion_in") if config["emotions"] else np.float32(0)

        def denoise(x: np.ndarray, t: int) -> np.ndarray:
            audio = heard[: len(x)] + mish(layers.column("denoiser.time_in", t))
            motion = layers.linear(x, "denoiser.latent_in")
            if config["latent_activation"]:
                motion = mish(motion)
            motion = motion + emotion
            for i in range(config["layers"]):
                motion = self._decoder_layer(motion, audio, f"denoiser.layers.{i}")
            if config["norm_first"]:
                motion = layers.norm(motion, "denoiser.norm_out")
            return layers.linear(motion, "denoiser.latent_out")

        return denoise

    def encode(self, motion: np.ndarray) -> np.ndarray:
        """See `networks.Networks`."""
        x = leaky_relu(self.layers.linear(motion, "vqvae.motion_in"))
        x = self._middle(x, "vqvae.encoder")
        return self.layers.linear(x, "vqvae.to_latent") if self.config["vqvae"]["latent_projection"] else x

    def decode(self, latent: np.ndarray) -> np.ndarray:
        """See `networks.Networks`."""
        project = self.config["vqvae"]["latent_projection"]
        x = self.layers.linear(latent, "vqvae.from_latent") if project else latent
        return self.layers.linear(self._middle(x, "vqvae.decoder"), "vqvae.motion_out")

    def _residual_conv(self, x: np.ndarray, name: str, dilation: int) -> np.ndarray:
        hidden = self.layers.conv(self.layers.norm(x, f"{name}.norm"), f"{name}.conv", dilation=dilation)
        return x + self.layers.linear(relu(hidden), f"{name}.out")

    def _middle(self, x: np.ndarray, name: str) -> np.ndarray:
        return self.layers.linear(leaky_relu(self.layers.conv(x, f"{name}.conv", edge=True)), f"{name}.linear")

    def _decoder_layer(self, x: np.ndarray, audio: np.ndarray, name: str) -> np.ndarray:
        norm1, norm2, norm3 = (lambda y, n=f"{name}.norm{i}": self.layers.norm(y, n) for i in (1, 2, 3))
        if self.config["denoiser"]["norm_first"]:
            x = x + self._self_attention(norm1(x), f"{name}.self_attention")
            x = x + self._audio_lookup(norm2(audio), f"{name}.audio")
            return x + self._feed_forward(norm3(x), name)
        x = norm1(x + self._self_attention(x, f"{name}.self_attention"))
        x = norm2(x + self._audio_lookup(audio, f"{name}.audio"))
        return norm3(x + self._feed_forward(x, name))

    def _audio_lookup(self, audio: np.ndarray, name: str) -> np.ndarray:
        return self.layers.linear(self.layers.linear(audio, f"{name}.value"), f"{name}.to_out")

    def _feed_forward(self, x: np.ndarray, name: str) -> np.ndarray:
        hidden = self.layers.linear(x, f"{name}.ffn_in")
        hidden = gelu(hidden) if self.config["denoiser"]["activation"] == "gelu" else relu(hidden)
        return self.layers.linear(hidden, f"{name}.ffn_out")

    def _self_attention(self, x: np.ndarray, name: str) -> np.ndarray:
        config = self.config["denoiser"]
        qkv = self.layers.linear(x, f"{name}.to_qkv")
        mixed = causal_attention(qkv, config["heads"], config["window"], config["bias_period"])
        return self.layers.linear(mixed, f"{name}.to_out")


def attention_slopes(heads: int) -> np.ndarray:
    """(H,) float32, as `lgldm.denoiser.attention_slopes` (Press et al. 2022, ALiBi)."""
    below = 1 << (heads.bit_length() - 1)
    slopes = [2 ** (-8 * (h + 1) / below) for h in range(below)]
    return np.array(slopes + [2 ** (-4 * (h + 1) / below) for h in range(0, 2 * (heads - below), 2)], np.float32)


def causal_attention(qkv: np.ndarray, heads: int, window: int, period: int) -> np.ndarray:
    """(T, 3 * width) to (T, width): attention to this frame and the `window` frames before it (0: all before it), with the
    bias -slope * floor(distance / period). Blocks of queries see a slice of the keys, so memory grows with T only
    (times T where there is no window, but never T x T at once)."""
    time, width = len(qkv), qkv.shape[1] // 3
    q, k, v = qkv.reshape(time, 3, heads, -1).transpose(1, 2, 0, 3)  # (H, T, width / H) each
    slopes = attention_slopes(heads)[:, None, None]
    scale = np.float32(q.shape[-1] ** -0.5)
    size = max(window, 128)
    out = np.empty((heads, time, q.shape[-1]), np.float32)
    for start in range(0, time, size):
        end = min(start + size, time)
        first = max(0, start - window) if window else 0
        distance = np.arange(start, end)[:, None] - np.arange(first, end)[None]
        blocked = (distance < 0) | ((distance > window) if window else False)
        bias = np.where(blocked, -np.inf, -slopes * (distance // period)).astype(np.float32)
        scores = (q[:, start:end] * scale) @ k[:, first:end].transpose(0, 2, 1) + bias
        out[:, start:end] = softmax(scores) @ v[:, first:end]
    return out.transpose(1, 0, 2).reshape(time, width)
