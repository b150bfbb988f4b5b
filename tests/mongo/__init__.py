"""The whole server on MongoDB. A folder and a run of its own: only one server fits on a machine."""
