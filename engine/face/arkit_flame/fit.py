"""ARKit's 52 shapes in FLAME's words: each an expression and a turn of the jaw. NumPy only.

The table is fitted so that the FLAME-format mesh moves as the starter head's shapes, carried over to that mesh, say: alone, and
on an opened jaw, where expressions turn along with it. `solve.py` converts motion by it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..arkit import ARKIT_52
from ..flame import JAW, FlameModel, pose_flame, rotation_matrices
from ..flame_fit import JAW_HIGHEST, JAW_LOWEST, restricted

EXPRESSIONS = 100
JAW_SHAPES = ("jawOpen", "jawLeft", "jawRight", "jawForward")  # those that turn the jaw; the rest are expression alone
PARTIAL = (0.35, 0.7, 1.0)  # weights at which a shape of the jaw is fitted: its arc against the straight way of a shape key
OPENED = (0.0, 0.4)  # weights of jawOpen on which every other shape is fitted
CLOSING = (0.2, 0.5, 1.0)  # weights of jawOpen, and of mouthClose along with it
# Standard deviations assumed: of a vertex from what FLAME can show (m), of a coefficient, of the jaw (rad).
VERTEX, COEFFICIENT, TURN = 7e-4, 1.5, 0.5
COUNTED = 400.0  # vertices whose errors count as independent of each other
LEAST_IMPORTANCE, MOST_VERTICES = 0.05, 1200  # of the vertices that are fitted
ITERATIONS, STEP = 6, 1e-3
ALIKE = 0.01  # share by which sizes of expressions of one and the same model may differ, after rounding


@dataclass(frozen=True)
class Table:
    """ARKit's shapes as FLAME's parameters.

    channels: K names. parameters: (K, E + 3), expression (in standard deviations) and jaw (axis-angle, rad) at weight 1.
    metric: (E + 3, E + 3) such that d metric d is the mean square (m^2) by which a difference d of the parameters moves the
    face's vertices, to first order. residual_mm: (K,) how far (root mean square over what matters) each shape is from what it
    should be. sizes: (E,) m, how far (root mean square over all vertices) a coefficient of 1 moves the mesh: by this a table
    of another year's FLAME is told. vertices: V of the model; source: its file's name.
    """

    channels: tuple[str, ...]
    parameters: np.ndarray
    metric: np.ndarray
    residual_mm: np.ndarray
    sizes: np.ndarray
    vertices: int
    source: str = ""

    @property
    def expressions(self) -> int:
        """E, how many coefficients."""
        return self.parameters.shape[1] - 3

    @property
    def expression(self) -> np.ndarray:
        """(K, E)."""
        return self.parameters[:, :-3]

    @property
    def jaw(self) -> np.ndarray:
        """(K, 3) rad."""
        return self.parameters[:, -3:]

    def with_expressions(self, count: int) -> Table:
        """The table in the first `count` coefficients and the jaw, which make the best of what the others did. More than
        there are: the others are 0."""
        size = self.expressions
        if count >= size:
            wide = np.zeros((len(self.parameters), count + 3))
            places = np.r_[np.arange(size), count + np.arange(3)]
            wide[:, places] = self.parameters
            metric = np.zeros((count + 3, count + 3))
            metric[np.ix_(places, places)] = self.metric
            return replace(self, parameters=wide, metric=metric, sizes=np.pad(self.sizes, (0, count - size)))
        kept, left = np.r_[np.arange(count), size + np.arange(3)], np.arange(count, size)
        own = self.metric[np.ix_(kept, kept)]
        own_ridge = own + 1e-6 * np.trace(own) / len(own) * np.eye(len(own))
        moved = np.linalg.solve(own_ridge, self.metric[np.ix_(kept, left)]) @ self.parameters[:, left].T
        return replace(self, parameters=self.parameters[:, kept] + moved.T, metric=own, sizes=self.sizes[:count])


def fit_table(
    model: FlameModel, shapes: np.ndarray, importance: np.ndarray, expressions: int = EXPRESSIONS, source: str = ""
) -> Table:
    """ARKit's shapes as expression and jaw of a FLAME-format model.

    shapes: (52, V, 3) m, how each shape moves the model's neutral mesh. importance: (V,) >= 0, how much each vertex counts.
    """
    kept = np.flatnonzero(importance > LEAST_IMPORTANCE * importance.max())
    kept = kept[np.linspace(0, len(kept) - 1, min(len(kept), MOST_VERTICES)).round().astype(int)]
    fit = _Fit(model, kept, importance[kept], expressions)
    goal = {name: shapes[k][kept] for k, name in enumerate(ARKIT_52)}
    opened = fit.jaw_shape([(w, w * goal["jawOpen"]) for w in PARTIAL])
    found = {"jawOpen": opened}
    for name in ARKIT_52:
        if name in JAW_SHAPES and name != "jawOpen":
            found[name] = fit.jaw_shape([(w, w * goal[name]) for w in PARTIAL])
        elif name == "mouthClose":
            # The lips are to meet whatever is left of the opening, so the whole of it is the goal.
            whole = [(w, w * opened, fit.rest + w * (goal["jawOpen"] + goal["mouthClose"])) for w in CLOSING]
            found[name] = fit.expression_shape(whole)
        elif name not in found:
            own = [(1.0, w * opened, fit.posed(w * opened) + goal[name]) for w in OPENED]
            found[name] = fit.expression_shape(own)
    parameters = np.stack([found[name] for name in ARKIT_52])
    residual = [1000 * fit.distance(fit.posed(found[n]) - fit.rest - goal[n]) for n in ARKIT_52 if n != "mouthClose"]
    closed = fit.posed(found["mouthClose"] + opened) - fit.rest - goal["mouthClose"] - goal["jawOpen"]
    residual.insert(ARKIT_52.index("mouthClose"), 1000 * fit.distance(closed))
    sizes = basis_sizes(model.expression_basis[:, :, :expressions])
    return Table(ARKIT_52, parameters, fit.metric(), np.array(residual), sizes, len(model.template), source)


def basis_sizes(basis: np.ndarray) -> np.ndarray:
    """(E,) m: root mean square length over the vertices of each expression of a basis (V, 3, E)."""
    return np.sqrt((basis**2).sum(axis=1).mean(axis=0))


def same_basis(table: Table, sizes: np.ndarray) -> bool:
    """Whether the table is of a model whose expressions have these `basis_sizes` (E,), in the numbers that both have."""
    count = min(len(sizes), len(table.sizes))
    return bool(np.allclose(table.sizes[:count], sizes[:count], rtol=ALIKE, atol=1e-7))


class _Fit:
    """Least squares on the vertices of a model that count."""

    def __init__(self, model: FlameModel, kept: np.ndarray, importance: np.ndarray, expressions: int) -> None:
        self.model = restricted(model, kept, expressions)
        self.count = len(kept)
        self.share = importance / importance.sum()
        self.rest = self.model.template[: self.count]
        self.size = self.model.expression_basis.shape[2] + 3
        self.prior = np.r_[np.full(self.size - 3, COEFFICIENT), np.full(3, TURN)] ** -2.0 * VERTEX**2 / COUNTED

    def posed(self, parameters: np.ndarray) -> np.ndarray:
        """(N, 3) the vertices with the parameters (E + 3,)."""
        moved = pose_flame(self.model, parameters[None, :-3], {"jaw": parameters[None, -3:]})
        return moved[0, : self.count].astype(np.float64)

    def distance(self, off: np.ndarray) -> float:
        """Root mean square length of (N, 3), by importance."""
        return float(np.sqrt((self.share * (off**2).sum(axis=1)).sum()))

    def derivative(self, parameters: np.ndarray) -> np.ndarray:
        """(N, 3, E + 3)."""
        basis = self.model.expression_basis[: self.count]
        turned = _turns(self.model, parameters[-3:])[: self.count]
        here = self.posed(parameters)
        steps = np.eye(self.size)[-3:] * STEP
        by_jaw = [(self.posed(parameters + step) - here) / STEP for step in steps]
        return np.concatenate([turned @ basis, np.stack(by_jaw, axis=2)], axis=2)

    def metric(self) -> np.ndarray:
        """(E + 3, E + 3), see `Table`."""
        flat = (self.derivative(np.zeros(self.size)) * np.sqrt(self.share)[:, None, None]).reshape(-1, self.size)
        return flat.T @ flat

    def jaw_shape(self, goals: list[tuple[float, np.ndarray]]) -> np.ndarray:
        """(E + 3,) such that w times it moves the rest by the goal (N, 3), for all pairs of w and goal (Gauss-Newton)."""
        found = np.zeros(self.size)
        for _ in range(ITERATIONS):
            gram, right = np.diag(self.prior * len(goals)), -self.prior * len(goals) * found
            for w, goal in goals:
                slope = w * self._weighted(self.derivative(w * found))
                off = self._weighted((self.rest + goal - self.posed(w * found))[..., None])
                gram, right = gram + slope.T @ slope, right + (slope.T @ off)[:, 0]
            found = found + np.linalg.solve(gram, right)
            found[-3:] = np.clip(found[-3:], JAW_LOWEST, JAW_HIGHEST)
        return found

    def expression_shape(self, goals: list[tuple[float, np.ndarray, np.ndarray]]) -> np.ndarray:
        """(E + 3,) with the jaw 0 such that w times it, on top of the parameters, makes the goal (N, 3), for all triples of
        w, parameters and goal. Once more from there, for joints move a little with the expression."""
        found = np.zeros(self.size)
        for _ in range(2):
            gram, right = np.diag(self.prior[:-3] * len(goals)), -self.prior[:-3] * len(goals) * found[:-3]
            for w, parameters, goal in goals:
                here = parameters + w * found
                slope = w * self._weighted(self.derivative(here)[..., :-3])
                off = self._weighted((goal - self.posed(here))[..., None])
                gram, right = gram + slope.T @ slope, right + (slope.T @ off)[:, 0]
            found[:-3] += np.linalg.solve(gram, right)
        return found

    def _weighted(self, values: np.ndarray) -> np.ndarray:
        return (values * np.sqrt(self.share)[:, None, None]).reshape(-1, values.shape[-1])


def _turns(model: FlameModel, jaw: np.ndarray) -> np.ndarray:
    """(V, 3, 3) how each vertex is turned when only the jaw turns."""
    share = model.skin[:, JAW, None, None]
    return np.eye(3) + share * (rotation_matrices(jaw) - np.eye(3))
