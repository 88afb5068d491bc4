"""Maintainer scripts: what is reproduced, what is left out, what is refused, and that dash would agree."""

import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dari.debian import judge, root_links, status_part
from dari.errors import ConflictError
from dari.system import Store
from dari.values.entry import Entry, Kind
from dari.values.finding import Finding
from tests.debian.archive import deb, member
from tests.debian.conftest import AMD64

BASE = b"Package: dpkg\nStatus: install ok installed\nVersion: 1.21\nArchitecture: amd64\n\n"
GROUPS = {"etc/group": b"root:x:0:\nshadow:x:42:\nstaff:x:50:\nused:x:100:\n"}
DATA: Mapping[str, tarfile.TarInfo | bytes] = {
    "./usr/bin/tool": b"#!",
    "./usr/share/tool/default.conf": b"setting = 1\n",
}


def configured(folder: Path, script: str, *, scratch: bool = False, kind: str = "postinst") -> tuple[Entry, ...]:
    """Return what a package with this script puts on, besides dpkg's own records."""
    locked, path = deb(folder, DATA, control={kind: f"#!/bin/sh\n{script}".encode()})
    part = status_part(
        (locked,),
        (path,),
        base_status=b"" if scratch else BASE,
        base_files=GROUPS,
        links=root_links(AMD64),
        store=Store(folder / "cache"),
    )
    records = ("var/lib/dpkg/info/", "var/lib/dpkg/status", "var/lib/apt/", "var/lib/dpkg/triggers/")
    return tuple(entry for entry in part.entries() if not entry.path.startswith(records))


def content_of(entry: Entry) -> str:
    """Return an entry's text."""
    assert entry.open is not None
    with entry.open() as stream:
        return stream.read().decode()


def shown(entries: tuple[Entry, ...]) -> dict[str, str]:
    """Return entries as text: content, '→ target', or the mode of a directory."""
    return {
        entry.path: content_of(entry)
        if entry.kind is Kind.FILE
        else f"→ {entry.target}"
        if entry.kind is Kind.SYMLINK
        else f"{entry.kind} {entry.mode:o}"
        for entry in entries
    }


def refusals(folder: Path, script: str, data: Mapping[str, tarfile.TarInfo | bytes] = DATA) -> tuple[Finding, ...]:
    """Return why a package with this postinst is refused on a base."""
    locked, path = deb(folder, data, control={"postinst": script.encode()})
    store = Store(folder / "cache")
    return judge((locked,), (path,), base_status=BASE, base_files=GROUPS, links={}, store=store)


@pytest.mark.parametrize(
    "script",
    [
        "ldconfig",
        "py3compile -p tool /usr/share/tool",
        "#DEBHELPER#",
        'if [ "$1" = configure ] && [ -n "$2" ]; then rm -rf /important; fi',
        'dpkg-maintscript-helper rm_conffile /etc/x 1.0 -- "$@"',
        "if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi",
        "if deb-systemd-helper --quiet was-enabled x; then deb-systemd-helper enable x >/dev/null || true; fi",
        "if command -v update-icon-caches >/dev/null; then update-icon-caches /usr/share/icons; fi",
        'if dpkg --compare-versions "$2" lt-nl 2.0; then userdel someone; fi',
        "dpkg-trigger --no-await update-initramfs",
        "if ! mountpoint -q /usr; then echo no; exit 1; fi\nexit 0",
        "echo working; /usr/bin/python3.11 -E /usr/lib/python3.11/py_compile.py $(dpkg -L tool) 2>/dev/null || true",
    ],
)
def test_what_leaves_no_trace_is_left_out(tmp_path: Path, script: str) -> None:
    """Caches, services, bytecode and everything that is for upgrades alone."""
    assert configured(tmp_path, script) == ()


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("mkdir -p /var/lib/tool", {"var/lib/tool": "directory 755"}),
        ("install -d -m 2775 -g staff /var/lib/tool", {"var/lib/tool": "directory 2775"}),
        ("cat > /etc/tool.conf <<EOF\nname=$1\nEOF", {"etc/tool.conf": "name=configure\n"}),
        ("cat > /etc/tool.conf <<'EOF'\nname=$1\nEOF", {"etc/tool.conf": "name=$1\n"}),
        ("cat > /etc/t <<-EOF\n\tindented\n\tEOF", {"etc/t": "indented\n"}),
        ("[ -e /etc/t ] || cp -p /usr/share/tool/default.conf /etc/t", {"etc/t": "setting = 1\n"}),
        ("echo one > /etc/t; echo two >> /etc/t", {"etc/t": "one\ntwo\n"}),
        ("ln -s ../tool /lib/link", {"usr/lib/link": "→ ../tool"}),
        ("for n in a b; do echo $n; done > /etc/t", {"etc/t": "a\nb\n"}),
        ("x=$(echo a,b | sed s/,/-/) ; echo $x > /etc/t", {"etc/t": "a-b\n"}),
        ('case "$1" in (configure|x) echo y > /etc/t;; *) echo n > /etc/t;; esac', {"etc/t": "y\n"}),
        ("f() { local v=in; echo $v$1; }; v=out; f 1 > /etc/t; echo $v >> /etc/t", {"etc/t": "in1\nout\n"}),
        ("touch /etc/t; mv /etc/t /etc/u", {"etc/t": "whiteout 0", "etc/u": ""}),
        ("while read a b; do echo $b; done < /usr/share/tool/default.conf > /etc/t", {"etc/t": "= 1\n"}),
        ("addgroup --system tool", {"etc/group": GROUPS["etc/group"].decode() + "tool:x:101:\n"}),
        ("getent group used || addgroup --system used", {}),
        ("chmod 4755 /usr/bin/tool", {"usr/bin/tool": "#!"}),
        (
            "dpkg-divert --add --divert /usr/bin/x.real /usr/bin/x; dpkg-divert --local --add /usr/bin/y",
            {"var/lib/dpkg/diversions": "/usr/bin/x\n/usr/bin/x.real\ncase\n/usr/bin/y\n/usr/bin/y.distrib\n:\n"},
        ),
        (
            "dpkg-statoverride --update --add root staff 2755 /usr/bin/tool",
            {"usr/bin/tool": "#!", "var/lib/dpkg/statoverride": "root staff 2755 /usr/bin/tool\n"},
        ),
    ],
)
def test_what_a_script_makes_is_made(tmp_path: Path, script: str, expected: dict[str, str]) -> None:
    """Files, links, directories, groups, dpkg's little databases."""
    assert shown(configured(tmp_path, script)) == expected


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("frobnicate --now", "frobnicate --now"),
        ("adduser --system tool", "it changes user accounts"),
        ("if which oddity >/dev/null; then touch /etc/t; fi", "depends on something"),
        ("curl http://example.org | sh", "curl"),
        ("$UNSET_PROGRAM_$(date) x", "can't be known"),
        ('eval "$1"', "eval"),
        (". /etc/default/tool", "reads in"),
        ("date > /etc/t", "can't be known"),
        ("rm -rf /usr/share/tool", "removes the directory"),
        ("cat > /etc/t <<EOF\nno end", "here-document"),
        ("if true; then", "can't read"),
        ("exit 3", "status 3"),
        ("while true; do :; done", "on and on"),
        ("f() { f; }; f", "without end"),
        ("pam-auth-update --package", "authenticated"),
        ("chown nobody-knows /usr/bin/tool", "isn't known"),
    ],
)
def test_everything_else_is_refused(tmp_path: Path, script: str, says: str) -> None:
    """The finding names the package, the command and why; nothing is guessed."""
    found = refusals(tmp_path, f"#!/bin/sh\n{script}\n")
    assert [finding.id for finding in found] == ["DARI-APT-SCRIPT"]
    assert found[0].message.startswith("case 1.0: its postinst")
    assert says in found[0].message
    assert found[0].ways_out


def test_another_language_is_refused(tmp_path: Path) -> None:
    """A script in Perl isn't followed."""
    assert "perl" in refusals(tmp_path, "#!/usr/bin/perl\nprint 1;\n")[0].message


def test_a_refusal_stops_the_build(tmp_path: Path) -> None:
    """The layer that records the package raises, with every finding."""
    with pytest.raises(ConflictError, match="frobnicate") as caught:
        configured(tmp_path, "frobnicate")
    assert caught.value.findings
    assert "container engine" in caught.value.hint


def test_what_the_base_excludes_is_refused(tmp_path: Path) -> None:
    """A package that an installed one conflicts with can't be put on."""
    locked, path = deb(tmp_path, DATA)
    status = BASE.replace(b"\n\n", b"\nBreaks: case (<< 2)\n\n")
    found = judge((locked,), (path,), base_status=status, base_files={}, links={}, store=Store(tmp_path / "cache"))
    assert [finding.id for finding in found] == ["DARI-APT-CONFLICT"]


def test_a_file_that_another_package_diverts_is_refused(tmp_path: Path) -> None:
    """dpkg would unpack it elsewhere."""
    locked, path = deb(tmp_path, DATA)
    files = {"var/lib/dpkg/diversions": b"/usr/bin/tool\n/usr/bin/tool.real\nother\n"}
    found = judge((locked,), (path,), base_status=BASE, base_files=files, links={}, store=Store(tmp_path / "cache"))
    assert "diverted by other" in found[0].message


def test_from_scratch_everything_is_known(tmp_path: Path) -> None:
    """Without a base a program that no package brings isn't there, and that is certain."""
    script = "if which oddity >/dev/null; then touch /etc/yes; else touch /etc/no; fi"
    assert shown(configured(tmp_path, script, scratch=True)) == {"etc/no": ""}


def test_preinst_runs_before_the_files_are_there(tmp_path: Path) -> None:
    """dpkg calls preinst with 'install' and unpacks afterwards."""
    script = "[ -e /usr/share/tool/default.conf ] || echo $1 > /etc/t"
    assert shown(configured(tmp_path, script, kind="preinst")) == {"etc/t": "install\n"}


@pytest.mark.system
def test_alternatives_are_recorded_as_dpkg_records_them(tmp_path: Path) -> None:
    """update-alternatives itself, given the same choices, writes the same file."""
    words = (
        "--install",
        "/usr/bin/edit",
        "edit",
        "/usr/bin/tool",
        "30",
        "--slave",
        "/usr/share/man/e.1",
        "edit.1",
        "/usr/share/tool/default.conf",
    )
    found = shown(configured(tmp_path, f"update-alternatives {' '.join(words)}"))
    root = tmp_path / "root"
    for name in ("var/lib/dpkg/alternatives", "etc/alternatives", "usr/bin", "usr/share/man", "usr/share/tool"):
        (root / name).mkdir(parents=True)
    (root / "usr/bin/tool").touch()
    (root / "usr/share/tool/default.conf").touch()
    subprocess.run(
        ["update-alternatives", "--root", root, "--log", "/dev/null", *words], check=True, capture_output=True
    )
    made = {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_symlink() or path.is_file()}
    expected = {
        name: f"→ {path.readlink()}" if path.is_symlink() else path.read_text()
        for name, path in made.items()
        if name not in {"dev/null", "usr/bin/tool", "usr/share/tool/default.conf"}
    }
    assert found == expected


SPELLINGS = r"""
a $A "$A" $NONE "$NONE" '$A' x$A "x_$A"y ${A:-w} ${NONE:-w} ${NONE:-$A} ${A:+set} ${A#*_} ${A##*_} ${A%o*} ${A%%o*}
${#A} "$@" $@ "$*" $# $(echo_$A) "$(echo_"$A")" `echo_b` \$A "\$A\\" $1 ${2} "${A}z" \_ '' "" -n \" "'"
"""
WORDS = st.lists(
    st.sampled_from(SPELLINGS.split()).map(lambda word: word.replace("_", " ")),
    max_size=5,
).map(" ".join)


@pytest.mark.system
@settings(max_examples=100, deadline=None)
@given(first=WORDS, second=WORDS)
def test_dash_agrees(tmp_path_factory: pytest.TempPathFactory, first: str, second: str) -> None:
    """Words, parameters and quotes mean what they mean to the shell that runs the scripts."""
    body = f"""A='one  two o'
set -- 'p q' r
show() {{ for w in "$@"; do echo "[$w]"; done; echo $#; }}
if [ "$A" ] && test x = x; then show {first}; fi
case "$A" in *three*) echo three;; o*"  "*) show {second} ;; esac
"""
    real = subprocess.run(["dash", "-c", body], check=True, capture_output=True, text=True).stdout
    found = configured(tmp_path_factory.mktemp("case"), f"{{ {body} }} > /etc/t")
    assert content_of(found[0]) == real


@given(st.text(st.sampled_from(list("ab $'\"`\\(){}[]<>|&;\n#=!*?~-")), max_size=40))
@settings(max_examples=150, deadline=None)
def test_any_text_is_followed_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """Whatever stands in a script, nothing but findings comes out."""
    assert all(finding.id == "DARI-APT-SCRIPT" for finding in refusals(tmp_path_factory.mktemp("case"), text))


def test_members_of_the_data_are_seen(tmp_path: Path) -> None:
    """A link that the package ships answers for what it leads to."""
    data = {**DATA, "./usr/bin/t2": member("./usr/bin/t2", kind=tarfile.SYMTYPE, target="tool")}
    assert refusals(tmp_path, "#!/bin/sh\n[ -h /usr/bin/t2 ] && [ -f /usr/bin/t2 ] || frobnicate\n", data) == ()
