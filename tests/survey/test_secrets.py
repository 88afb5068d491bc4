"""Secrets don't reach an image unless they are allowed by name, and are never printed."""

import json
import random
import string

import pytest

from dari.errors import ConflictError
from dari.survey import project_parts, read_project
from dari.system import Store
from dari.values.finding import Finding
from tests.survey.conftest import Write

DRAW = random.Random(7)  # noqa: S311 - made-up keys, the same in every run


def _made_up(count: int, letters: str = string.ascii_letters + string.digits) -> str:
    return "".join(DRAW.choice(letters) for _ in range(count))


AWS_ID = "AKIA" + _made_up(16, string.ascii_uppercase + "234567")
AWS_SECRET = _made_up(39) + "/"
PEM = "-----BEGIN {}PRIVATE KEY-----\n" + "\n".join(_made_up(64) for _ in range(3)) + "\n-----END {}PRIVATE KEY-----\n"

SECRETS = {
    "an AWS access key with its secret": f"id: {AWS_ID}\nother: x\nsecret: {AWS_SECRET}\n",
    "an AWS secret access key": f'aws_secret_access_key = "{AWS_SECRET}"',
    "a Hugging Face token": "login('hf_" + _made_up(34) + "')",
    "a GitHub token": "https://x:ghp_" + _made_up(36) + "@git.example/x",
    "a GitLab token": "glpat-" + _made_up(20),
    "a Slack token": "xoxb-1234567890-1234567890-" + _made_up(24),
    "a Slack webhook": "https://hooks.slack.com/services/T0123ABCD/B0123ABCD/" + _made_up(24),
    "an NVIDIA NGC key": "NGC_API_KEY=nvapi-" + _made_up(64),
    "an Anthropic key": "sk-ant-api03-" + _made_up(95),
    "an OpenAI key": "sk-proj-" + _made_up(60),
    "a PyPI token": "password = pypi-AgEIcHlwaS5vcmc" + _made_up(80),
    "an npm token": "//npm.example/:_authToken=npm_" + _made_up(36),
    "a Google API key": "AIza" + _made_up(35),
    "a Weights & Biases key": "export WANDB_API_KEY=" + _made_up(40, "0123456789abcdef"),
    "a private key": PEM.format("RSA ", "RSA "),
}

HARMLESS = {
    "a hash": "sha256:" + _made_up(64, "0123456789abcdef") + "  " + _made_up(40, "0123456789abcdef"),
    "an AWS id alone": f"arn of {AWS_ID}",
    "an AWS id by a commit": f"{AWS_ID} {_made_up(40, '0123456789abcdef')}"[:20] + " deployed",
    "a placeholder": "hf_" + "x" * 34 + " ghp_" + "X" * 36 + " nvapi-" + "x" * 64,
    "words": "hf_hub_download(repo_id) sk-learn glpat- xoxb- ghp_ TOKENIZERS_PARALLELISM=false",
    "a variable": 'token = os.environ["HF_TOKEN"]; AWS_SECRET_ACCESS_KEY=$(cat /run/secrets/aws)',
    "code about keys": 'if line.startswith("-----BEGIN PRIVATE KEY-----"): raise ValueError("no keys here, please")',
    "a public key": "-----BEGIN PUBLIC KEY-----\n" + _made_up(64) + "\n-----END PUBLIC KEY-----",
    "a certificate": "-----BEGIN CERTIFICATE-----\n" + _made_up(64) + "\n-----END CERTIFICATE-----",
    "base64": _made_up(4000, string.ascii_letters + string.digits + "+/"),
}


def _toml(**keys: object) -> str:
    lines = {"base": "scratch", **{name.replace("_", "-"): value for name, value in keys.items()}}
    return "\n".join(
        f"{name} = {json.dumps(value)}" for name, value in lines.items() if not isinstance(value, dict)
    ) + "".join(
        f"\n[{name}]\n" + "\n".join(f"{json.dumps(key)} = {json.dumps(text)}" for key, text in value.items())
        for name, value in lines.items()
        if isinstance(value, dict)
    )


def _findings(write: Write, store: Store, files: dict[str, str | bytes]) -> tuple[Finding, ...]:
    """Return the secrets found, or nothing where the project's files may go in."""
    try:
        project_parts(read_project(write(files)), store)
    except ConflictError as error:
        return error.findings if error.id == "DARI-SECRET" else ()
    return ()


@pytest.mark.parametrize(("kind", "content"), SECRETS.items(), ids=SECRETS)
def test_a_secret_in_a_file_is_refused(write: Write, store: Store, kind: str, content: str) -> None:
    """Each issuer's keys are recognised by their shape, with file and line and without the secret."""
    files: dict[str, str | bytes] = {"train.py": f"import torch\n\n{content}\n", "dari.toml": _toml(files=["train.py"])}
    findings = _findings(write, store, files)
    assert kind in "\n".join(finding.message for finding in findings)
    assert all(finding.where.startswith("train.py:") and finding.id == "DARI-SECRET" for finding in findings)
    printed = "".join(repr(finding) for finding in findings)
    words = "".join(letter if letter.isalnum() else " " for letter in content).split()
    assert not any(word in printed for word in words if len(word) > 12)
    allowed = {**files, "dari.toml": _toml(files=["train.py"], allow_secrets=["train.py"])}
    assert _findings(write, store, allowed) == ()


@pytest.mark.parametrize(("kind", "content"), HARMLESS.items(), ids=HARMLESS)
def test_what_only_looks_a_little_like_one_is_not(write: Write, store: Store, kind: str, content: str) -> None:
    """Hashes, placeholders, public keys and code that speaks of keys go in."""
    assert _findings(write, store, {"a.py": content, "dari.toml": _toml(files=["a.py"])}) == ()


def test_the_line_is_that_of_the_secret(write: Write, store: Store) -> None:
    """Every secret of every file is one finding, in order, with the ways out."""
    token = "hf_" + _made_up(34)
    files: dict[str, str | bytes] = {
        "b.py": f"#\n#\nA = '{token}'\nB = '{token}'\n",
        "a.sh": f"curl -H 'ghp_{_made_up(36)}'",
        "dari.toml": _toml(files=["./"]),
    }
    findings = _findings(write, store, files)
    assert [(finding.where, finding.message) for finding in findings] == [
        ("a.sh:1", "a.sh:1: a GitHub token (ghp_…)"),
        ("b.py:3", f"b.py:3: a Hugging Face token ({token[:4]}…)"),
        ("b.py:4", f"b.py:4: a Hugging Face token ({token[:4]}…)"),
    ]
    assert findings[0].cause == "files = ['./']"
    assert findings[0].ways_out == ('leave it out: exclude = ["a.sh"]', 'allow it: allow-secrets = ["a.sh"]')


@pytest.mark.parametrize(
    "name",
    [
        ".env", "app/.env.production", "id_rsa", "keys/id_ed25519", ".netrc", ".pypirc", ".aws/credentials",
        ".docker/config.json", ".kube/config", "kubeconfig", "prod.kubeconfig", "store.p12", ".git-credentials",
        ".cache/huggingface/token", "kaggle.json",
    ],
)  # fmt: skip
def test_a_file_that_is_always_one_is_refused_by_name(write: Write, store: Store, name: str) -> None:
    """Files that only ever hold credentials are refused whatever is in them, until they are excluded or allowed."""
    files: dict[str, str | bytes] = {name: "x", "a.py": "", "dari.toml": _toml(files=["./"])}
    assert [finding.where for finding in _findings(write, store, files)] == [name]
    for way in ({"exclude": [name]}, {"allow_secrets": [name]}, {"allow_secrets": [name.rpartition("/")[2]]}):
        assert _findings(write, store, {**files, "dari.toml": _toml(files=["./"], **way)}) == ()


@pytest.mark.parametrize(
    "name", [".env.example", "id_rsa.pub", "docker/config.json", "environment.yml", "token", "cert.pem"]
)
def test_a_file_with_a_harmless_name_is_not(write: Write, store: Store, name: str) -> None:
    """Templates, public keys and files that merely share a word go in."""
    assert _findings(write, store, {name: "x", "dari.toml": _toml(files=["./"])}) == ()


def test_the_history_is_refused_as_a_whole(write: Write, store: Store) -> None:
    """`.git` named in `files` is one finding, not one for each of its files."""
    files: dict[str, str | bytes] = {
        ".git/HEAD": "x",
        ".git/config": SECRETS["a GitHub token"],
        "dari.toml": _toml(files=[".git/"]),
    }
    assert [finding.where for finding in _findings(write, store, files)] == [".git"]
    allowed = {**files, "dari.toml": _toml(files=[".git/"], allow_secrets=[".git/"])}
    assert _findings(write, store, allowed) == ()


def test_only_small_texts_are_looked_into(write: Write, store: Store) -> None:
    """Binary files, and texts above a megabyte, aren't searched."""
    secret = SECRETS["a Hugging Face token"].encode()
    files: dict[str, str | bytes] = {
        "weights.bin": b"\0" + secret,
        "big.txt": secret + b"\n" * (1 << 20),
        "dari.toml": _toml(files=["./"]),
    }
    assert _findings(write, store, files) == ()


def test_a_secret_is_found_in_the_second_run_too(write: Write, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache of digests doesn't make a file with a secret look clean."""
    monkeypatch.setattr("dari.survey.contents._YOUNG", 0)
    files: dict[str, str | bytes] = {"a": SECRETS["a GitHub token"], "dari.toml": _toml(files=["a"])}
    assert _findings(write, store, files) == _findings(write, store, {}) != ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_SECRET_ACCESS_KEY", "anything"),
        ("HF_TOKEN", "hf_short0000"),
        ("MY_TOKEN", "abc"),
        ("token", "abc"),
        ("DB_PASSWORD", "hunter2"),
        ("OPENAI_API_KEY", "abc"),
        ("HARMLESS", AWS_ID),
        ("HARMLESS", "hf_" + _made_up(20)),
        ("URL", "https://user:ghp_" + _made_up(36) + "@git.example"),
    ],
)
def test_a_secret_variable_is_refused(write: Write, store: Store, name: str, value: str) -> None:
    """Variables that are called secrets or look like ones are refused, placed, masked, and can be allowed."""
    findings = _findings(write, store, {"dari.toml": _toml(env={"A": "1", name: value})})
    assert [(finding.id, finding.cause) for finding in findings] == [("DARI-SECRET", f"env.{name}")]
    assert findings[0].where.endswith(f"dari.toml:4:{len(name) + 6}")
    assert value not in repr(findings)
    assert _findings(write, store, {"dari.toml": _toml(env={name: value}, allow_secrets=[f"env.{name}"])}) == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NCCL_DEBUG", "INFO"),
        ("TOKENIZERS_PARALLELISM", "false"),
        ("PAD_TOKEN", "<pad>"),
        ("MAX_TOKEN", "4096"),
        ("HF_TOKEN", ""),
        ("HF_TOKEN_PATH", "/run/secrets/hf"),
        ("DB_PASSWORD_FILE", "/run/secrets/db"),
        ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1"),
    ],
)
def test_a_setting_is_no_secret(write: Write, store: Store, name: str, value: str) -> None:
    """Words of the trade, switches, numbers and paths of mounted secrets go in."""
    assert _findings(write, store, {"dari.toml": _toml(env={name: value})}) == ()


def test_labels_and_commands_are_looked_at(write: Write, store: Store) -> None:
    """A key in a label or on the command line is in the image's config for all to read."""
    key = "nvapi-" + _made_up(64)
    toml = _toml(cmd=["python", "train.py", f"--key={key}"], entrypoint=f"sh -c {key}", labels={"a": key})
    findings = _findings(write, store, {"dari.toml": toml})
    assert [finding.cause for finding in findings] == ["labels.a", "cmd", "entrypoint"]
    assert key not in repr(findings)
    allowed = _toml(cmd=[key], labels={"a": key}, allow_secrets=["labels.a", "cmd"])
    assert _findings(write, store, {"dari.toml": allowed}) == ()
