"""Lines of notebooks without a secret, many of which look as if they had one.

Used by `test_redaction`.
"""

from typing import Final

CODE: Final = r"""
key=lambda x: x
rows.sort(key=lambda r: r["price"], reverse=True)
sorted(d.items(), key=operator.itemgetter(1))
for key in keys:
for key, value in config.items():
key = "name"
key = "2024-01-01_region_eu_west_1"
sort_key = "created_at"
primary_key = "customer_id"
primary_key="id"
foreign_key = ForeignKey("users.id")
cache_key = f"{user}:{page}"
cache_key = "d41d8cd98f00b204e9800998ecf8427e"
public_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1 me@host"
df.groupby("key").sum()
pd.merge(left, right, on="key", how="left")
pd.merge(a, b, left_on="user_key", right_on="key")
partition_key = "year2024month12day31"
st.button("Run", key="run_button_1")
st.session_state["key"] = "value"
object_key = "datasets/2024/05/part-00001.parquet"
s3.get_object(Bucket=bucket, Key="data/train.csv")
KEY_COLUMNS = ["id", "date"]
if key == "password":
if name == "token":
keys = list(d)
assert set(keys) == {"a", "b"}
keyboard = "qwerty"
monkey = "george"
keywords = "python, pandas, sql"
keyword: str = "data science 101"
tokens = text.split()
tokens = tokenizer(text, return_tensors="pt")
token = "the"
token = "##ing"
token = doc[0]
token = next(tokens)
token = tokens[i]
token_count = 5
max_tokens=1024
max_tokens = 4096
num_tokens: int = 128000
total_tokens = usage["total_tokens"]
pad_token="<pad>"
pad_token = "<|endoftext|>"
eos_token = "</s>"
tokenizer.pad_token = tokenizer.eos_token
tokenizer = AutoTokenizer.from_pretrained("bert-base-uncased")
tokenizer = AutoTokenizer.from_pretrained("meta-llama/Llama-3.2-1B-Instruct")
special_tokens = {"additional_special_tokens": ["<ent>", "</ent>"]}
next_page_token = response.get("nextPageToken")
token_type_ids = torch.zeros(1, 128)
token = os.getenv("API_TOKEN")
token = os.environ["GITHUB_TOKEN"]
token=token
token: str
token: Optional[str] = None
token = userdata.get("HF_TOKEN")
token = f"{prefix}-{uuid4().hex}"
headers = {"Authorization": f"Bearer {token}"}
headers = {"Authorization": "Bearer " + token}
headers["Authorization"] = "Token {}".format(token)
headers = {"Authorization": "Bearer <your token>"}
curl -H "Authorization: Bearer $TOKEN" https://api.example.com
curl -H "Authorization: Bearer YOUR_API_KEY" https://api.example.com
password = getpass()
password = getpass("Password: ")
password = getpass.getpass("Enter your password: ")
password = input("Password:")
password=password
password = os.environ.get("DB_PASSWORD")
password = os.environ["DB_PASSWORD"]
password = config["db"]["password"]
password = None
password = ""
password: str
password: str = Field(min_length=8)
password: SecretStr
passwords = df["password"].str.len()
df = df.drop(columns=["password", "email"])
df[["user", "password", "email"]].head()
columns = ("user", "password", "created_at")
hash_password(password)
check_password(raw, hashed)
password_field = "#login-password"
password_length = 12
PASSWORD_MIN_LENGTH = 8
show_password = "yes"
reset_password_url = "https://example.com/reset"
forgot_password = "Forgot your password?"
st.text_input("Password", type="password")
widgets.Password(description="Password:", placeholder="Enter password")
print("password:", password)
print("Password: ", "*" * len(password))
print(f"password={password}")
print("token:", tok, "done")
print("Your API key is:", api_key[:4] + "...")
api_key = os.getenv("OPENAI_API_KEY")
api_key=os.environ["OPENAI_API_KEY"]
api_key = "YOUR_API_KEY"
api_key = "your-api-key-here"
api_key = "<API_KEY>"
api_key = "${API_KEY}"
api_key = "xxxxxxxxxxxx"
api_key = "my_api_key"
api_key = "<<YOUR_API_KEY>>"
api_key = "sk-proj-abc123..."
api_key="sk-..."
api_key = "..."
api_key = st.secrets["openai"]["api_key"]
api_key: str = Field(..., description="The key")
api_key_name = "X-API-Key"
if "OPENAI_API_KEY" not in os.environ:
load_dotenv("/home/me/.env")
secrets.token_hex(16)
secrets.choice(string.ascii_letters)
import secrets
from google.colab import userdata, auth
auth.authenticate_user()
auth = None
auth = HTTPBasicAuth(user, password)
auth=(user, password)
auth=("user", password)
requests.get(url, auth=auth)
author = "Jane Doe 1985"
authors = ["A. Turing", "G. Hopper"]
authority = "epsg:4326"
credentials = service_account.Credentials.from_service_account_file("creds.json")
credentials = "service_account.json"
credentials, project = google.auth.default()
os.environ["GOOGLE_APPLICATION_CREDENTIALS"] = "/home/me/keys/project-1234.json"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["CUDA_VISIBLE_DEVICES"] = "0,1"
os.environ["AUTH_TYPE"] = "oauth2"
os.environ["KERAS_BACKEND"] = "torch"
secret_santa = "Bob"
secretary = "Alice B. 42"
is_secret = "yes"
engine = create_engine("sqlite:///data.db")
engine = create_engine("postgresql://localhost:5432/sales")
engine = create_engine("postgresql://postgres@localhost:5432/sales")
engine = create_engine(f"postgresql://{user}:{password}@{host}/sales")
url = "postgresql://user:%s@localhost/db" % quote(password)
url = "https://example.com:8080/path@2x.png"
url = "https://user:***@example.com/x"
url = "http://localhost:8888/lab/tree/notebooks/tour.ipynb"
url = "https://cdn.example.com/npm/@scope/pkg@1.2.3/dist/index.js"
url = "https://raw.githubusercontent.com/mwaskom/seaborn-data/master/tips.csv"
url = "https://api.example.com/v1/items?page=2&key=price&order=asc"
git clone git@github.com:acme/tool.git
ssh -i ~/.ssh/id_ed25519 me@10.0.0.7
mail = "jane.doe@example.com"
import sklearn as sk
clf = sk.linear_model.LogisticRegression()
pip install sk-learn-contrib-something-rather-long-name
model = "sk-learn-pipeline-v2"
hf_hub_download("bert-base-uncased", "config.json")
hf_dataset = load_dataset("imdb")
npm_config = {}
xox = 3
x = AKIA if y else None
commit = "9fceb02d0ae598e95dc970b74767f19372d61af8"
sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
md5 = "d41d8cd98f00b204e9800998ecf8427e"
run_id = "123e4567-e89b-12d3-a456-426614174000"
img = "iVBORw0KGgoAAAANSUhEUgAAAAUAAAAFCAYAAACNbyblAAAAHElEQVQI12P4"
data = base64.b64decode("SGVsbG8sIFdvcmxkISBIZWxsbywgV29ybGQhIEhlbGxv")
b64 = "eyJrZXkiOiAidmFsdWUiLCAibiI6IDF9"
jwt.decode(token, options={"verify_signature": False})
pem = open("key.pem").read()
if line.startswith("-----BEGIN PRIVATE KEY-----"):
assert "-----BEGIN RSA PRIVATE KEY-----" in pem and "-----END RSA PRIVATE KEY-----" in pem
pattern = re.compile(r"password=(.*)")
pattern = re.compile(r"(?i)api[_-]?key\s*[:=]\s*['\"]([^'\"]+)")
parser.add_argument("--password", help="password of the user", default=None)
parser.add_argument("--token", "-t", type=str)
@click.option("--api-key", envvar="API_KEY")
!tool --password-stdin < secret.txt
!tool --token $TOKEN
!docker run -u 1000:1000 image
!docker build --secret id=aws,src=creds .
!kubectl get secret db -o yaml
schema = {"password": {"type": "string", "minLength": 8}}
dtype = {"user": "string", "password": "object"}
"password": "string",
CREATE TABLE users (id int, password varchar(255), token text)
SELECT user, password FROM users WHERE token IS NOT NULL
class Login(BaseModel): password: SecretStr
def connect(host, user, password="", token=None):
def f(key: str = "id", token: int = 0) -> None:
raise ValueError("password must have 8 characters")
raise AuthError("token expired: try again")
lambda tok: tok.pos_ == "NOUN"
pos = {"token": "cat", "tag": "NN"}
nlp("token: a word")
embedding = model.wv["king"] - model.wv["man"]
word_tokenize("The quick brown fox")
pw = np.piecewise(x, [x < 0, x >= 0], [-1, 1])
pwd
!pwd
low_pass = "butter"
first_pass = "done in 3 s"
n_pass = 17
passed = "12 passed in 0.4s"
compass = "NW"
passenger = {"class": "3rd", "key": "A12"}
bearer = "of good news"
"Bearer authentication is used by the service"
Basic usage: see the documentation of 2024
login("https://example.com")
wandb.login()
notebook_login()
huggingface_hub.login(token=hf_token)
plt.title("Key performance indicators 2024")
fig.update_layout(legend_title_text="key")
"key": "value123456789",
{"key": "a", "doc_count": 12}
{"authKey": null, "token": null, "password": ""}
password_hash = "$2b$12$..."
wandb.login(key=os.environ["WANDB_API_KEY"])
cache.get(key="d41d8cd98f00b204e9800998ecf8427e")
check_password("Enter your password")
df.key = "value-2024-01-01"
row.token = "Berlin2024"
!python -m http.server -p 8000
!docker run -p 8080:80 nginx
!mkdir -p data/raw
!mysql -u root -p sales < dump.sql
check.password_policy = "12 characters"
spark.conf.set("spark.sql.shuffle.partitions", "200")
"https://hooks.example.com/services/list"
"""

OUTPUT: Final = r"""
Password:
Enter passphrase for key '/home/me/.ssh/id_ed25519':
password: incorrect
token: expired
Secret: not found
API key: missing
Keys: 12, tokens: 345
Total tokens: 1,234,567
prompt_tokens: 120, completion_tokens: 48
tokens/s: 812.4
key           int64
token        object
password     object
KeyError: 'password'
KeyError: 'api_key'
NameError: name 'token' is not defined
TypeError: connect() missing 1 required keyword argument: 'password'
openai.OpenAIError: The api_key client option must be set either by passing api_key to the client
AuthenticationError: No API key provided. You can set your API key in code using "api_key = <KEY>"
sqlalchemy.engine: postgresql://analyst:***@db.internal:5432/sales
Index(['id', 'key', 'token', 'password'], dtype='str')
Authorization: required
WWW-Authenticate: Basic realm="api"
<a href="/next" accesskey="n" title="next">
<input type="password" name="password" placeholder="Password">
commit 9fceb02d0ae598e95dc970b74767f19372d61af8 (HEAD -> main)
sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
Digest: sha256:2bb501e6173d9d006e56de5bce2720eb06396803300fe1687b58a7ff32bf4c14
etag: "33a64df551425fcc55e4d42a148795d9f25f89d4"
request-id: 7f3c9a52-1f0e-4c56-9d8b-0a6f3c1f2e77
data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAUAAAAFCAYAAACNbyblAAAAHElEQVQI12P4
-----BEGIN CERTIFICATE-----
ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQC7vbqajDhA me@host
  --password TEXT     Password of the user
  --token string      token to use for the request
use --password to log in with a password
Epoch 3/10: loss=0.4321 acc=0.8765 key_loss=0.12
{'input_ids': [101, 2003, 102], 'token_type_ids': [0, 0, 0]}
{"next_page_token": "CAUQAA"}
Token(text='cat', pos='NOUN')
Downloading tokenizer.json: 100%|##########| 466k/466k [00:00<00:00, 5.1MB/s]
------------------------------------------------------------
2024-05-01 12:00:00,123 INFO auth: user=jane status=ok
auth: ok
user=jane;role=admin;ttl=3600
x-request-key: region=eu-west-1
"""

INNOCENT: Final = [line for line in (CODE + OUTPUT).split("\n") if line.strip()]
"""Lines in which nothing is to be replaced."""
