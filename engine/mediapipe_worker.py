"""MediaPipe in a process of its own: pictures on standard input, points on standard output. Run as a script, never imported.

Its threads, its messages, its pinned protobuf and, on the worst day, its crash stay out of the engine. Only NumPy and
mediapipe are imported, and nothing of this project, so it runs from wherever it lies.

Request: one byte, F (faces) or H (hands), then height and width as little-endian 32-bit numbers, then the RGB bytes.
Answer: the count of faces or hands as a 32-bit number, then for each its points as 64-bit pairs of pixels, 478 of a face
(FaceMesh, Kartynnik et al. 2019) or 21 of a hand (Zhang et al. 2020). The first answer, one byte R, says it is ready.
"""

import os
import struct
import sys

FACE_CONFIDENCE = 0.1  # half-hidden faces are wanted
HAND_CONFIDENCE = 0.3
FACES, HANDS = 2, 2  # looked for: one to follow, and one to notice that there are more


def main() -> None:
    """Answer requests until the input ends."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # MediaPipe prints what nobody asked for
    import mediapipe
    import numpy as np

    solutions = mediapipe.solutions
    models = {
        b"F": solutions.face_mesh.FaceMesh(
            static_image_mode=True, refine_landmarks=True, max_num_faces=FACES, min_detection_confidence=FACE_CONFIDENCE
        )
    }
    answers.write(b"R")
    answers.flush()
    while kind := sys.stdin.buffer.read(1):
        if kind == b"H" and kind not in models:
            models[kind] = solutions.hands.Hands(
                static_image_mode=True, max_num_hands=HANDS, model_complexity=0, min_detection_confidence=HAND_CONFIDENCE
            )
        height, width = struct.unpack("<II", sys.stdin.buffer.read(8))
        image = np.frombuffer(sys.stdin.buffer.read(3 * height * width), np.uint8).reshape(height, width, 3)
        result = models[kind].process(image)
        found = (result.multi_face_landmarks if kind == b"F" else result.multi_hand_landmarks) or []
        answers.write(struct.pack("<I", len(found)))
        for points in found:
            pairs = np.array([(p.x * width, p.y * height) for p in points.landmark], "<f8")
            answers.write(pairs.tobytes())
        answers.flush()


if __name__ == "__main__":
    main()
