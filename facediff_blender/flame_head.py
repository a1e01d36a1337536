"""The user's FLAME file becomes a Blender object: expression shape keys, pose correctives driven by the bones, and a rig.

Exact, to the rounding of vertex groups: every expression at rest, every pose of the neutral face. Approximate: FLAME's joints
move a little with the expression (they are regressed from the expressive face); the bones stay at the neutral face's
joints, so a face that turns by R with joints displaced by d is off by at most |R - I| |d|.
"""

from __future__ import annotations

import bpy
import numpy as np

from ..engine.face.flame import JOINTS, FlameModel
from ..engine.face.starter_head import HeadModel, MaterialSpec
from ..engine.motion import FaceMotion
from . import heads

MODEL_NAME = "flame"
EXPRESSIONS = 50  # keys unless told otherwise: what 3D MEAD uses
DEVIATIONS = 5.0  # FLAME's coefficients are in standard deviations of its training faces; a slider at 1 is so many
EXPRESSION = "expression{:03d}"
MINUS = "-"  # ends the name of the key that moves the other way: weights stay in 0..1, where importers and game engines cut
TURNED_BY = {"neck": "head", "left_eye": "left_eye", "right_eye": "right_eye"}  # bones, by which rotation of a motion
NOTABLE = 0.5  # mm; a fit that is farther off than this is told
NEGLIGIBLE = 1e-6  # m; a corrective that moves no vertex farther gets no key
SKIN = MaterialSpec("FLAME skin", (0.53, 0.3, 0.22), 0.5, 0.1, 0.0)
# FLAME's eyeballs are all skin and shape. Painted, they show where it looks: angle (rad) from straight ahead within which a
# face belongs to the part, the widest first.
EYE_PARTS = (
    (np.pi, MaterialSpec("FLAME eye white", (0.75, 0.73, 0.7), 0.2, 0.0, 0.5)),
    (0.52, MaterialSpec("FLAME iris", (0.12, 0.2, 0.24), 0.2, 0.0, 0.5)),
    (0.22, MaterialSpec("FLAME pupil", (0.005, 0.005, 0.005), 0.2, 0.0, 0.5)),
)
EYEBALL = 0.9  # a vertex that an eye's joint carries by this share is of the eyeball
# Half of R - I, row by row, of the rotation whose quaternion is (w, x, y, z): within [-1, 1] whatever the rotation. Those of the
# diagonal, which are never positive, are given with the opposite sign.
HALF_ROTATION = (
    *("y*y+z*z", "x*y-w*z", "x*z+w*y"),
    *("x*y+w*z", "x*x+z*z", "y*z-w*x"),
    *("x*z-w*y", "y*z+w*x", "x*x+y*y"),
)
DIAGONAL = (0, 4, 8)


def is_flame(obj: bpy.types.Object | None) -> bool:
    """Whether the object is a head that `add_flame_head` made."""
    return obj is not None and heads.is_head(obj) and obj[heads.HEAD_PROPERTY] == MODEL_NAME


def add_flame_head(
    model: FlameModel,
    scene: bpy.types.Scene,
    location: tuple[float, float, float] = (0, 0, 0),
    expressions: int = EXPRESSIONS,
    source: str = "",
) -> bpy.types.Object:
    """Build the neutral face, its keys and its rig in the scene's "FaceDiff" collection; returns the mesh object.

    Metres, looking along -Y. The keys `expression001` ... are the first `expressions` components, 0 to 1 for 0 to DEVIATIONS, and
    `expression001-` ... the same towards minus DEVIATIONS. Keys for each joint's pose correctives are driven by that joint's
    bone. location: of FLAME's origin. source: the file's name, kept on the object.
    """
    basis = np.moveaxis(model.expression_basis[:, :, :expressions], 2, 0)
    faces = np.asarray(model.faces, np.int32)
    names = [JOINTS[j] if j < len(JOINTS) else f"joint{j}" for j in range(model.joints)]
    description = HeadModel(
        name=MODEL_NAME,
        vertices=model.template.astype(np.float32),
        face_sizes=np.full(len(faces), 3, np.int32),
        face_vertices=faces.ravel(),
        material_index=_material_index(model, faces),
        materials=(SKIN, *(spec for _, spec in EYE_PARTS)),
        vertex_colors=None,
        blendshape_names=tuple(EXPRESSION.format(n + 1) for n in range(len(basis))),
        blendshapes=basis * DEVIATIONS,
        joints=dict(zip(names, model.regressor @ model.template)),
        skin=dict(zip(names, model.skin.T)),
        landmark_triangles=np.zeros((0, 3), np.int32),
        landmark_barycentric=np.zeros((0, 3), np.float32),
    )
    head = heads.link_head(description, scene, "FaceDiff FLAME", location)
    head[heads.SOURCE_PROPERTY] = f"made by FaceDiff from the user's FLAME file '{source}', whose licence goes with it"
    head.data.validate()  # a face that names a vertex twice would crash Blender; vertices all stay
    names_both = [name + sign for name in description.blendshape_names for sign in ("", MINUS)]
    deltas = heads.to_blender(description.blendshapes)
    heads.add_shape_keys(head, names_both, np.stack([deltas, -deltas], axis=1).reshape(-1, *deltas.shape[1:]))
    parents = [None if p < 0 else names[p] for p in model.parents]
    rig = heads.rig_of(head)
    heads.add_bones(rig, scene, [(n, p, description.joints[n]) for n, p in zip(names, parents)])
    heads.add_groups(head, description.skin)
    for number, joint in enumerate(names[1:]):
        _add_correctives(head, rig, joint, model.pose_basis[:, :, 9 * number : 9 * number + 9])
    return head


def expression_count(head: bpy.types.Object) -> int:
    """How many expression keys a FLAME head has."""
    keys = head.data.shape_keys
    names = keys.key_blocks.keys() if keys is not None else ()
    return sum(name.startswith("expression") and not name.endswith(MINUS) for name in names)


def expression_sizes(head: bpy.types.Object) -> np.ndarray:
    """(E,) m: how far (root mean square over the vertices) a coefficient of 1 moves the head, of each of its expressions."""
    rest, found = heads.rest_of(head), []
    for number in range(expression_count(head)):
        places = np.empty(rest.size, np.float32)
        head.data.shape_keys.key_blocks[EXPRESSION.format(number + 1)].points.foreach_get("co", places)
        found.append(np.sqrt(np.square(places.reshape(-1, 3) - rest).sum(axis=1).mean()) / DEVIATIONS)
    return np.array(found)


def expression_motion(head: bpy.types.Object, motion: FaceMotion) -> tuple[FaceMotion, str]:
    """FLAME's coefficients and jaw as the weights of the head's keys and the rotation of its jaw bone; the motion's head and
    eyes turn the bones of neck and eyes, which else rest.

    Also sentences on what the head's keys cannot show, or "". Raises ValueError when the motion has no coefficients.
    """
    if (expression := motion.expression) is None:
        raise ValueError("The motion has no FLAME coefficients.")
    count = expression_count(head)
    weights = expression[:, :count] / np.float32(DEVIATIONS)
    problems = []
    if (lost := int((np.abs(weights) > 1).any(axis=1).sum())) > 0:
        problems.append(f"{lost} frames go beyond {DEVIATIONS:g} standard deviations and are cut there.")
    if expression.shape[1] > count:
        problems.append(f"The head has {count} of the motion's {expression.shape[1]} expressions.")
    if (residual := motion.meta.get("flame_fit_residual_mm", {}).get("mean", 0.0)) > NOTABLE:
        problems.append(f"The model's vertices are no FLAME face: the nearest is {residual:.1f} mm off on average.")
    still = np.zeros((motion.frames, 3), np.float32)
    turns = {"jaw": still if motion.jaw_pose is None else motion.jaw_pose}
    for bone, name in TURNED_BY.items():
        turns[bone] = motion.rotation(name) if name in motion.rotation_names else still
    names = [EXPRESSION.format(n + 1) for n in range(weights.shape[1])]
    if EXPRESSION.format(1) + MINUS in head.data.shape_keys.key_blocks:  # else a head of an older file, whose keys go below 0
        names += [name + MINUS for name in names]
        weights = np.concatenate([np.maximum(weights, 0), np.maximum(-weights, 0)], axis=1)
    moved = FaceMotion(
        fps=motion.fps,
        channels=tuple(names),
        weights=weights,
        rotation_names=tuple(turns),
        rotations=np.stack(list(turns.values()), axis=1),
    )
    return moved, " ".join(problems)


def _material_index(model: FlameModel, faces: np.ndarray) -> np.ndarray:
    """(F,) 0 for skin, n for the n-th of EYE_PARTS."""
    index = np.zeros(len(faces), np.int32)
    places = model.regressor @ model.template
    for joint in range(JOINTS.index("left_eye"), min(model.joints, len(JOINTS))):
        eyeball = (model.skin[:, joint] > EYEBALL)[faces].all(axis=1)
        ahead = model.template[faces].mean(axis=1) - places[joint]
        angle = np.arccos(np.clip(ahead[:, 2] / np.maximum(np.linalg.norm(ahead, axis=1), 1e-9), -1, 1))
        for number, (widest, _) in enumerate(EYE_PARTS, start=1):
            index[eyeball & (angle <= widest)] = number
    return index


def _add_correctives(head: bpy.types.Object, rig: bpy.types.Object, joint: str, basis: np.ndarray) -> None:
    deltas = 2.0 * heads.to_blender(np.moveaxis(basis, 2, 0))
    for entry in range(9):
        if np.abs(deltas[entry]).max() <= NEGLIGIBLE:
            continue
        name, formula = f"pose {joint} {entry // 3}{entry % 3}", HALF_ROTATION[entry]
        if entry in DIAGONAL:
            ways = [(name + MINUS, -deltas[entry], formula)]
        else:
            ways = [(name, deltas[entry], f"max(0, {formula})"), (name + MINUS, -deltas[entry], f"max(0, -({formula}))")]
        keys = heads.add_shape_keys(head, [way[0] for way in ways], np.stack([way[1] for way in ways]))
        for key, (_, _, expression) in zip(keys, ways):
            _drive(key, rig, joint, expression)


def _drive(key: bpy.types.ShapeKey, rig: bpy.types.Object, joint: str, expression: str) -> None:
    driver = key.driver_add("value").driver
    for letter in "wxyz":
        variable = driver.variables.new()
        variable.name, variable.type = letter, "TRANSFORMS"
        target = variable.targets[0]
        target.id, target.bone_target = rig, joint
        target.transform_type, target.transform_space = f"ROT_{letter.upper()}", "LOCAL_SPACE"
        target.rotation_mode = "QUATERNION"
    driver.type = "SCRIPTED"
    driver.expression = expression
