"""The FaceDiff engine: sound (or a partly hidden face) in, `FaceMotion` out. Imports torch late and bpy never."""

__version__ = "0.1.0"
