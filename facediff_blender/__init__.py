"""The Blender side of FaceDiff. It imports bpy, and only inside `register`, so that its parts without bpy load anywhere."""
