# Sourced by run, test and .ci/run: sets `root` from `here`, finds Python 3.11 or newer, and gives
# `prepare EXTRA...`, which brings .venv up to date. POLYTRADE_PYTHON names another Python.
root=$(dirname -- "$here")

find_python() {
    for candidate in "${POLYTRADE_PYTHON:-}" python3 python3.13 python3.12 python3.11 python; do
        [ -n "$candidate" ] && command -v "$candidate" >/dev/null 2>&1 || continue
        if "$candidate" -I -S -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            printf '%s\n' "$candidate"
            return 0
        fi
    done
    echo "polytrade: no Python 3.11 or newer found in PATH; install one or set POLYTRADE_PYTHON" >&2
    return 1
}

prepare() {
    python=$(find_python) || exit 1
    "$python" -I "$root/scripts/prepare.py" "$@" || exit 1
}
