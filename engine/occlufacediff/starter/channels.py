"""The numbers per frame that the starter tracker's prior and denoiser speak. NumPy only.

ARKit's weights but for the eight of gaze, which follow the eyeballs, then the head's rotation: pitch, yaw, roll in rad.
"""

from __future__ import annotations

import numpy as np

from ...face.arkit import ARKIT_52

FACE = tuple(n for n in ARKIT_52 if not n.startswith("eyeLook"))
HEAD = ("headPitch", "headYaw", "headRoll")
CHANNELS = FACE + HEAD
FACE_ROWS = np.array([ARKIT_52.index(n) for n in FACE])
GAZE_ROWS = np.array([i for i, n in enumerate(ARKIT_52) if n.startswith("eyeLook")])
