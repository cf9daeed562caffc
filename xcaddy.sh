#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Builds Caddy with this module. Needs Go and nothing else.
#
#   ./xcaddy.sh                                  writes ./caddy
#   ./xcaddy.sh <file>                           writes another file
#   ./xcaddy.sh <file> --with <module[@version]> adds more modules, as xcaddy does
#   ./xcaddy.sh --with-redis [...]               can keep its state in Redis or Valkey
#   ./xcaddy.sh --with-postgres [...]            can keep its state in PostgreSQL
#   ./xcaddy.sh demo [<arguments>]               writes ./caddy and runs the demo
#
# go.mod alone says which Caddy this is, tools.mod which xcaddy builds it, and
# between them every version is fixed: equal sources make equal binaries.
set -eu

module=github.com/caddy-mcp/caddy-mcp-oauth
start=$PWD
cd "$(dirname "$0")"

fail() {
	echo "xcaddy.sh: $*" >&2
	exit 1
}

needed=$(sed -n 's/^go //p' go.mod)
command -v go >/dev/null 2>&1 ||
	fail "Go is missing. Get version $needed or newer from https://go.dev/dl/ and put its bin directory on the PATH."
go version >/dev/null ||
	fail "Go $needed or newer is needed, and this one cannot fetch it. Get it from https://go.dev/dl/."

# Stores for several machines are modules of their own: a plain build does not
# carry their drivers.
stores=
while :; do
	case ${1:-} in
	--with-redis | --with-postgres)
		stores="$stores --with $module/caddymodule/${1#--with-}@v0.0.0"
		shift
		;;
	*) break ;;
	esac
done

demo=no
output=$PWD/caddy
case ${1:-} in
'') ;;
demo)
	demo=yes
	shift
	;;
-*) fail "after --with-redis and --with-postgres comes the file to write, or demo; see the top of this script." ;;
/*)
	output=$1
	shift
	;;
*)
	output=$start/$1
	shift
	;;
esac

caddy=$(go list -m -f '{{.Version}}' github.com/caddyserver/caddy/v2) ||
	fail "the version of Caddy cannot be read from go.mod."
for mod in go.mod tools.mod; do
	go mod download -modfile="$mod" || fail "the modules of $mod cannot be downloaded. Is there a network, and is GOPROXY right?"
	go mod verify -modfile="$mod" >/dev/null || fail "the module cache is not what ${mod%.mod}.sum says. Empty it with: go clean -modcache"
done

# xcaddy builds in a directory of its own, from this directory. The version is made
# up: without one, go asks the proxy which there are. The commit is left out of the
# binary, which would otherwise differ between a checkout and an archive of it.
build() {
	# shellcheck disable=SC2086 # $stores is several words
	GOFLAGS="${GOFLAGS:-} -buildvcs=false" go tool -modfile=tools.mod xcaddy build "$caddy" \
		--with "$module@v0.0.0" $stores --replace "$module=$PWD" --output "$output" "$@"
}

# With everything in the module cache no network is needed, nor is it asked then.
# The first time, go may want a module that ends up unused, only to see that a
# package is not in there; that is the one failure to try again online.
hermetic() {
	log=$(mktemp)
	if (export GOPROXY=off GOSUMDB=off && build) >"$log" 2>&1; then
		rm -f "$log"
		return
	fi
	lookup=$(grep -c 'GOPROXY=off' "$log" || true)
	[ "$lookup" -gt 0 ] || cat "$log" >&2
	rm -f "$log"
	[ "$lookup" -gt 0 ] && build
}

if [ "$demo" = yes ] || [ $# = 0 ]; then
	hermetic || fail "the build failed, see above."
else
	build "$@" || fail "the build failed, see above."
fi
echo "xcaddy.sh: $output is $("$output" version | cut -d' ' -f1) with $("$output" list-modules | grep -c mcp_oauth) modules of mcp_oauth" >&2

if [ "$demo" = yes ]; then
	# Built and not run by go: a signal to this process must reach the demo.
	demo=$(dirname "$output")/.cache/demo
	go build -o "$demo" ./cmd/demo || fail "the demo cannot be built, see above."
	exec "$demo" -caddy "$output" "$@"
fi
