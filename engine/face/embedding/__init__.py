"""Where the landmarks of a face lie on any mesh that looks like one."""
