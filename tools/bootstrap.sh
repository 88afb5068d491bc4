# Sourced by tools/demo and tools/test: finds or installs uv inside the checkout (.cache/uv), then syncs .venv from uv.lock.
# Needs python3 >= 3.11 with venv or pip; where Debian split those off, installs python3-venv (root or sudo).

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

find_uv() {
    if command -v uv >/dev/null 2>&1; then command -v uv; return; fi
    if [ -x .cache/uv/bin/uv ]; then echo "$PWD/.cache/uv/bin/uv"; return; fi
    if ! python3 -c 'import ensurepip' 2>/dev/null; then
        as_root apt-get update -q >&2 && as_root apt-get install -y -q --no-install-recommends python3-venv ca-certificates >&2
    fi
    python3 -m venv .cache/uv >&2 && .cache/uv/bin/pip install -q --disable-pip-version-check 'uv>=0.13' >&2
    echo "$PWD/.cache/uv/bin/uv"
}

sync() {
    uv=$(find_uv)
    UV_PYTHON_DOWNLOADS=never "$uv" sync --quiet --frozen --compile-bytecode "$@"
    # Where PYTHONDONTWRITEBYTECODE is set, every start would compile dari anew: 0.3 s.
    env -u PYTHONDONTWRITEBYTECODE .venv/bin/python -m compileall -q src
}
