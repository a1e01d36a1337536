"""The shapes of a mesh, made to close its lips and its lids without turning a triangle over."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..registration.surface import Neighbours, Surface
from .contact import BLINKS, RADIUS, bent_to, kept_off, lid_values, lip_values, shut_again
from .creases import evened
from .flips import flipped, judged, smoothed_out, turned_back
from .openings import Opening

SHUTTINGS = 3  # lids that are kept off the eyeball part, and lids that meet enter it: so often in turn
YIELDING = 0.1  # how readily lids' edges leave each other, beside what lies about them, so that these clear the eyeball


def unfolded(
    target: Surface,
    own: Neighbours,
    shapes: np.ndarray,
    names: list[str],
    near: np.ndarray,
    told: Callable[[int], None],
) -> np.ndarray:
    """The shapes (K, V, 3) without creases but near lips and lids (V,), and without triangles turned over but for those that
    close, which come later. told: called with the number of each shape."""
    judge, free = judged(target), np.zeros(len(target.points), bool)
    shapes = shapes.copy()
    for k, name in enumerate(names):
        told(k)
        shapes[k] = evened(target, own, shapes[k], near)
        if name != "mouthClose" and name not in BLINKS.values():
            shapes[k] = _mended(target, own, shapes[k], judge, free)
    return shapes


def closed(
    target: Surface,
    own: Neighbours,
    shapes: np.ndarray,
    names: list[str],
    openings: dict[str, Opening],
    balls: dict[str, tuple[np.ndarray, float]],
) -> tuple[np.ndarray, dict[str, int]]:
    """The shapes whose mouthClose seals the lips at jawOpen's weight and whose blinks shut the lids, off the eyeballs; and how many
    triangles each still turns over, mouthClose together with jawOpen, without which it crosses the lips by its nature.

    balls: name of the eye -> centre and radius.
    """
    judge, held = judged(target), np.zeros(len(target.points), bool)
    close, jaw = names.index("mouthClose"), names.index("jawOpen")
    for opening in openings.values():
        ball = balls.get(opening.name)
        if opening.name == "mouth":
            ids, values = lip_values(opening, names, target.points, shapes)
        elif opening.wide:
            ids, values = lid_values(opening, names, target.points, shapes, ball)
        else:
            continue
        shapes = bent_to(target, own, shapes, ids, values, RADIUS[opening.name])
        held[opening.pinned] = True
        if ball is not None:
            shapes = _shut(target, own, shapes, names, opening, ball, judge, held)
    sealed = _mended(target, own, shapes[close] + shapes[jaw], judge, held)
    shapes[close] = sealed - shapes[jaw]
    left = {}
    for k, name in enumerate(names):
        if name != "mouthClose":
            shapes[k] = _mended(target, own, shapes[k], judge, held)
            left[name] = len(flipped(target, shapes[k], judge))
    left["jawOpen+mouthClose"] = len(flipped(target, sealed, judge))
    return shapes, left


def _mended(target: Surface, own: Neighbours, shape: np.ndarray, judge: np.ndarray, held: np.ndarray) -> np.ndarray:
    smoothed, left = smoothed_out(target, own, shape, judge, held)
    return turned_back(target, smoothed, judge, held)[0] if left else smoothed


def _shut(
    target: Surface,
    own: Neighbours,
    shapes: np.ndarray,
    names: list[str],
    opening: Opening,
    ball: tuple[np.ndarray, float],
    judge: np.ndarray,
    held: np.ndarray,
) -> np.ndarray:
    """The shapes with this eye's lids outside its ball, and its blink shut."""
    blink = names.index(BLINKS[opening.name])
    everywhere = np.ones(len(held))
    for _ in range(SHUTTINGS):
        shapes = kept_off(target, shapes, names, opening, ball, everywhere)
        ids, values = shut_again(opening, names, target.points, shapes, ball)
        shapes = bent_to(target, own, shapes, ids, values, RADIUS[opening.name] / 2)
        shapes[blink], _ = smoothed_out(target, own, shapes[blink], judge, held)
    shapes = kept_off(target, shapes, names, opening, ball, np.where(held, YIELDING, 1.0))
    shapes[blink], _ = turned_back(target, shapes[blink], judge, held)
    return shapes
