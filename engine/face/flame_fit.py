"""Expression and jaw of a FLAME-format model behind given vertices: what turns decoded vertices into an animated FLAME head.

Gauss-Newton per frame over expression coefficients and the jaw's axis-angle, on a thinned set of vertices; the neutral
identity, neck and eyes stay at rest, as in 3D MEAD. The jaw stays within what a jaw can do, whatever the vertices are. NumPy
only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..frame_blocks import Blocks
from .flame import JAW, FlameModel, joint_transforms, pose_flame, rotation_matrices

EXPRESSIONS = 50  # coefficients that 3D MEAD uses
MAX_VERTICES = 400  # of the fit: many times its 53 unknowns, and fast
ITERATIONS = 8
CONVERGED = 1e-5  # largest change of a coefficient or radian
STEP = 1e-3  # rad, for the derivative by the jaw
# Standard deviations assumed by the prior: of a coefficient, of the jaw (rad), of a vertex (m). Rounded MEAD vertices are
# exact to 0.05 mm; the prior only settles what they leave open.
PRIOR_EXPRESSION, PRIOR_JAW, PRIOR_VERTEX = 3.0, 0.5, 2e-4
# The box of the jaw's axis-angle (rad): x opens, 0.6 being as wide as people can; y and z move it to a side.
JAW_LOWEST, JAW_HIGHEST = np.array([-0.2, -0.3, -0.3]), np.array([0.8, 0.3, 0.3])
CHUNK = 32


class FlameFit(NamedTuple):
    """expression: (T, E) float32, in standard deviations. jaw_pose: (T, 3) float32 axis-angle in rad, within the box.
    residual: (T,) float32 m, root mean square distance of the thinned vertices from those that were given."""

    expression: np.ndarray
    jaw_pose: np.ndarray
    residual: np.ndarray


def fit_flame(
    model: FlameModel,
    vertices: np.ndarray | Blocks,
    expressions: int = EXPRESSIONS,
    progress: Callable[[int, int], None] | None = None,
) -> FlameFit:
    """vertices: (T, V, 3) metres of the model's mesh. progress(frames done, frames) may raise to stop."""
    kept = chosen(model, MAX_VERTICES)
    small = restricted(model, kept, expressions)
    expression = np.zeros((len(vertices), small.expression_basis.shape[2]))
    jaw, residual = np.zeros((len(vertices), 3)), np.zeros(len(vertices))
    for start in range(0, len(vertices), CHUNK):
        part = slice(start, start + CHUNK)
        if progress:
            progress(start, len(vertices))
        target = np.asarray(vertices[part][:, kept], np.float64)
        expression[part], jaw[part] = _fit_chunk(small, target)
        left = _posed(small, expression[part], jaw[part])[:, : len(kept)] - target
        residual[part] = np.sqrt(np.square(left).sum(-1).mean(-1))
    return FlameFit(expression.astype(np.float32), jaw.astype(np.float32), residual.astype(np.float32))


def chosen(model: FlameModel, count: int) -> np.ndarray:
    """At most `count` vertex numbers, evenly spread."""
    return np.linspace(0, len(model.template) - 1, min(count, len(model.template))).round().astype(int)


def restricted(model: FlameModel, kept: np.ndarray, expressions: int) -> FlameModel:
    """The model on the vertices `kept` (N,) and its first expressions, and its joints as further vertices at the end, which the
    regressor picks: so they keep their places in every expression."""
    joints = model.joints

    def with_joints(values: np.ndarray) -> np.ndarray:
        return np.concatenate([values[kept], np.einsum("jv,v...->j...", model.regressor, values)])

    regressor = np.concatenate([np.zeros((joints, len(kept))), np.eye(joints)], axis=1)
    return FlameModel(
        template=with_joints(model.template),
        shape_basis=np.zeros((len(kept) + joints, 3, 0)),
        expression_basis=with_joints(model.expression_basis[:, :, :expressions]),
        pose_basis=np.concatenate([model.pose_basis[kept], np.zeros((joints, *model.pose_basis.shape[1:]))]),
        regressor=regressor,
        skin=np.concatenate([model.skin[kept], np.eye(joints)]),
        parents=model.parents,
        faces=np.zeros((0, 3), np.int64),
    )


def _fit_chunk(model: FlameModel, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    frames, count = target.shape[:2]
    size = model.expression_basis.shape[2]
    basis = model.expression_basis[:count]
    expression, jaw = np.zeros((frames, size)), np.zeros((frames, 3))
    prior = np.concatenate([np.full(size, (PRIOR_VERTEX / PRIOR_EXPRESSION) ** 2), np.full(3, (PRIOR_VERTEX / PRIOR_JAW) ** 2)])
    for _ in range(ITERATIONS):
        posed = _posed(model, expression, jaw)[:, :count]
        turned = _blended_rotations(model, expression, jaw)[:, :count]
        by_expression = np.einsum("tvab,vbe->tvae", turned, basis, optimize=True).reshape(frames, -1, size)
        by_jaw = [
            (_posed(model, expression, jaw + STEP * axis)[:, :count] - posed).reshape(frames, -1, 1) / STEP for axis in np.eye(3)
        ]
        jacobian = np.concatenate([by_expression, *by_jaw], axis=2)
        residual = (target - posed).reshape(frames, -1, 1)
        normal = jacobian.transpose(0, 2, 1) @ jacobian + np.diag(prior)
        now = np.concatenate([expression, jaw], axis=1)[..., None]
        right = jacobian.transpose(0, 2, 1) @ residual - prior[:, None] * now
        step = np.linalg.solve(normal, right)[..., 0]
        bound = np.clip(jaw + step[:, size:], JAW_LOWEST, JAW_HIGHEST)
        if (bound != jaw + step[:, size:]).any():  # the jaw goes to its bound, and the expression makes the best of that
            right = right[:, :size] - normal[:, :size, size:] @ (bound - jaw)[..., None]
            step = np.concatenate([np.linalg.solve(normal[:, :size, :size], right)[..., 0], bound - jaw], axis=1)
        expression += step[:, :size]
        jaw += step[:, size:]
        if np.abs(step).max() < CONVERGED:
            break
    return expression, jaw


def _posed(model: FlameModel, expression: np.ndarray, jaw: np.ndarray) -> np.ndarray:
    return pose_flame(model, expression, {"jaw": jaw}).astype(np.float64)


def _blended_rotations(model: FlameModel, expression: np.ndarray, jaw: np.ndarray) -> np.ndarray:
    """(T, V, 3, 3): how every vertex is turned."""
    pose = np.zeros((len(jaw), model.joints, 3))
    pose[:, JAW] = jaw
    shaped = model.template + np.einsum("vce,te->tvc", model.expression_basis, expression, optimize=True)
    turned, _ = joint_transforms(rotation_matrices(pose), model.regressor @ shaped, model.parents)
    return np.einsum("vj,tjab->tvab", model.skin, turned, optimize=True)
