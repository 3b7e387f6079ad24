"""Which names hold secrets: variables, keyword arguments, dictionary keys, options (pure).

Called by `redaction` and `redaction_names`, inside a user's cell.

A name is read as words (`dbPassword2` is db, password); the last word that says something decides.
`password_field` is a field, `token_count` a count, `sort_key` a key of a table.
"""

import re
from enum import IntEnum
from functools import lru_cache
from typing import Final

from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS


def words(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


class Strength(IntEnum):
    """How much a name says about its value."""

    NONE = 0
    WEAK = 1  # secret when the value looks random
    STRONG = 2


_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_MAX_NAME: Final = 100

_STRONG: Final = words(
    "password passwords passwd passwds passphrase passcode pwd pswd secret secrets credential "
    "credentials apikey apikeys secretkey privatekey accountkey masterkey accesstoken "
    "authtoken apitoken refreshtoken bearertoken apisecret clientsecret"
)
_STRONG_ENDS: Final = tuple(
    words("password passwd passphrase apikey secretkey accesstoken authtoken apitoken clientsecret")
)
# `accesskey` is an attribute of HTML too.
_WEAK: Final = words("auth authorization bearer jwt cred creds accesskey")
# "pass" and "pw" alone are verbs, filters and pairs; after these words they are passwords.
_ACCOUNTS: Final = words(
    "db database user usr smtp imap mail email admin root ftp sftp ssh login account svc service "
    "redis mysql pg postgres postgresql mongo mongodb rabbitmq http proxy basic auth my sudo wifi "
    "jdbc es elastic ldap jenkins nexus sa"
)
_OF_KEYS: Final = words(
    "api secret access private encryption encrypt decrypt decryption signing auth account master "
    "ssh aes hmac fernet jwt storage subscription deploy deployment webhook consumer license "
    "openai anthropic aws azure gcp google github stripe sendgrid twilio wandb cohere mistral groq "
    "pinecone deepseek gemini replicate together langchain langsmith huggingface hf tavily serper "
    "algolia mailgun datadog dd sentry newrelic openrouter functions host cipher crypto"
)
_OF_TOKENS: Final = words(
    "access auth api bearer refresh secret bot session personal github gitlab gh hf huggingface "
    "slack discord telegram npm pypi aws azure oauth oauth2 id user deploy ci private jwt csrf "
    "xsrf registration jupyter vault consul influx sonar snyk circle codecov do digitalocean "
    "cloudflare security sas admin service"
)
# Words that an innocent token or key has before it.
_INNOCENT: Final = words(
    "pad eos bos sep cls mask unk start end stop special next prev previous first last page "
    "continuation sync cursor image text input output each this current sub max min num n new any "
    "the sos eot bot_ added extra total prompt completion model tokenizer"
)
# Words before the last one that make a claim or a message of it.
_CLAIMS: Final = words(
    "is has show use need needs require requires required no allow enable disable forgot forgotten "
    "reset change changed wrong invalid bad missing empty hide hidden with without verify check "
    "validate mask redact lost public"
)
# Words at the end that change nothing.
_NEUTRAL: Final = words(
    "value val str string plain plaintext raw prod production dev test staging old new default "
    "base64 b64 hex primary secondary env_ local tmp"
)
_OF_STORAGE: Final = "fs.azure.account.key."
_OF_TABLES: Final = words(
    "PRIMARY FOREIGN PUBLIC SORT PARTITION GROUP CACHE INDEX ROUTING JOIN DICT OBJECT ROW HASH "
    "LOOKUP MERGE SEARCH UNIQUE NATURAL COMPOSITE S3"
)
_DIRECTORIES: Final = ("PWD", "OLDPWD")
_ENV_WORDS: Final = words(
    "KEY KEYS TOKEN TOKENS SECRET SECRETS PASSWORD PASSWORDS PASSWD PASSPHRASE PWD PASS CREDENTIAL "
    "CREDENTIALS CREDS AUTH APIKEY"
)
_ENV_ENDS: Final = ("PASSWORD", "PASSWD", "PASSPHRASE", "TOKEN", "SECRET", "APIKEY", "_KEY")
# What an environment variable with such a word holds when this is its last word.
_ENV_OTHER: Final = words(
    "TYPE NAME FILE FILES PATH DIR DIRECTORY URL URI HOST PORT METHOD MODE LENGTH SIZE COUNT LIMIT "
    "TTL TIMEOUT EXPIRY EXPIRES EXPIRATION ENABLED DISABLED SOCK SOCKET ARN REGION PROVIDER "
    "BACKEND ALGORITHM ALG VERSION SCOPE ISSUER AUDIENCE REALM HEADER PREFIX SUFFIX STYLE FORMAT "
    "HELPER COMMAND PROMPT INTERVAL ROTATION STORE ENDPOINT"
)


_KINDS: Final = (
    ("private", "private_key"),
    ("aws", "aws_key"),
    ("pass", "password"),
    ("pw", "password"),
    ("secret", "secret"),
    ("key", "api_key"),
    ("token", "token"),
    ("jwt", "token"),
)


def name_is_secret(name: str) -> bool:
    """True when what is called `name` is likely to be a secret; about 3 us."""
    if strength(name) > Strength.NONE:
        return True
    before, _, last = name.rpartition("_")
    return last == "KEY" and name.isupper() and before.rpartition("_")[2] not in _OF_TABLES


@lru_cache(maxsize=2048)
def strength(name: str) -> Strength:
    """What a name in code, JSON or a command line says about its value; 3 us, again 0.1 us."""
    parts = [w.lower() for w in _WORD.findall(name[-_MAX_NAME:]) if not w.isdigit()]
    while len(parts) > 1 and parts[-1] in _NEUTRAL:
        parts.pop()
    if not parts:
        return Strength.NONE
    last, before = parts[-1], parts[:-1]
    if name in _DIRECTORIES or _is_claim(name):
        return Strength.NONE
    is_service = (last == "key" and name[:2].lower() == "x-") or _OF_STORAGE in name
    if last in _STRONG or last.endswith(_STRONG_ENDS) or is_service:
        return Strength.STRONG
    return _by_company(last, before[-1] if before else "")


def kind_of(name: str) -> str:
    """The word in the brackets of the replacement."""
    low = name.lower()
    return next((kind for part, kind in _KINDS if part in low), "credential")


def is_secret_in_environment(name: str) -> bool:
    """True for `DB_PASSWORD`, `MY_SERVICE_KEY`, not for `PWD`, `AUTH_TYPE` or `KEYBOARD`."""
    upper = name.upper()
    parts = upper.split("_")
    if upper in _DIRECTORIES or parts[-1] in _ENV_OTHER:
        return False
    return any(part in _ENV_WORDS for part in parts) or upper.endswith(_ENV_ENDS)


def _is_claim(name: str) -> bool:
    """True for `show_password` and `public_key`; the object before a dot claims nothing."""
    own = _WORD.findall(name.rpartition(".")[2])
    return any(word.lower() in _CLAIMS for word in own[:-1])


def _by_company(last: str, before: str) -> Strength:
    """Words that mean a secret only together with the word before them."""
    if last in ("pass", "pw"):
        return Strength.STRONG if before in _ACCOUNTS else _weak(not before)
    if last in ("key", "keys"):
        return Strength.STRONG if before in _OF_KEYS else Strength.NONE
    if last in ("token", "tokens"):
        if before in _OF_TOKENS:
            return Strength.STRONG
        return _weak(last == "token" and before not in _INNOCENT)
    return _weak(last in _WEAK)


def _weak(is_weak: bool) -> Strength:
    return Strength.WEAK if is_weak else Strength.NONE
