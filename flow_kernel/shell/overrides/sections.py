"""Classes that have the name of their base read each section of a configuration once.

Called by the classes of `shell` that libraries know under a name of ipykernel or IPython.

traitlets reads a section for each class of an object that has its name. Read twice, `c.X.y.append`
doubles its list, and as all objects share the list it doubles with each that is made: a kernel with
one such line never started. Proven for traitlets 5.
"""

from traitlets.config import Configurable


class SectionsOnce(Configurable):
    """Mixin, left of the base that gives the name."""

    @classmethod
    def section_names(cls) -> list[str]:
        """The sections of a configuration that are read, the most general one first."""
        return list(dict.fromkeys(super().section_names()))
