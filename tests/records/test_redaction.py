"""Secrets are found wherever they stand, and nothing else is taken for one."""

import re
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flow_kernel.records.redaction import Redactor
from flow_kernel.records.secret_names import words
from tests.records.innocent_corpus import INNOCENT
from tests.records.redaction_corpus import AWS_ID, BLOCKS, GITHUB, PEM, SECRETS, fake

PLAIN: Final = Redactor({})
MARK: Final = r"\[REDACTED:\w+\]"
VALUE: Final = "s3cr3t-" + "value"


def test_at_least_97_of_100_secrets_are_found() -> None:
    lines = [(line.replace("§", secret), secret) for line, secret in [*SECRETS, *BLOCKS]]
    missed = [line for line, secret in lines if secret in PLAIN.text(line)[0]]

    assert len(lines) >= 60
    assert len(missed) <= 0.03 * len(lines), missed


def test_what_stands_around_a_secret_is_kept() -> None:
    changed = [
        (line, found)
        for line, secret in SECRETS
        if not re.fullmatch(
            re.escape(line).replace("§", MARK), found := PLAIN.text(line.replace("§", secret))[0]
        )
    ]

    assert changed == []


def test_a_secret_is_counted_once() -> None:
    counts = {PLAIN.text(line.replace("§", secret))[1] for line, secret in SECRETS}

    assert counts == {1}


def test_ordinary_code_and_output_stays_as_it_is() -> None:
    assert len(INNOCENT) >= 150
    assert [line for line in INNOCENT if PLAIN.text(line) != (line, 0)] == []
    whole = "\n".join(INNOCENT)
    assert PLAIN.text(whole) == (whole, 0)


def test_all_secrets_of_a_long_text_are_found() -> None:
    lines = [line.replace("§", secret) for line, secret in SECRETS]
    text = "\n\n".join(part for pair in zip(lines, INNOCENT, strict=False) for part in pair)

    clean, count = PLAIN.text(text)

    assert [secret for _, secret in SECRETS if len(secret) > 9 and secret in clean] == []
    assert count == len(SECRETS)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ('password = "x"', 'password = "[REDACTED:password]"'),
        (f"id = '{AWS_ID}'", "id = '[REDACTED:aws_key]'"),
        (f"{GITHUB} {GITHUB}", "[REDACTED:github_token] [REDACTED:github_token]"),
        ("mysql://u:" + "p4ss@h/d", "mysql://u:[REDACTED:url_password]@h/d"),
        ('{"client_secret": "' + 'abc"}', '{"client_secret": "[REDACTED:secret]"}'),
        ("authorization: bearer " + fake(20), "authorization: bearer [REDACTED:authorization]"),
        ("user, password = 'me', 'pw" + "1'", "user, password = 'me', '[REDACTED:password]'"),
    ],
)
def test_the_replacement_names_the_kind(text: str, clean: str) -> None:
    assert PLAIN.text(text)[0] == clean


@pytest.mark.parametrize("cut", range(10, 40))
def test_a_token_that_is_cut_off_is_still_found(cut: int) -> None:
    head = GITHUB[:cut]
    assert PLAIN.text(f"x = {head}")[0] == "x = [REDACTED:github_token]"
    shortened = f"x = {head}\n…[9 bytes omitted]…\ny"
    assert PLAIN.text(shortened)[0] == "x = [REDACTED:github_token]\n…[9 bytes omitted]…\ny"


def test_a_password_that_is_cut_off_is_still_found() -> None:
    text = 'password = "hunt' + "er2\n…[9 bytes omitted]…\nprint(1)"
    assert PLAIN.text(text)[0] == 'password = "[REDACTED:password]\n…[9 bytes omitted]…\nprint(1)'


def test_a_password_in_a_url_that_is_cut_off_before_its_host_is_still_found() -> None:
    assert PLAIN.text("mysql://me:hunt" + "er2…")[0] == "mysql://me:[REDACTED:url_password]…"
    assert PLAIN.text("http://localhost:8888…") == ("http://localhost:8888…", 0)


def test_both_ends_of_a_private_key_that_is_cut_in_the_middle_are_found() -> None:
    name = "PRIVATE" + " KEY-----"
    text = f"a\n-----BEGIN {name}\n{PEM}\n…[9 bytes omitted]…\n{PEM[5:]}\n-----END {name}\nb"

    clean = PLAIN.text(text)[0]

    assert re.fullmatch(rf"a\n-----BEGIN {name}\n{MARK}\n….*…\n{MARK}\n-----END {name}\nb", clean)


def test_values_of_secret_environment_variables_are_found_anywhere() -> None:
    redactor = Redactor({"DB_PASSWORD": VALUE, "MY_SERVICE_KEY": "k" + "ey-4711", "HOME": "/tmp"})

    assert redactor.text(f"connect({VALUE!r}) key-4711 x{VALUE}y") == (
        "connect('[REDACTED:DB_PASSWORD]') [REDACTED:MY_SERVICE_KEY] x[REDACTED:DB_PASSWORD]y",
        3,
    )


def test_only_values_that_can_be_secrets_are_taken_from_the_environment() -> None:
    innocent = {
        "PWD": "/work/here-is-it",
        "OLDPWD": "/work/was-there",
        "SHORT_KEY": "abc12",
        "USE_TOKEN": "false",
        "AUTH_TYPE": "oauth2-device",
        "SSH_AUTH_SOCK": "/tmp/agent.123",
        "SECRET_FILE": "/run/secrets/a1",
        "KEY_STORE": "/etc/keys",
        "CLIENT_SECRET": "/etc/passwd",
        "KEYBOARD": "qwertz-4711",
        "TOKENIZERS_PARALLELISM": "disabled-4711",
        "MONKEY": "banana-4711",
        "PATH": "/usr/bin:/bin",
    }
    text = " ".join(innocent.values())

    assert Redactor(innocent).text(text) == (text, 0)


def test_a_path_that_does_not_exist_is_a_secret_like_any_other() -> None:
    value = "/" + "aB3/xY9+q=="
    known = Redactor({"STORAGE_KEY": value}, exists=lambda path: path == value)
    unknown = Redactor({"STORAGE_KEY": value}, exists=lambda _: False)

    assert known.text(value) == (value, 0)
    assert unknown.text(value) == ("[REDACTED:STORAGE_KEY]", 1)


def test_a_value_that_is_a_word_is_replaced_only_where_it_stands_alone() -> None:
    redactor = Redactor({"APP_SECRET": "sesame" + "street", "PIN_TOKEN": "123456"})

    assert redactor.text("sesamestreets sesamestreet 11234567 123456") == (
        "sesamestreets [REDACTED:APP_SECRET] 11234567 [REDACTED:PIN_TOKEN]",
        2,
    )


def test_the_lines_of_a_key_in_the_environment_are_found_one_by_one() -> None:
    redactor = Redactor({"DEPLOY_KEY": f"-----BEGIN X-----\n{PEM}\n-----END X-----"})
    for line in PEM.splitlines():
        assert redactor.text(f"> {line} <") == ("> [REDACTED:DEPLOY_KEY] <", 1)


@pytest.mark.parametrize("cut", range(6, 11))
def test_a_value_of_the_environment_that_is_cut_off_is_still_found(cut: int) -> None:
    redactor = Redactor({"DB_PASSWORD": VALUE})
    mark = "[REDACTED:DB_PASSWORD]"

    assert redactor.text(f"'{VALUE[:cut]}…'")[0] == f"'{mark}…'"
    text = f"a {VALUE[:cut]}\n…[9 bytes omitted]…\n{VALUE[-cut:]} b"
    assert redactor.text(text)[0] == f"a {mark}\n…[9 bytes omitted]…\n{mark} b"


def test_a_value_that_needs_escapes_is_found_as_it_is_printed() -> None:
    value = "a\"b'c\\d" + "\te9"
    redactor = Redactor({"ODD_SECRET": value})

    assert redactor.text(f"{value} and {[value]}")[1] == 2


def test_a_value_that_is_a_part_of_a_replacement_changes_nothing_twice() -> None:
    redactor = Redactor({"A_SECRET": "REDACTED", "B_SECRET": "password" + "1", "C_KEY": "C_KEY_"})
    once, _ = redactor.text("password1 C_KEY_ REDACTED")
    assert redactor.text(once) == (once, 0)


@pytest.mark.parametrize(
    "name",
    sorted(
        words(
            "password db_password dbPassword PASSWORD api_key apiKey OPENAI_API_KEY client_secret "
            "token access_token GITHUB_TOKEN pwd smtp_pass credentials MY_SERVICE_KEY passwords "
            "x-api-key"
        )
    ),
)
def test_names_of_secrets_are_known(name: str) -> None:
    assert PLAIN.name_is_secret(name)


@pytest.mark.parametrize(
    "name",
    sorted(
        words(
            "key keys sort_key primary_key PRIMARY_KEY public_key cache_key tokens token_count "
            "max_tokens pad_token eos_token tokenizer author low_pass show_password password_field "
            "compass PWD x df keyboard secretary token_type_ids next_page_token"
        )
    ),
)
def test_names_of_other_things_are_left_alone(name: str) -> None:
    assert not PLAIN.name_is_secret(name)


FRAGMENTS: Final = [
    *[line.replace("§", secret) for line, secret in [*SECRETS, *BLOCKS]],
    *INNOCENT,
    *["[REDACTED:password]", "[REDACTED:", "]", "…", "\n…[9 bytes omitted]…\n", VALUE, VALUE[:8]],
    *[
        '"',
        "'",
        '"""',
        "\\",
        "=",
        ":",
        " ",
        ",",
        "(",
        ")",
        "{",
        "}",
        "\n",
        "\ud800",
        "\0",
        "İ",
        "é",
    ],
    *["password", "token", "api_key", "Authorization", "bearer ", "://", "@", "--", "auth=("],
]


def test_half_a_line_of_a_key_is_no_key() -> None:
    for text in (
        "OPENSSH PRIVATE KEY-----",
        "the PRIVATE KEY of ann",
        " RSA PRIVATE KEY-----\nabc",
    ):
        assert PLAIN.text(text) == (text, 0)


@settings(max_examples=250, deadline=None)
@given(st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=5), max_size=8).map("".join))
def test_redacting_twice_changes_nothing(text: str) -> None:
    redactor = Redactor({"DB_PASSWORD": VALUE})

    once, count = redactor.text(text)

    assert redactor.text(once) == (once, 0)
    assert (once == text) == (count == 0)
    assert VALUE not in once


@settings(max_examples=100, deadline=None)
@given(st.text(st.characters(codec=None), max_size=200))
def test_any_text_is_taken(text: str) -> None:
    clean, count = PLAIN.text(text)
    assert (clean == text) == (count == 0)


UNITS: Final = [
    "a", "=", "eyJ", "eyJaaaaaaaa.", '"', "'", '"""', "\\", '\\"', "://", "a://", "://a:", "://a:b@",
    "://?key=", "-", "--", "--a", "--password ", "--password=", "password=", 'password="',
    "password='", 'password=\\"', 'password="\\', 'password="""', "password: ", "password: str = ",
    "password ", "password\n", "key", "token=", "ghp_", "github_pat_", "sk-", "sk-ant-", "xoxb-",
    "AKIA", "AIza", "-----BEGIN " + "PRIVATE KEY-----", "-----END " + "PRIVATE KEY-----",
    "authorization: bearer ", "bearer ", "auth=(", 'auth=("a","', 'login("', '("password", ', "…",
    "[REDACTED:", "curl -u a:", "a, password", "password, ", "a,password=", " ", "\n", "İ",
    "\ud800", "A1b2C3d4E5f6G7h8", "password=A1b2C3d4E5f6G7h8 ", VALUE[:7],
]  # fmt: skip


@pytest.mark.parametrize("unit", UNITS, ids=ascii)
def test_a_long_text_that_repeats_one_thing_ends_in_time(unit: str) -> None:
    # Quadratic work on so long a text would take minutes; the suite's time limit ends it.
    text = (unit * 100_000)[:100_000]
    redactor = Redactor({"DB_PASSWORD": VALUE})

    once, _ = redactor.text(text)

    assert redactor.text(once)[1] == 0
