"""The files of a project as commits that the user's own git never notices."""
