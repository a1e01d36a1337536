"""One face laid over another: points, surfaces, a warp, and the nearest places."""
