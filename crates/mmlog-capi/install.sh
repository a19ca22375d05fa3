#!/bin/sh
# Installs libmmlog for C programs: headers, shared and static library, pkg-config file, manual page.
#   install.sh PREFIX [DESTDIR]
# LIBDIR: where the libraries go, PREFIX/lib if not set. BUILT: where cargo has left them; if not set, they are built for release.
# The static archive is one object that exports the functions of the headers alone, so that it gets along with
# others of Rust.
set -eu
[ $# -ge 1 ] || { echo "usage: install.sh PREFIX [DESTDIR]" >&2; exit 2; }
prefix=$1 destdir=${2:-}
libdir=${LIBDIR:-$prefix/lib}
# The pkg-config file names them, wherever it is asked.
case $prefix:$libdir in
  /*:/*) ;;
  *) echo "install.sh: PREFIX and LIBDIR have to be absolute: $prefix, $libdir" >&2; exit 2 ;;
esac
case $destdir in
  "" | /*) ;;
  *) destdir=$PWD/$destdir ;;
esac
if [ -n "${BUILT:-}" ]; then BUILT=$(cd "$BUILT" && pwd); fi
cd "$(dirname "$0")"
if [ -z "${BUILT:-}" ]; then
  cargo build --release --locked -p mmlog-capi
  BUILT=${CARGO_TARGET_DIR:-../../target}/release
fi
version=$(sed -n 's/^#define MMLOG_VERSION "\(.*\)"$/\1/p' include/mmlog.h)
major=${version%%.*}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# One declaration is one line: its function is the word before the first parenthesis.
sed -n 's/^[a-z].*[ *]\(mmlog_[a-z_]*\)(.*);$/\1/p' include/libmmlog.h include/mmlog.h >"$work/functions"
# shellcheck disable=SC2046 # words
ld -r --gc-sections $(sed 's/^/-u /' "$work/functions") -o "$work/whole.o" "$BUILT/libmmlog_capi.a"
objcopy --strip-debug --remove-section=.comment --remove-section=.llvmbc --remove-section=.llvmcmd \
  --keep-global-symbols="$work/functions" "$work/whole.o" "$work/mmlog.o"
ar rcs "$work/libmmlog.a" "$work/mmlog.o"

objcopy --strip-debug "$BUILT/libmmlog_capi.so" "$work/libmmlog.so"
sed -e "s|@PREFIX@|$prefix|" -e "s|@LIBDIR@|$libdir|" -e "s|@VERSION@|$version|" mmlog.pc.in >"$work/mmlog.pc"

to=$destdir$libdir
install -d "$to/pkgconfig" "$destdir$prefix/include" "$destdir$prefix/share/man/man3"
install -m 755 "$work/libmmlog.so" "$to/libmmlog.so.$version"
ln -sf "libmmlog.so.$version" "$to/libmmlog.so.$major"
ln -sf "libmmlog.so.$major" "$to/libmmlog.so"
install -m 644 "$work/libmmlog.a" "$to/libmmlog.a"
install -m 644 "$work/mmlog.pc" "$to/pkgconfig/mmlog.pc"
install -m 644 include/*.h include/*.hpp "$destdir$prefix/include"
install -m 644 ../../man/mmlog.3 "$destdir$prefix/share/man/man3"
