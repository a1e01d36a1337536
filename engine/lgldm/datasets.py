"""What is fixed per dataset: conditions and their order, frame rates, head counts of the released models, subjects.

The orders are those of the one-hot columns in the released checkpoints; the head counts are here because no tensor's
shape tells them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

DatasetName = Literal["mead", "vocaset", "biwi"]


@dataclass(frozen=True)
class Dataset:
    """Facts of one dataset and of the models released for it."""

    name: DatasetName
    label: str
    fps: int  # motion frames per second that the audio tokens of the model stand for
    identities: tuple[str, ...]  # columns of the identity one-hot
    emotions: tuple[str, ...]  # columns of the emotion one-hot
    vertices: int
    audio_family: Literal["hubert", "wav2vec2"]
    audio_paired: bool  # two 50 Hz audio tokens per motion frame
    audio_fps: int  # > 0: audio features are interpolated from 50 Hz to this rate (VOCASET)
    stage1_heads: int
    stage2_heads: int
    audio_heads: int
    bias_period: int  # frames per step of the distance bias
    position: Literal["sinusoidal", "periodic"]
    steps: int  # evaluations of the sampler that the reference's script uses
    template_precision: Literal["float32", "float16"]  # of the neutral face in the reference's sampling


MEAD_EMOTIONS = ("angry", "contempt", "disgusted", "fear", "happy", "sad", "surprised")
MEAD_SPEAKERS = tuple(
    f"M{n:03d}"
    for n in (3, 5, 7, 9, 11, 12, 13, 19, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 37, 39, 40)
)
VOCASET_TRAIN = tuple(
    f"FaceTalk_{name}_TA"
    for name in (
        "170728_03272", "170904_00128", "170725_00137", "170915_00223",
        "170811_03274", "170913_03279", "170904_03276", "170912_03278",
    )
)  # fmt: skip
BIWI_TRAIN = ("F2", "F3", "F4", "M3", "M4", "M5")

DATASETS: dict[str, Dataset] = {
    "mead": Dataset(
        name="mead", label="3D MEAD", fps=25, identities=MEAD_SPEAKERS, emotions=MEAD_EMOTIONS, vertices=5023,
        audio_family="hubert", audio_paired=True, audio_fps=0, stage1_heads=8, stage2_heads=4, audio_heads=16,
        bias_period=30, position="sinusoidal", steps=1000, template_precision="float32",
    ),
    "vocaset": Dataset(
        name="vocaset", label="VOCASET", fps=30, identities=VOCASET_TRAIN, emotions=(), vertices=5023,
        audio_family="hubert", audio_paired=False, audio_fps=30, stage1_heads=8, stage2_heads=8, audio_heads=16,
        bias_period=30, position="periodic", steps=100, template_precision="float16",
    ),
    "biwi": Dataset(
        name="biwi", label="BIWI", fps=25, identities=BIWI_TRAIN, emotions=(), vertices=23370,
        audio_family="wav2vec2", audio_paired=True, audio_fps=0, stage1_heads=8, stage2_heads=4, audio_heads=12,
        bias_period=25, position="sinusoidal", steps=50, template_precision="float16",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Split:
    """Who and what belongs to a part of a dataset: subjects, and (VOCASET, BIWI) the sentences by number."""

    subjects: tuple[str, ...]
    sentences: tuple[int, ...] = ()


_MEAD_VALIDATION, _MEAD_TEST = ("M035", "M039"), ("M037", "M040")
_VOCASET_VALIDATION = ("FaceTalk_170811_03275_TA", "FaceTalk_170908_03277_TA")
_VOCASET_TEST = ("FaceTalk_170809_00138_TA", "FaceTalk_170731_00024_TA")
_BIWI_TEST = ("F1", "F5", "F6", "F7", "F8", "M1", "M2", "M6")
_LAST = tuple(range(37, 41))

SPLITS: dict[str, dict[str, Split]] = {
    "mead": {
        "train": Split(tuple(s for s in MEAD_SPEAKERS if s not in _MEAD_VALIDATION + _MEAD_TEST)),
        "val": Split(_MEAD_VALIDATION),
        "test": Split(_MEAD_TEST),
    },
    "vocaset": {
        "train": Split(VOCASET_TRAIN, tuple(range(1, 41))),
        "val": Split(_VOCASET_VALIDATION, tuple(range(21, 41))),
        "test": Split(_VOCASET_TEST, tuple(range(21, 41))),
    },
    "biwi": {
        "train": Split(BIWI_TRAIN, tuple(range(1, 37))),
        "val": Split(BIWI_TRAIN, _LAST),
        "test": Split(_BIWI_TEST, _LAST),
    },
}
WHERE = {
    "mead": "from the authors of LG-LDM (github.com/wangxuanx/Face-Diffusion-Model); the recordings are MEAD's",
    "vocaset": "from voca.is.tue.mpg.de after registering",
    "biwi": "from ETH Zurich (data.vision.ee.ethz.ch, 'B3D(AC)^2') on request",
}
