"""How the starter head is made from nothing but the mean landmarks. Needs SciPy; only making the asset imports it.

Read in this order: `landmarks` (an average face, corrected towards measured heads), `chart` (a sphere of directions and a smooth
surface over it), `sampling`, `rings`, `topology` (rings around mouth, eyes, nostrils, ears, even points between them, triangles
and quads), `sculpt` (fairing and dabs), `openings` and `ears` (what continues the skin inwards and outwards), `accessories`
(eyeballs, teeth, tongue, brows, lashes), `fields` and the `shapes_*` modules (52 blendshapes), `rig` (joints, skin weights, 68
landmarks), `colours`, `asset`.

Millimetres throughout, +x the subject's left, +y up, +z forward, origin midway between the eyeballs' centres (nearly: see EYE).
Every step is mirror-exact; random choices are seeded.
"""
