"""Which of MediaPipe FaceMesh's 468 points belong to which part of the face."""

from __future__ import annotations

import numpy as np

LEFT_EYE_POINT, RIGHT_EYE_POINT = 27, 257  # "left" and "right" as the reference calls them: sides of the image
LIP_MIDDLE = (13, 14)


def _points(text: str) -> np.ndarray:
    return np.array(text.split(), np.int64)


MOUTH = _points(
    "0 13 14 17 37 39 40 61 78 80 81 82 84 87 88 91 95 146 178 181 185 191 267 269 270 291 308 310 311 312 314 317 318 "
    "321 324 375 402 405 409 415"
)
LEFT_EYE_BROW = _points(
    "249 263 276 282 283 285 293 295 296 300 334 336 362 373 374 380 381 382 384 385 386 387 388 390 398 466"
)
RIGHT_EYE_BROW = _points("7 33 46 52 53 55 63 65 66 70 105 107 133 144 145 153 154 155 157 158 159 160 161 163 173 246")
FACE_OVAL = _points(
    "10 21 54 58 67 93 103 109 127 132 136 148 149 150 152 162 172 176 234 251 284 288 297 323 332 338 356 361 365 377 "
    "378 379 389 397 400 454"
)
# Lips and both eyes, without the brows.
FACE_CENTRE = np.unique(
    np.concatenate(
        [
            MOUTH,
            _points("249 263 362 373 374 380 381 382 384 385 386 387 388 390 398 466"),
            _points("7 33 133 144 145 153 154 155 157 158 159 160 161 163 173 246"),
        ]
    )
)
# The 105 points that FLAME's published MediaPipe embedding places on its surface, in its order.
EMBEDDING = _points(
    "276 282 283 285 293 295 296 300 334 336 46 52 53 55 63 65 66 70 105 107 249 263 362 373 374 380 381 382 384 385 386 "
    "387 388 390 398 466 7 33 133 144 145 153 154 155 157 158 159 160 161 163 173 246 168 6 197 195 5 4 129 98 97 2 326 "
    "327 358 0 13 14 17 37 39 40 61 78 80 81 82 84 87 88 91 95 146 178 181 185 191 267 269 270 291 308 310 311 312 314 "
    "317 318 321 324 375 402 405 409 415"
)
# Places among the 105 of the 20 pairs of points whose distance is how far the mouth is open; the last two pairs are its
# corners, and so its width.
UPPER_LIP = _points("86 74 75 76 66 94 93 92 104 85 71 70 69 65 87 88 89 103 91 90")
LOWER_LIP = _points("81 79 83 78 67 96 101 97 99 82 80 84 77 68 95 102 98 100 73 72")
