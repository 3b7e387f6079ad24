"""What `session.risk` takes for risky: names, magics, texts (pure).

Read by `session.risk` alone.

A name stands for itself and everything below it. What is missing here is not found: the scan is a
seat belt for accidents, and no wall against somebody who looks for the gap.
"""

import re
from enum import Enum
from typing import Final


class Kind(Enum):
    """What a piece of code does, as the question says it."""

    DELETES = "deletes files or tables"
    OVERWRITES = "moves or replaces files"
    SHELL = "runs other programs"
    NETWORK = "uses the network"
    CREDENTIALS = "reads credentials"
    GIT = "changes a git repository"
    CODE = "runs code that cannot be seen here"


NAMES: Final[dict[str, Kind]] = {
    **dict.fromkeys(
        [
            "os.remove",
            "os.unlink",
            "os.rmdir",
            "os.removedirs",
            "os.truncate",
            "posix.unlink",
            "posix.remove",
            "posix.rmdir",
            "shutil.rmtree",
            "pathlib.Path.unlink",
            "pathlib.Path.rmdir",
            "send2trash",
        ],
        Kind.DELETES,
    ),
    **dict.fromkeys(["os.replace", "os.rename", "os.renames", "shutil.move"], Kind.OVERWRITES),
    **dict.fromkeys(
        [
            "os.system",
            "os.popen",
            "os.execl",
            "os.execle",
            "os.execlp",
            "os.execlpe",
            "os.execv",
            "os.execve",
            "os.execvp",
            "os.execvpe",
            "os.spawnl",
            "os.spawnle",
            "os.spawnlp",
            "os.spawnlpe",
            "os.spawnv",
            "os.spawnve",
            "os.spawnvp",
            "os.spawnvpe",
            "os.posix_spawn",
            "os.posix_spawnp",
            "os.startfile",
            "os.kill",
            "os.killpg",
            "posix.system",
            "subprocess",
            "_posixsubprocess",
            "pty",
            "commands",
            "pexpect",
            "sh",
            "plumbum",
            "invoke",
            "asyncio.create_subprocess_exec",
            "asyncio.create_subprocess_shell",
            "IPython.utils.process",
            "IPython.utils._process_posix",
        ],
        Kind.SHELL,
    ),
    **dict.fromkeys(
        [
            "requests",
            "urllib.request",
            "urllib3",
            "http.client",
            "http.server",
            "httpx",
            "aiohttp",
            "socket",
            "_socket",
            "socketserver",
            "smtplib",
            "ftplib",
            "imaplib",
            "poplib",
            "nntplib",
            "telnetlib",
            "xmlrpc",
            "websocket",
            "websockets",
            "paramiko",
            "fabric",
            "boto3",
            "botocore",
            "s3fs",
            "gcsfs",
            "google.cloud",
            "azure",
            "openai",
            "anthropic",
            "huggingface_hub",
            "kaggle",
            "gdown",
            "wget",
            "pycurl",
            "webbrowser",
            "asyncio.open_connection",
            "asyncio.start_server",
            "torch.hub",
            "ssl.SSLContext",
        ],
        Kind.NETWORK,
    ),
    **dict.fromkeys(
        [
            "keyring",
            "getpass.getpass",
            "dotenv",
            "netrc",
            "google.colab.userdata",
            "google.colab.auth",
            "secretstorage",
        ],
        Kind.CREDENTIALS,
    ),
    **dict.fromkeys(["git", "pygit2", "dulwich"], Kind.GIT),
    **dict.fromkeys(
        [
            "builtins.eval",
            "builtins.exec",
            "builtins.compile",
            "builtins.__import__",
            "builtins.__dict__",
            "sys.modules",
            "importlib.import_module",
            "importlib.__import__",
            "importlib.reload",
            "importlib.util",
            "importlib.machinery",
            "runpy",
            "code.interact",
            "code.InteractiveInterpreter",
            "imp",
            "ctypes",
            "cffi",
            "pickle.load",
            "pickle.loads",
            "pickle.Unpickler",
            "_pickle",
            "cPickle",
            "dill.load",
            "dill.loads",
            "cloudpickle.load",
            "cloudpickle.loads",
            "joblib.load",
            "marshal.load",
            "marshal.loads",
            "shelve.open",
            "torch.load",
            "pandas.read_pickle",
            "yaml.load",
            "yaml.unsafe_load",
            "yaml.full_load",
            "jsonpickle.decode",
            "types.FunctionType",
            "types.CodeType",
            "operator.attrgetter",
            "operator.methodcaller",
            "pkgutil.resolve_name",
        ],
        Kind.CODE,
    ),
}
"""By the whole dotted name of what is loaded."""

METHODS: Final[dict[str, Kind]] = {
    **dict.fromkeys(["unlink", "rmdir", "rmtree", "removedirs"], Kind.DELETES),
    **dict.fromkeys(["getoutput", "system_raw", "system_piped"], Kind.SHELL),
    **dict.fromkeys(["urlopen", "urlretrieve"], Kind.NETWORK),
    **dict.fromkeys(
        [
            "__subclasses__",
            "__globals__",
            "__builtins__",
            "__getattribute__",
            "__import__",
            "__loader__",
            "__code__",
            "__reduce__",
            "__reduce_ex__",
            "read_pickle",
            "import_module",
            "run_line_magic",
            "run_cell_magic",
            "find_line_magic",
            "find_cell_magic",
            "find_magic",
            "magics_manager",
        ],
        Kind.CODE,
    ),
}
"""By one part behind a dot, whatever it is a part of."""

MODULES: Final = frozenset(
    [
        "os",
        "posix",
        "shutil",
        "subprocess",
        "_posixsubprocess",
        "pty",
        "pexpect",
        "socket",
        "_socket",
        "requests",
        "httpx",
        "aiohttp",
        "boto3",
        "paramiko",
        "keyring",
        "git",
        "pygit2",
        "builtins",
        "importlib",
        "runpy",
        "ctypes",
        "pickle",
        "_pickle",
        "dill",
        "cloudpickle",
        "marshal",
    ]
)
"""Modules whose object goes nowhere but before a dot: passed on, nobody sees what becomes of it."""

SAFE_LINE_MAGICS: Final = frozenset(
    [
        "matplotlib",
        "autoreload",
        "load_ext",
        "reload_ext",
        "unload_ext",
        "config",
        "pwd",
        "cd",
        "who",
        "who_ls",
        "whos",
        "pinfo",
        "pinfo2",
        "psource",
        "pdoc",
        "pdef",
        "pfile",
        "quickref",
        "magic",
        "lsmagic",
        "precision",
        "colors",
        "xmode",
        "pprint",
        "doctest_mode",
        "automagic",
        "debug",
        "pdb",
        "tb",
        "history",
        "hist",
        "notebook",
        "dhist",
        "dirs",
        "bookmark",
        "psearch",
        "gui",
        "connect_info",
        "qtconsole",
        "flow",
        "task",
        "approve",
        "checkpoint",
        "rollback",
        "workers",
    ]
)
PYTHON_LINE_MAGICS: Final = frozenset(["time", "timeit", "prun", "memit", "mprun", "lprun"])
SAFE_CELL_MAGICS: Final = frozenset(
    ["html", "HTML", "latex", "markdown", "svg", "SVG", "writefile", "file", "approve"]
)
"""A body that `%%approve` asks about is asked about once."""
PYTHON_CELL_MAGICS: Final = frozenset(
    ["time", "timeit", "capture", "prun", "memit", "mprun", "lprun", "step", "isolated"]
)
LINE_MAGICS: Final[dict[str, Kind]] = {
    **dict.fromkeys(["sx", "system", "sc", "alias", "rehashx", "script", "bash", "sh"], Kind.SHELL),
    **dict.fromkeys(["pip", "conda", "mamba", "micromamba", "uv"], Kind.NETWORK),
    **dict.fromkeys(["env"], Kind.CREDENTIALS),
    **dict.fromkeys(["reset", "xdel", "reset_selective"], Kind.DELETES),
}
CELL_MAGICS: Final[dict[str, Kind]] = {
    **dict.fromkeys(
        [
            "bash",
            "sh",
            "script",
            "cmd",
            "system",
            "sx",
            "!",
            "!!",
            "perl",
            "ruby",
            "python",
            "python2",
            "python3",
            "pypy",
        ],
        Kind.SHELL,
    ),
}

SQL: Final = re.compile(
    r"\b(?:DROP\s+(?:TABLE|DATABASE|SCHEMA|VIEW|INDEX|COLUMN|USER|ROLE)|TRUNCATE\s+TABLE"
    r"|DELETE\s+FROM|ALTER\s+TABLE\s+\S+\s+DROP)\b",
    re.IGNORECASE,
)
REMOVES: Final = re.compile(r"(?:^|[\s;&|(`/])(?:rm|rmdir|unlink|shred|dd|mkfs\S*)\s", re.MULTILINE)
GIT: Final = re.compile(
    r"\bgit\b[^\n;&|]*\b(?:push|reset|clean|rebase|filter-branch|filter-repo|branch\s+-D|checkout\s+-f)\b"
    r"|\bgit\b[^\n;&|]*\s--force\b"
)
SECRET_FILE: Final = re.compile(
    r"(?:^|[/\\~])\.(?:ssh|aws|gnupg|kube|docker|azure)(?:[/\\]|$)|(?:^|[/\\])id_(?:rsa|dsa|ecdsa|ed25519)"
    r"|(?:^|[/\\])\.(?:env|netrc|pgpass|git-credentials|npmrc|pypirc|vault-token)(?:\.\w+)?$"
    r"|/etc/(?:shadow|sudoers)|(?:^|[/\\])credentials(?:\.json)?$|\.pem$"
)
URL: Final = re.compile(r"(?:https?|ftps?|s3|gs|az|abfss?)://", re.IGNORECASE)
PROGRAMS: Final = frozenset(["rm", "rmdir", "mv", "cp", "mkdir", "ln", "unlink", "shred"])
"""Aliases that IPython reads at the beginning of a cell of one line."""
