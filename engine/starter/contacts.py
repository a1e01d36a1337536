"""The starter's channels, and the contacts of the lips laid over them: in its training targets and in its results.

NumPy only: this runs inside Blender's own Python too.
"""

from __future__ import annotations

import numpy as np

from ..face.arkit import ARKIT_52

PROCEDURAL = tuple(n for n in ARKIT_52 if n.startswith(("eyeBlink", "eyeLook")))
LEARNED = tuple(n for n in ARKIT_52 if n not in PROCEDURAL)  # the ARKit channels the model speaks
HEAD = ("headPitch", "headYaw", "headRoll")  # rad, about +x (nod down is positive), +y (to the subject's left), +z
# What makes up for the upper lip that noseSneer 1 lifts by 1.86 mm on the starter head: mouthClose raises the lower lip
# (25 mm at 1) and brings it forward, rolling it in brings it back.
SNEER_CLOSE, SNEER_ROLL = 0.074, 0.26


def apply_contacts(face: np.ndarray, close: np.ndarray, fv: np.ndarray) -> np.ndarray:
    """Lay lip closure and lip-to-teeth contact over (T, len(LEARNED)) weights; close, fv: (T,) in 0..1.

    Closure: what parts the lips fades, mouthClose equals jawOpen (which seals exactly) plus what a sneer's raised upper
    lip asks for, the lips press a little.
    Labiodental: the lower lip rises to the teeth (part of mouthClose) and rolls in, the upper lip lifts.
    """
    face = face.copy()

    def at(name: str) -> int:
        return LEARNED.index(name)

    parting = [at(f"{n}{s}") for n in ("mouthLowerDown", "mouthUpperUp") for s in ("Left", "Right")]
    lower = parting[:2]
    face[:, parting] *= ((1 - close) ** 2)[:, None]
    face[:, lower] *= (1 - fv)[:, None]
    face[:, at("mouthFunnel")] *= (1 - close) * (1 - 0.8 * fv)
    face[:, at("tongueOut")] *= 1 - np.maximum(close, fv)
    face[:, at("jawOpen")] *= 1 - 0.35 * close - 0.4 * fv
    face[:, at("jawForward")] *= 1 - 0.75 * close
    sneer = close * np.clip(face[:, [at("noseSneerLeft"), at("noseSneerRight")]], 0, 1).mean(axis=1)
    face[:, at("mouthClose")] = face[:, at("jawOpen")] * np.maximum(close, 0.62 * fv) + SNEER_CLOSE * sneer
    for side in ("Left", "Right"):
        face[:, at("mouthPress" + side)] = np.maximum(face[:, at("mouthPress" + side)], 0.30 * close)
        face[:, at("mouthUpperUp" + side)] = np.maximum(face[:, at("mouthUpperUp" + side)], 0.12 * fv * (1 - close))
    face[:, at("mouthRollLower")] = np.maximum(face[:, at("mouthRollLower")], np.maximum(0.12 * close, 0.55 * fv))
    face[:, at("mouthRollLower")] += SNEER_ROLL * sneer
    face[:, at("mouthRollUpper")] = np.maximum(face[:, at("mouthRollUpper")], 0.10 * close)
    return face
