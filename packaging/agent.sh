#!/bin/sh
# 安装、升级、卸载学安采集代理。Install, update and remove the edusoc agent.
#   sh agent.sh install --centre https://centre.example:8601 --code XXXX-… [--name 机房探针] [--proxy URL]
#   sh agent.sh update            换新版程序，按配置重新给权限 · new program, permissions as the configuration needs
#   sh agent.sh remove [--purge]  卸载；--purge 连数据和配置一起删 · remove; --purge also data and configuration
# EDUSOC_PACKAGE 可指定安装包（wheel 文件或包名）；EDUSOC_ROOT 为测试用的根目录。
set -eu
root="${EDUSOC_ROOT:-}"
prefix="/opt/edusoc-agent"
config="/etc/edusoc/agent.toml"
state="/var/lib/edusoc-agent"
unit="/etc/systemd/system/edusoc-agent.service"
here="$(cd "$(dirname "$0")" && pwd)"

say() { printf '%s\n' "$*" >&2; }
fail() { say "$1"; say "$2"; exit "${3:-3}"; }

need_root() {
    [ -n "$root" ] || [ "$(id -u)" = 0 ] ||
        fail "请用管理员权限执行（sudo sh agent.sh …）" "Run this as root (sudo sh agent.sh …)" 2
}

# systemctl is left alone where systemd doesn't run (containers, tests).
control() {
    if [ -z "$root" ] && [ -d /run/systemd/system ]; then systemctl "$@"; fi
}

find_python() {
    for candidate in "${EDUSOC_PYTHON:-}" python3.13 python3.12 python3.11 python3; do
        [ -n "$candidate" ] || continue
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return 0
        fi
    done
    fail "需要 Python 3.11 或更高版本，请先安装" "Python 3.11 or newer is needed; install it first" 2
}

make_account() {
    [ -z "$root" ] || return 0
    getent passwd edusoc >/dev/null 2>&1 ||
        useradd --system --home-dir "$state" --no-create-home --shell /usr/sbin/nologin edusoc
    # Logs of the system are readable by these groups where they exist.
    for group in adm systemd-journal; do
        if getent group "$group" >/dev/null 2>&1; then usermod -aG "$group" edusoc; fi
    done
}

package() {
    if [ -n "${EDUSOC_PACKAGE:-}" ]; then printf '%s' "$EDUSOC_PACKAGE"; return 0; fi
    for wheel in "$here"/edusoc-*.whl; do
        if [ -f "$wheel" ]; then printf '%s' "$wheel"; return 0; fi
    done
    if [ -f "$here/../pyproject.toml" ]; then (cd "$here/.." && pwd); return 0; fi
    printf 'edusoc'
}

pip_in() {
    environment="$1"
    shift
    "$environment/bin/python" -m pip install --quiet --disable-pip-version-check --no-input "$@"
}

# A new environment beside the old one, then a rename: a failed update leaves the old program as it was.
install_program() {
    python="$(find_python)"
    new="$root$prefix.new"
    rm -rf "$new"
    mkdir -p "$root/opt"
    "$python" -m venv "$new"
    constraints=""
    if [ -f "$here/../constraints.txt" ]; then constraints="--constraint $here/../constraints.txt"; fi
    # shellcheck disable=SC2086  # none or two words
    { pip_in "$new" $constraints --requirement "$here/agent-requirements.txt" && pip_in "$new" --no-deps "$(package)"; } ||
        fail "安装程序失败，原来的版本没有动；请检查网络或软件源" \
            "Installing the program failed, the old one is untouched; check the network or the package index"
    # The scripts of an environment name its place: they are made anew after the rename.
    if [ -d "$root$prefix" ]; then rm -rf "$root$prefix.old" && mv "$root$prefix" "$root$prefix.old"; fi
    mv "$new" "$root$prefix"
    write_start
    rm -rf "$root$prefix.old"
}

write_start() {
    rm -f "$root$prefix/bin/edusoc"
    printf '#!/bin/sh\nexec "%s/bin/python" -m edusoc "$@"\n' "$root$prefix" >"$root$prefix/bin/edusoc"
    chmod 755 "$root$prefix/bin/edusoc"
    mkdir -p "$root/usr/local/bin"
    ln -sf "$prefix/bin/edusoc" "$root/usr/local/bin/edusoc-agent"
}

# Say what the configuration needs: one word a line.
needs() {
    "$root$prefix/bin/edusoc" collect --config "$root$config" --needs
}

write_unit() {
    wanted="$(needs)" || fail "配置有误，请先改好 $config" "The configuration is wrong, mend $config first" 2
    capabilities="" families="" memory="300M" deny="yes" home="yes"
    case "$wanted" in *low-port*) capabilities="CAP_NET_BIND_SERVICE" ;; esac
    case "$wanted" in *packets*)
        capabilities="$capabilities CAP_NET_RAW" families="AF_PACKET" memory="800M" deny="no"
        pip_in "$root$prefix" "numba>=0.61" "llvmlite>=0.44" "numpy>=2.1" ;;
    esac
    case "$wanted" in *home*) home="read-only" ;; esac
    mkdir -p "$root$(dirname "$unit")"
    sed -e "s|@PREFIX@|$prefix|; s|@CONFIG@|$config|; s|@MEMORY@|$memory|; s|@DENY_WX@|$deny|; s|@HOME@|$home|" \
        -e "s|@CAPABILITIES@|$(printf '%s' "$capabilities" | sed 's/^ //')|; s|@FAMILIES@|$families|" \
        "$here/edusoc-agent.service" >"$root$unit"
    control daemon-reload
}

own() {
    mkdir -p "$root$state" "$root$(dirname "$config")"
    if [ -z "$root" ]; then
        chown -R edusoc:edusoc "$state"
        if [ -f "$config" ]; then chown root:edusoc "$config" && chmod 640 "$config"; fi
    fi
    chmod 700 "$root$state"
}

install_agent() {
    case " $* " in *" --code "*) ;; *) fail "请给出 --centre 地址 和 --code 接入码" "Give --centre URL and --code CODE" 2 ;; esac
    need_root
    make_account
    install_program
    if [ ! -f "$root$config" ]; then
        "$root$prefix/bin/edusoc" enrol --config "$root$config" --state "$root$state" "$@" || exit $?
    else
        "$root$prefix/bin/edusoc" enrol --config "$root$config" "$@" || exit $?
    fi
    own
    write_unit
    control enable --now edusoc-agent
    say "安装完成。检查：edusoc-agent doctor；配置：$config · Installed. Check: edusoc-agent doctor; configuration: $config"
}

update_agent() {
    need_root
    [ -d "$root$prefix" ] || fail "还没有安装" "Not installed yet" 2
    install_program
    own
    write_unit
    control restart edusoc-agent
    say "升级完成 · Updated"
}

remove_agent() {
    need_root
    control disable --now edusoc-agent || :
    rm -f "$root$unit" "$root/usr/local/bin/edusoc-agent"
    rm -rf "$root$prefix" "$root$prefix.old" "$root$prefix.new"
    control daemon-reload
    if [ "${1:-}" = "--purge" ]; then
        rm -rf "$root$state" "$root$config"
        if [ -z "$root" ] && getent passwd edusoc >/dev/null 2>&1; then userdel edusoc; fi
        say "已卸载，数据和配置已删除；请在中心吊销它的密钥 · Removed with data and configuration; revoke its key at the centre"
    else
        say "已卸载；数据在 $state，配置在 $config · Removed; data stays in $state, the configuration in $config"
    fi
}

job="${1:-}"
[ $# -gt 0 ] && shift
case "$job" in
install) install_agent "$@" ;;
update) update_agent ;;
remove) remove_agent "$@" ;;
*) sed -n '2,6p' "$0" >&2; exit 2 ;;
esac
