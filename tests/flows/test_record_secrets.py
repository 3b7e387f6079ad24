"""Planted secrets: none of them, nor half of one, reaches the disk in any file of the home."""

import random
import string
from typing import Final

from flow_kernel.settings import RecorderSettings
from tests.kernels import Kernel
from tests.promises import promise

_RANDOM: Final = random.Random(20261121)
_LETTERS: Final = string.ascii_letters + string.digits


def _text(count: int, letters: str = _LETTERS) -> str:
    return "".join(_RANDOM.choice(letters) for _ in range(count))


_BASE32: Final = string.ascii_uppercase + "234567"
ENVIRONMENT: Final = {
    name: _text(24)
    for name in (
        "AWS_SECRET_ACCESS_KEY", "DB_PASSWORD", "API_KEY", "MY_TOKEN", "OPENAI_API_KEY",
        "GITHUB_TOKEN", "CLIENT_SECRET", "PGPASSWORD", "SLACK_BOT_TOKEN", "ENCRYPTION_KEY",
        "DJANGO_SECRET_KEY", "SMTP_PASSWD", "STRIPE_API_KEY", "PRIVATE_KEY", "AUTH_TOKEN",
        "SERVICE_CREDENTIALS", "HF_TOKEN", "PASSPHRASE",
    )
}  # fmt: skip
TOKENS: Final = {
    "github": f"ghp_{_text(36)}",
    "github_oauth": f"gho_{_text(36)}",
    "github_fine": f"github_pat_{_text(22)}_{_text(59)}",
    "aws_id": f"AKIA{_text(16, _BASE32)}",
    "openai": f"sk-{_text(48)}",
    "openai_project": f"sk-proj-{_text(48)}",
    "anthropic": f"sk-ant-api03-{_text(90)}",
    "slack": f"xoxb-{_text(12, string.digits)}-{_text(12, string.digits)}-{_text(24)}",
    "google": f"AIza{_text(35)}",
    "gitlab": f"glpat-{_text(20)}",
    "npm": f"npm_{_text(36)}",
    "pypi": f"pypi-AgEIcHlwaS5vcmc{_text(60)}",
    "hugging_face": f"hf_{_text(34)}",
    "stripe": f"sk_live_{_text(24)}",
    "jwt": f"eyJhbGciOiJIUzI1NiJ9.eyJ{_text(40)}.{_text(43)}",
}
URLS: Final = {
    scheme: _text(16)
    for scheme in (
        "https",
        "http",
        "postgresql",
        "mysql",
        "mongodb+srv",
        "redis",
        "amqp",
        "ftp",
        "ssh",
        "git+https",
    )
}
ASSIGNED: Final = {
    name: _text(18)
    for name in (
        "password",
        "passwd",
        "api_key",
        "secret",
        "auth_token",
        "DB_PASSWORD",
        "client_secret",
    )
}


def _all() -> dict[str, str]:
    return {
        **{f"env {k}": v for k, v in ENVIRONMENT.items()},
        **{f"token {k}": v for k, v in TOKENS.items()},
        **{f"url {k}": v for k, v in URLS.items()},
        **{f"assigned {k}": v for k, v in ASSIGNED.items()},
    }


def _leaked(kernel: Kernel, planted: dict[str, str]) -> list[str]:
    """Secrets of which the middle or the end is found in any file of the home."""
    data = kernel.logs.bytes()
    return sorted(
        name
        for name, value in planted.items()
        for middle in [len(value) // 2]
        if value[-14:].encode() in data or value[middle - 6 : middle + 6].encode() in data
    )


def _lines() -> list[str]:
    """Lines of text with all secrets in the forms in which they are met."""
    known = [
        *ENVIRONMENT.values(),
        *(f"use {token} here" for token in TOKENS.values()),
        *(f"{scheme}://user:{password}@host/db?q=1" for scheme, password in URLS.items()),
    ]
    return [
        *(" and ".join(known[i : i + 5]) for i in range(0, len(known), 5)),
        *(f"{name} = '{value}'" for name, value in ASSIGNED.items()),
    ]


@promise("record.secrets")
def test_fifty_secrets_are_planted() -> None:
    assert len(set(_all().values())) == 50


@promise("record.secrets")
def test_no_secret_of_a_cell_reaches_the_disk() -> None:
    with Kernel(env=ENVIRONMENT) as kernel:
        for line in _lines():
            # As source, as value, result, output, error, display, nested, below Python and hidden.
            kernel.run(f"value = {line!r}\nprint(value); value")
            kernel.run("print([value], {'k': value}); display(value); raise ValueError(value, 5)")
            kernel.run(f"# {line}\nget_ipython().run_cell('x = ' + repr(value))")
            kernel.run(f"_hidden = {line!r}", store_history=False)
            kernel.run(f"broken = = {line!r}")
        kernel.run(
            "import os\nfor v in os.environ.items(): print(*v)\n_n = os.write(1, value.encode())"
        )
        kernel.run("import subprocess; _p = subprocess.run(['env'])")
        kernel.run("os.environ")
        for name, value in ASSIGNED.items():
            kernel.run(f"{name} = {value!r}")
        late = kernel.run("import threading; threading.Timer(0.1, print, [value]).start()")
        kernel.logs.wait("late", msg_id=late.msg_id)

        records = kernel.logs.records("cell")
        assert _leaked(kernel, _all()) == []
        assert sum(r["redacted"] for r in records) > 100
        assert "[REDACTED:" in records[0]["code"]


@promise("record.secrets")
def test_a_file_of_settings_shown_as_text_leaves_no_secret() -> None:
    with Kernel() as kernel:
        text = "HOST=db\n" + "".join(f"{name}={value}\n" for name, value in ASSIGNED.items())
        (kernel.cwd / ".env").write_text(text, encoding="utf-8")

        for code in ("open('.env').read()", "open('.env').readlines()", "!cat .env", "%cat .env"):
            kernel.run(code)
        kernel.run("settings = dict(line.strip().split('=', 1) for line in open('.env')); settings")

        assert _leaked(kernel, ASSIGNED) == []


@promise("record.secrets", "record.bounded")
def test_a_secret_at_the_cut_of_a_long_text_leaves_no_half() -> None:
    half = RecorderSettings().stream_chars // 2
    with Kernel(env=ENVIRONMENT) as kernel:
        planted = {**{f"token {k}": v for k, v in TOKENS.items()}, "env": ENVIRONMENT["API_KEY"]}
        for secret in planted.values():
            for inside in (3, len(secret) // 2, len(secret) - 16):
                kernel.run(
                    f"_s = {secret!r}; print('x ' * 200_000 + _s + ' y' * {(half - inside) // 2})"
                )
                kernel.run(f"print(' ' * ({half} - {len(secret) - inside}) + _s + ' y' * 200_000)")

        assert _leaked(kernel, planted) == []


@promise("record.secrets", "death.recorded")
def test_the_last_words_of_a_killed_cell_hold_no_secret() -> None:
    with Kernel(env=ENVIRONMENT) as kernel:
        for secret, rest in (
            (TOKENS["github"], 1970),
            (TOKENS["jwt"], 0),
            (ENVIRONMENT["DB_PASSWORD"], 1970),
        ):
            kernel.send(
                f"print({secret!r} + ' ' + 'z' * {rest}); print('printed', flush=True)\n"
                "import time; time.sleep(60)"
            )
            kernel.iopub.clear()
            kernel.wait_for_text("printed")
            assert _leaked(kernel, _all()) == []
            kernel.restart().run("x = 1")

        assert len(kernel.logs.records("death")) == 3
        assert _leaked(kernel, _all()) == []
