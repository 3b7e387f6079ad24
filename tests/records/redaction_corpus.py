"""Lines of notebooks that hold a secret, and lines that do not.

Used by `test_redaction`. Secrets are put together from parts when the module is loaded, so that
programs which look for secrets in repositories find none here.
"""

import hashlib
import string
from typing import Final

_LETTERS: Final = string.ascii_uppercase + string.ascii_lowercase + string.digits


def fake(length: int, letters: str = _LETTERS, seed: str = "") -> str:
    """A made-up run of letters, the same in every run."""
    digest = b"".join(hashlib.sha256(f"{seed}{length}{i}".encode()).digest() for i in range(40))
    return "".join(letters[byte % len(letters)] for byte in digest[:length])


_HEX: Final = "0123456789abcdef"
_UPPER: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_WEB: Final = _LETTERS + "_-"
AWS_ID: Final = "AKI" + "A" + fake(16, _UPPER)
AWS_SECRET: Final = fake(18, seed="a") + "/" + fake(12, seed="b") + "+" + fake(8, seed="c")
GITHUB: Final = "gh" + "p_" + fake(36)
GITHUB_FINE: Final = "github" + "_pat_" + fake(22) + "_" + fake(59)
OPENAI: Final = "s" + "k-" + fake(20) + "T3BlbkFJ" + fake(20, seed="o")
OPENAI_PROJECT: Final = "s" + "k-proj-" + fake(48, _WEB)
ANTHROPIC: Final = "s" + "k-ant-" + "api03-" + fake(80, _WEB) + "AA"
JWT: Final = ".".join(["ey" + "J" + fake(33), "ey" + "J" + fake(60), fake(43, _WEB)])
PEM: Final = "\n".join([fake(64, seed=str(i)) for i in range(6)])
PEM_ESCAPED: Final = PEM.replace("\n", "\\n")
_BEGIN: Final = "-----BEGIN " + "PRIVATE KEY-----"
_END: Final = "-----END " + "PRIVATE KEY-----"
_RSA: Final = ("-----BEGIN RSA " + "PRIVATE KEY-----", "-----END RSA " + "PRIVATE KEY-----")
_SSH: Final = ("-----BEGIN OPENSSH " + "PRIVATE KEY-----", "-----END OPENSSH " + "PRIVATE KEY-----")

SECRETS: Final[list[tuple[str, str]]] = [
    # Tokens of known shape, in code and in output.
    ('os.environ["AWS_ACCESS_KEY_ID"] = "§"', AWS_ID),
    ("aws_access_key_id = §", AWS_ID),
    ("aws_secret_access_key = §", AWS_SECRET),
    ('boto3.client("s3", aws_secret_access_key="§")', AWS_SECRET),
    ("AWS_SECRET_ACCESS_KEY=§", AWS_SECRET),
    ("Using temporary credentials § (expires in 3600 s)", "ASI" + "A" + fake(16, _UPPER)),
    ("!git clone https://§@github.com/acme/private.git", GITHUB),
    ('gh = Github("§")', GITHUB),
    ("remote: token § accepted", "gh" + "o_" + fake(36)),
    ("headers = {'Authorization': 'token §'}", GITHUB),
    ('GITHUB_TOKEN = "§"', GITHUB_FINE),
    ("%env GH_TOKEN=§", "gh" + "s_" + fake(36)),
    ('gl = gitlab.Gitlab(url, private_token="§")', "glp" + "at-" + fake(20, _WEB)),
    ("deployed with §", "gl" + "dt-" + fake(20)),
    ('sg = SendGridAPIClient("§")', "S" + "G." + fake(22) + "." + fake(43)),
    ('slack = WebClient(token="§")', "xo" + "xb-" + "123456789012-123456789012-" + fake(24)),
    ('SLACK_APP_TOKEN="§"', "xa" + "pp-1-A0" + fake(9, _UPPER) + "-" + fake(64, _HEX)),
    ('openai.api_key = "§"', OPENAI),
    ('client = OpenAI(api_key="§")', OPENAI_PROJECT),
    ("openai.AuthenticationError: Incorrect API key provided: §.", OPENAI),
    ('client = anthropic.Anthropic(api_key="§")', ANTHROPIC),
    ("ANTHROPIC_API_KEY=§", ANTHROPIC),
    ("print(key)  # -> §", ANTHROPIC),
    ('gmaps = googlemaps.Client(key="§")', "AI" + "za" + fake(35, _WEB)),
    ("GET https://maps.googleapis.com/maps/api/geocode/json?key=§&q=x", "AI" + "za" + fake(35)),
    ('stripe.api_key = "§"', "sk" + "_live_" + fake(24)),
    ('stripe.api_key = "§"', "rk" + "_test_" + fake(24)),
    ('login(token="§")', "h" + "f_" + fake(34)),
    ("HF_TOKEN=§ python train.py", "h" + "f_" + fake(34)),
    ("//registry.npmjs.org/:_authToken=§", "np" + "m_" + fake(36)),
    ("!twine upload -u __token__ -p § dist/*", "py" + "pi-AgEIcHlwaS5vcmc" + fake(80, _WEB)),
    ("Cookie: session=abc; jwt=§", JWT),
    ("'access_token': '§', 'expires_in': 3600", JWT),
    ("id_token §", JWT),
    ("docker login -u me -p §", "dckr" + "_pat_" + fake(27, _WEB)),
    # Headers.
    ("Authorization: Bearer §", fake(40)),
    ('headers = {"Authorization": "Bearer §", "Accept": "application/json"}', fake(32, _HEX)),
    ('requests.get(url, headers={"Authorization": "Basic §"})', "dXNlcjpwYXNz" + "d29yZA=="),
    ("curl -H 'Authorization: Bearer §' https://api.example.com/v1", fake(30, _WEB)),
    ('curl -H "X-API-Key: §" https://api.example.com', fake(32, _HEX)),
    ("> authorization: Token §", fake(40, _HEX)),
    ("curl -u alice:§ https://example.com/private", "wonder" + "land7"),
    ("proxy-authorization: Basic §", "YWxhZGRpbjpv" + "cGVuc2VzYW1l"),
    # Passwords in URLs.
    ('engine = create_engine("postgresql://analyst:§@db.internal:5432/sales")', "Tr0ub4" + "dor"),
    ("%sql mysql+pymysql://root:§@localhost/test", "root" + "pw"),
    ("redis.from_url('redis://:§@cache:6379/0')", fake(20)),
    ('MongoClient("mongodb+srv://app:§@cluster0.mongodb.net/?retryWrites=true")', "p4ss" + "-w0rd"),
    ("https://user:§@proxy.corp.example:3128", "pa" + "zz"),
    ("OperationalError: could not connect to amqp://guest:§@rabbit:5672//", "gu" + "est1"),
    ("pip install --index-url https://__token__:§@pypi.corp.example/simple x", fake(24)),
    ("https://blob.example.net/c/f.csv?sv=2024&se=2025-01-01&sig=§", fake(30) + "%3D"),
    # Assignments.
    ('password = "§"', "hunter" + "2"),
    ("password = '§'", "correct horse battery " + "staple"),
    ('PASSWORD: str = "§"', "swordfish"[:5] + "fish!"),
    ('db_password="§"', "S3cure" + "!Pass"),
    ("pwd='§'", "let" + "me1n"),
    ("os.environ['SECRET_KEY']='§'", fake(50)),
    ('os.environ["DB_PASSWORD"] = "§"', "lon" + "gpassword"),
    ('os.environ["OPENWEATHER_KEY"] = "§"', fake(32, _HEX)),
    ('os.environ.setdefault("API_TOKEN", "§")', fake(24)),
    ("os.putenv('CLIENT_SECRET', '§')", fake(24)),
    ("%env WANDB_API_KEY=§", fake(40, _HEX)),
    ("!export DB_PASS=§", "sup3r" + "Secret"),
    ('app.config["SECRET_KEY"] = "§"', "dev" + "-key-1"),
    ('app.secret_key = b"§"', "_5#y2L" + "F4Q8z"),
    ('api_key = "§"  # for the weather service', fake(32, _HEX)),
    ('APIKEY="§"', fake(16)),
    ('apiKey: "§",', fake(20)),
    ('{"api_key": "§", "model": "small"}', fake(24)),
    ('"client_secret": "§",', fake(32)),
    ("{'user': 'bob', 'password': '§'}", "b0bs" + "burgers"),
    ('{"username": "bob", "key": "§"}', fake(32, _HEX)),
    ('"{\\"password\\": \\"§\\"}"', "qwer" + "ty12"),
    ("conn = psycopg2.connect(host='db', user='me', password='§')", "pg" + "pass"),
    ('token = "§"', fake(40)),
    ("TOKEN = '§'", fake(32, _HEX)),
    ('bot = Bot(token="§")', "1234567890" + ":" + fake(35, _WEB)),
    ('access_token="§"', fake(30)),
    ('s.auth = ("admin", "§")', "admin" + "123"),
    ("r = requests.get(url, auth=('user', '§'))", "pa" + "ssw0rd"),
    ("r = requests.get(url, auth=HTTPBasicAuth('user', '§'))", "topsecret" + "!"),
    ('es = Elasticsearch(hosts, basic_auth=("elastic", "§"))', "changeme" + "9"),
    ('server.login("me@example.com", "§")', "abcd efgh " + "ijkl mnop"),
    ('if password == "§":', "open" + "sesame"),
    ('passphrase = """§"""', "a long phrase with 7 " + "words"),
    ("df = wr.db.read(secret='§')", "s3" + "cr3t"),
    ('fernet_key = "§"', fake(43) + "="),
    ('"accountKey": "§"', fake(86) + "=="),
    # Shell, connection strings, configuration files.
    ("!mysql -h db --password=§ sales", "hunt" + "er2"),
    ("jupyter server --IdentityProvider.token=§", fake(48, _HEX)),
    ("!tool login --username bob --password §", "hunter" + "2"),
    ("!tool --api-key § run", fake(24)),
    ('subprocess.run(["tool", "--token", "§"])', fake(24)),
    ("PGPASSWORD=§ psql -h db", "hunter" + "2"),
    ("host=db user=bob password=§ dbname=sales", "hunter" + "2"),
    ("Server=tcp:x.database.windows.net;User ID=sa;Password=§;Encrypt=yes", "P4ss" + "w0rd!"),
    ("DefaultEndpointsProtocol=https;AccountName=a;AccountKey=§;", fake(86) + "=="),
    ("password: §", "hunter" + "2"),
    ("[smtp]\npassword = §", "P@ss" + "w0rd!"),
    ("secret_key = §", "9a" + fake(12)),
    ("  api_key: §", fake(32, _HEX)),
    ("secret_key: '§'", fake(20)),
    ("http://localhost:8888/lab?token=§", fake(48, _HEX)),
    ("GET /v1/data?api_key=§&limit=10", fake(32, _HEX)),
    # Services.
    ('spark.conf.set("fs.azure.account.key.acct.dfs.core.windows.net", "§")', fake(86) + "=="),
    ('hadoop.set("fs.s3a.secret.key", "§")', AWS_SECRET),
    ('wandb.login(key="§")', fake(40, _HEX)),
    ("!sshpass -p '§' ssh me@host", "hunter" + "2"),
    ("!mysql -u root -p§ sales", "hunter" + "2"),
    ("https://hooks.slack.com/services/T0AB12CD3/B0AB12CD3/§", fake(24)),
    ("https://api.telegram.org/bot123456789:§/getUpdates", "AA" + fake(33, _WEB)),
    ("https://api.openweathermap.org/data/2.5/weather?q=Berlin&appid=§", fake(32, _HEX)),
    ('keyring.set_password("mail", "me", "§")', "hunter" + "2"),
    ('user.set_password("§")', "hunter" + "2"),
    ('headers = {"x-rapidapi-key": "§"}', fake(50)),
    ('headers = {"Ocp-Apim-Subscription-Key": "§"}', fake(32, _HEX)),
    ('pw = "§"', "hunter" + "2"),
    ("jdbc:postgresql://db/sales?user=me&password=§&ssl=true", "hunter" + "2"),
    ("Uid=sa;Pwd=§;", "MyP@" + "ss123"),
    ("login: admin / password: §", "P@ssw" + "0rd!"),
    ("export AWS_SESSION_TOKEN=§", "FwoG" + fake(80) + "="),
    ("Endpoint=sb://x.example.net/;SharedAccessKeyName=r;SharedAccessKey=§", fake(43) + "="),
    ("    password = '§'\nValueError: bad login", "hunter" + "2"),
]
"""Lines with `§` in the place of the secret, and the secret."""

BLOCKS: Final[list[tuple[str, str]]] = [
    (f"{_BEGIN}\n§\n{_END}", PEM),
    (f'{{"private_key": "{_BEGIN}\\n§\\n{_END}\\n"}}', PEM_ESCAPED),
    (f"{_RSA[0]}\nProc-Type: 4,ENCRYPTED\n\n§\n{_RSA[1]}", PEM),
    (f"{_SSH[0]}\n§\n…[900 bytes omitted]…\ndone", PEM),
    (f"{_SSH[0]}\n§", PEM),
    (f"…[900 bytes omitted]…\n§\n{_RSA[1]}\nok", PEM),
]
"""Private keys: whole, escaped and cut off."""
