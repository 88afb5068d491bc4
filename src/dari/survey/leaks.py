"""Secrets that must not reach an image: recognised by a file's name, by a variable's name, and by their own shape.

Shapes are what their issuers document: AWS IAM "unique identifiers"; GitHub "token formats"; GitLab "token prefixes";
Hugging Face, OpenAI, Anthropic, NVIDIA NGC and PyPI keys as those sites hand them out; Slack "token types"; PEM by
RFC 7468. Lengths follow gitleaks' published rules. Read 2026-11-23. A rule here has to be right nearly always: what
only might be a secret (any long random text) isn't reported.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

# Raise it when a rule changes: what was found clean by older rules is read again.
RULES_VERSION: Final = 1
LARGEST_SCANNED: Final = 1 << 20  # bytes


@dataclass(frozen=True, slots=True)
class Leak:
    """A secret in a text: what kind, on which line, and how it begins (four characters at most)."""

    kind: str
    line: int
    begins: str

    def __str__(self) -> str:
        return f"{self.kind} ({self.begins}…)"


@dataclass(frozen=True, slots=True)
class _Shape:
    """`hint` must be in the text for the (slower) expression to be tried; group 1 is the secret where there is one."""

    kind: str
    hint: bytes
    expression: re.Pattern[bytes]


_AWS_SECRET: Final = rb"(?<![A-Za-z0-9/+=])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])"
_AWS_ID: Final = rb"(?<![A-Za-z0-9])(?:AKIA|ASIA)[A-Z2-7]{16}(?![A-Za-z0-9])"
_SHAPES: Final = (
    _Shape(
        "a private key",
        b"PRIVATE KEY",
        re.compile(
            rb"-----BEGIN (?:[A-Z0-9]{1,20} ){0,3}PRIVATE KEY(?: BLOCK)?-----(?:\s|\\[nr]|[\"'+,])*"
            rb"(?:[A-Za-z-]{1,40}: [^\n]{1,200}\s+){0,5}([A-Za-z0-9+/=]{40})"
        ),
    ),
    _Shape(
        "an AWS access key with its secret",
        b"A",
        re.compile(rb"(?s)(" + _AWS_ID + rb").{0,300}?" + _AWS_SECRET + rb"|" + _AWS_SECRET + rb".{0,300}?" + _AWS_ID),
    ),
    _Shape(
        "an AWS secret access key",
        b"",
        re.compile(
            rb"(?i)aws_?(?:secret_?)(?:access_?)?key[\"']?\s{0,5}(?:=>|[:=])\s{0,5}[\"']?([a-z0-9/+]{40})(?![a-z0-9/+=])"
        ),
    ),
    _Shape("a Hugging Face token", b"hf_", re.compile(rb"(?<![A-Za-z0-9_])(hf_[A-Za-z0-9]{30,})")),
    _Shape("a GitHub token", b"gh", re.compile(rb"(?<![A-Za-z0-9_])(gh[pousr]_[A-Za-z0-9]{36,})")),
    _Shape("a GitHub token", b"github_pat_", re.compile(rb"(?<![A-Za-z0-9_])(github_pat_[A-Za-z0-9_]{36,})")),
    _Shape("a GitLab token", b"glpat-", re.compile(rb"(?<![A-Za-z0-9_-])(glpat-[A-Za-z0-9_-]{20,})")),
    _Shape("a Slack token", b"xox", re.compile(rb"(?<![A-Za-z0-9_-])(xox[abeoprs]-\d{8,}-[A-Za-z0-9-]{10,})")),
    _Shape("a Slack token", b"xapp-", re.compile(rb"(?<![A-Za-z0-9_-])(xapp-\d-[A-Z0-9]{8,}-\d{8,}-[a-z0-9]{32,})")),
    _Shape(
        "a Slack webhook",
        b"hooks.slack.com",
        re.compile(rb"(hooks\.slack\.com/services/T[A-Z0-9]{6,}/B[A-Z0-9]{6,}/[A-Za-z0-9]{20,})"),
    ),
    _Shape("an NVIDIA NGC key", b"nvapi-", re.compile(rb"(?<![A-Za-z0-9_-])(nvapi-[A-Za-z0-9_-]{40,})")),
    _Shape("an Anthropic key", b"sk-ant-", re.compile(rb"(?<![A-Za-z0-9_-])(sk-ant-[a-z0-9]+-[A-Za-z0-9_-]{60,})")),
    _Shape(
        "an OpenAI key",
        b"sk-",
        re.compile(
            rb"(?<![A-Za-z0-9_-])(sk-(?:proj|svcacct|admin)-[A-Za-z0-9_-]{40,}"
            rb"|sk-[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20})"
        ),
    ),
    _Shape("a PyPI token", b"pypi-", re.compile(rb"(?<![A-Za-z0-9_-])(pypi-AgE[A-Za-z0-9_-]{50,})")),
    _Shape("an npm token", b"npm_", re.compile(rb"(?<![A-Za-z0-9_])(npm_[A-Za-z0-9]{36})(?![A-Za-z0-9_])")),
    _Shape("a Google API key", b"AIza", re.compile(rb"(?<![A-Za-z0-9_-])(AIza[A-Za-z0-9_-]{35})(?![A-Za-z0-9_-])")),
    _Shape(
        "a Weights & Biases key",
        b"WANDB_API_KEY",
        re.compile(rb"WANDB_API_KEY[\"']?\]?\s{0,5}[:=]\s{0,5}[\"']?([0-9a-f]{40})(?![0-9a-f])"),
    ),
)

_FILES: Final = (
    ("environment variables, which usually hold keys", re.compile(r"(?:.*/)?\.env(?:\.[^/]+|rc)?")),
    ("a private SSH key", re.compile(r"(?:.*/)?id_(?:rsa|dsa|ecdsa|ed25519)(?:_sk)?")),
    ("a key store", re.compile(r"(?:.*/)?[^/]+\.(?:p12|pfx|jks|keystore|kdbx|ppk)", re.IGNORECASE)),
    (
        "credentials",
        re.compile(
            r"(?:.*/)?(?:[._]netrc|\.pypirc|\.git-credentials|\.pgpass|\.s3cfg|\.databrickscfg|\.dockercfg|kaggle\.json"
            r"|application_default_credentials\.json)"
        ),
    ),
    ("AWS credentials", re.compile(r"(?:.*/)?\.aws/credentials")),
    ("registry credentials", re.compile(r"(?:.*/)?\.docker/config\.json")),
    ("cluster credentials", re.compile(r"(?:.*/)?(?:\.kube/config|(?:[^/]+\.)?kubeconfig)")),
    ("a Hugging Face token", re.compile(r"(?:.*/)?\.?(?:cache/)?huggingface/(?:token|stored_tokens)")),
    ("the history of the code, with everything that was ever in it", re.compile(r"(?:.*/)?\.git")),
)
_HARMLESS_FILES: Final = re.compile(r"(?:.*/)?\.env\.(?:example|sample|template|dist|defaults?)")

_VARIABLES: Final = re.compile(
    r".*(?:PASSWORD|PASSWD|SECRET|PRIVATE_?KEY|CREDENTIALS_JSON).*"
    r"|(?:.*_)?(?:TOKEN|API_?KEY|ACCESS_?KEY|AUTH_?KEY|PASSPHRASE|PWD_?SECRET)",
    re.IGNORECASE,
)
# Words of the trade that only look like secrets: PAD_TOKEN='<pad>', MAX_TOKEN=4096, TOKENIZERS_PARALLELISM.
_HARMLESS_VARIABLES: Final = re.compile(
    r"(?:.*_)?(?:PAD|EOS|BOS|UNK|MASK|SEP|CLS|STOP|SPECIAL|IMAGE|AUDIO|MAX|MIN|NEW|PER|NUM)_TOKEN", re.IGNORECASE
)
_HARMLESS_VALUES: Final = re.compile(r"\d{1,9}|true|false|yes|no|on|off|/[\w./-]+", re.IGNORECASE)
_SHORT_SHAPES: Final = re.compile(
    r"(?:AKIA|ASIA)[A-Z0-9]{12,}|hf_[A-Za-z0-9]{8,}|gh[pousr]_[A-Za-z0-9]{8,}|github_pat_\w{8,}|glpat-[\w-]{8,}"
    r"|nvapi-[\w-]{8,}|sk-ant-[\w-]{8,}|xox[abeoprs]-[\w-]{8,}"
)


def leaks_in(content: bytes) -> tuple[Leak, ...]:
    """Return the secrets in a text, in order, each kind once a line. Binary content (a NUL early on) has none."""
    if b"\0" in content[:8192]:
        return ()
    return tuple(dict.fromkeys(sorted(_leaks(content), key=lambda leak: (leak.line, leak.kind))))


def _leaks(content: bytes) -> Iterator[Leak]:
    for shape in _SHAPES:
        if shape.hint not in content:
            continue
        for match in shape.expression.finditer(content):
            group = 1 if match.lastindex else 0
            secret = match.group(group)
            if not _is_placeholder(secret):
                line = content.count(b"\n", 0, match.start(group)) + 1
                yield Leak(shape.kind, line, secret[:4].decode("ascii", "replace"))


def _is_placeholder(secret: bytes) -> bool:
    """Say whether someone wrote 'hf_xxxxxxxx': its longest run of one character is most of it."""
    body = secret.rpartition(b"_")[2].rpartition(b"-")[2]
    return len(set(body.lower())) == 1 and body[:1] in b"xX*0."


def kind_of_file(path: str, *, folder: bool) -> str:
    """Say what secret a file of this name is taken for, or nothing."""
    if _HARMLESS_FILES.fullmatch(path):
        return ""
    for kind, expression in _FILES:
        if expression.fullmatch(path) and (not folder or path.endswith(".git")):
            return kind
    return ""


def kind_of_variable(name: str, value: str) -> str:
    """Say why an environment variable is taken for a secret, or nothing."""
    if not value:
        return ""
    if leaks := leaks_in(value.encode()):
        return str(leaks[0])
    if match := _SHORT_SHAPES.search(value):
        return f"a value that looks like a key ({match.group()[:4]}…)"
    if _VARIABLES.fullmatch(name) and not _HARMLESS_VARIABLES.fullmatch(name) and not _HARMLESS_VALUES.fullmatch(value):
        return "a name that stands for a secret"
    return ""


def kind_of_text(text: str) -> str:
    """Say what secret is in a label or in a word of a command, or nothing."""
    return kind_of_variable("", text)
