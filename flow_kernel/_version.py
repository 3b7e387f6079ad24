"""The version of flow_kernel; read by the build and by `jupyter flow doctor`."""

__version__ = "0.1.0"
