"""Names by which code can reach what its bytecode does not show (pure).

Called by `reach` and `reach_code`.

The lists err on the side of doubt: a name that is here without need costs a capture of everything,
in a child; one that is missing costs a change that nobody sees.
"""

from typing import Final


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


HARMLESS_BUILTINS: Final = _words("""
    abs all any ascii bin bool bytearray bytes callable chr classmethod complex dict divmod
    enumerate filter float format frozenset hash hex id int isinstance issubclass iter len list map
    max memoryview min next object oct ord pow print property range repr reversed round set slice
    sorted staticmethod str sum super tuple zip Ellipsis NotImplemented __build_class__ __debug__
    True False None
""")
"""Builtins that do no more than they are given; exceptions are harmless too."""

HARMLESS_DUNDERS: Final = frozenset(
    f"__{word}__"
    for word in _words("""
    init name doc version module qualname len iter next eq ne lt le gt ge hash repr str call enter
    exit getitem setitem contains add sub mul truediv floordiv mod pow neg pos abs radd rsub rmul
    iadd isub imul and or xor bool int float index round annotations classcell firstlineno
    static_attributes slots post_init match_args format build_class
""")
)
"""Attributes of the language's protocols, which lead nowhere."""

STRAYS: Final = _words("""
    eval query exec globals locals vars compile setattr delattr getattr attrgetter methodcaller
    f_globals f_locals f_back f_builtins gi_frame gi_code cr_frame ag_frame tb_frame tb_next
    user_ns user_global_ns modules cell_contents mro with_traceback

    os sys subprocess builtins importlib gc ctypes ctypeslib inspect types warnings threading signal
    asyncio weakref atexit traceback multiprocessing socket pickle copyreg codecs compat
    testing f2py distutils contextlib linecache runpy codeop

    plot hist boxplot plotting style option_context options set_option reset_option
    set_eng_float_format set_printoptions printoptions set_string_function seterr seterrcall
    setbufsize show_versions

    load read_pickle to_pickle fromfile tofile memmap open_memmap DataSource
    genfromtxt ctypes data_as as_ctypes
    to_sql to_hdf to_clipboard to_excel to_markdown to_parquet to_feather to_orc to_stata to_xarray
    to_gbq to_iceberg read_sql read_sql_query read_sql_table read_hdf read_clipboard read_excel
    read_html read_parquet read_feather read_orc read_stata read_sas read_spss read_xml read_gbq
    read_iceberg
    accessor register singledispatch register_extension_dtype

    addaudithook settrace setprofile displayhook excepthook stdout stderr stdin
    vformat get_field Formatter Template
    call_later call_soon run_line_magic run_cell_magic system getoutput
""")
"""Attributes, and words in texts, that lead to other code, to namespaces or to memory, or that keep
a callback for later."""

BY_NAME: Final = _words("agg aggregate apply transform pipe aggfunc map applymap resample")
"""Attributes that call what a text names."""

FOREVER: Final = {
    "__del__": "a class of the notebook has __del__",
    "weakref": "the notebook knows of weak references",
    "finalize": "the notebook knows of finalizers",
    "addaudithook": "an audit hook may have been added",
    "ctypes": "memory may be written through ctypes",
    "cffi": "memory may be written through cffi",
    "atexit": "an exit function may have been registered",
}
"""Words after which any later cell may run code that it does not show."""

MODULES: Final = _words("""
    numpy pandas math cmath json re random time datetime itertools functools operator collections
    statistics string textwrap fractions bisect heapq copy typing numbers dataclasses calendar
""")
"""Packages whose code does what its arguments say."""

CONSTANTS_OF_MODULES: Final = frozenset(
    ["r_", "c_", "s_", "index_exp", "mgrid", "ogrid", "IndexSlice", "NA", "NaT", "ScalarType",
     "annotations"]
)  # fmt: skip
"""Objects in those packages that are neither functions nor classes and keep nothing."""
