"""Modules that stock ipykernel has loaded before the first cell; the Flow kernel has not (pure).

Used by `shell.kernel`: a cell that needs one of them has not brought it in. The record says of it
what the record of the same cell in stock ipykernel says.

One more or less costs a name in `added_imports`, and nothing else.
"""

import sys
from typing import Final

_ALONE: Final = (
    "_csv _curses _decimal _zoneinfo csv curses dateutil decimal email packaging quopri "
    "sysconfig zipfile zoneinfo"
)
_WITHIN: Final = {
    "dateutil": (
        "_common _tzdata_impl _version parser parser._parser parser.isoparser relativedelta "
        "tz tz._common tz._factories tz._tzfile tz._tzpath tz.tz"
    ),
    "email": (
        "_encoded_words _parseaddr _policybase base64mime charset encoders errors header "
        "iterators message quoprimime utils"
    ),
    "importlib": (
        "abc metadata metadata._adapters metadata._collections metadata._functools "
        "metadata._itertools metadata._meta metadata._text resources resources._adapters "
        "resources._common resources._legacy resources.abc"
    ),
    "jupyter_client": (
        "asynchronous asynchronous.client blocking blocking.client channels channelsabc "
        "client clientabc kernelspec launcher manager managerabc multikernelmanager "
        "provisioning provisioning.factory provisioning.local_provisioner "
        "provisioning.provisioner_base"
    ),
    "packaging": "version",
    "zoneinfo": "_common _tzpath",
}
_CONFIG: Final = "_".join(
    ["_sysconfigdata", sys.abiflags, sys.platform, getattr(sys.implementation, "_multiarch", "")]
)

OF_STOCK: Final = frozenset(
    [_CONFIG, *_ALONE.split()]
    + [f"{package}.{name}" for package, names in _WITHIN.items() for name in names.split()]
)
"""Names in `sys.modules`, whatever the kernel talks over."""

_OF_TCP: Final = frozenset(
    ["psutil"]
    + [
        f"psutil.{name}"
        for name in ("_common", "_ntuples", "_pslinux", "_psposix", "_psutil_linux")
    ]
)


def of_stock(transport: str) -> frozenset[str]:
    """The names that a kernel would have: one with TCP has looked for the addresses of the machine.

    Args:
        transport: Of its connection file.
    """
    return OF_STOCK | _OF_TCP if transport == "tcp" else OF_STOCK
