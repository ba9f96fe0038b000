#!/bin/sh
# What .ci/deps (the argument) says and answers where packages are missing: dpkg-query, id, sudo and apt-get are scripts
# here, so nothing is installed.
set -u
deps=$1
stubs=$(mktemp -d)
trap 'rm -rf "$stubs"' EXIT
failed=0

stub() { # NAME, then its body
  { echo '#!/bin/sh'; cat; } >"$stubs/$1"
  chmod +x "$stubs/$1"
}
stub dpkg-query <<'END'
for p; do :; done
case " $MISSING " in *" $p "*) exit 1 ;; *) echo 'ii ' ;; esac
END
stub id <<'END'
echo 1000
END
stub sudo <<'END'
[ -n "$ALLOWED" ] || exit 1
[ "$1" = -n ] && shift
exec env -i PATH="$PATH" LOG="$LOG" "$@"  # as sudo does by itself: nothing of the environment is kept
END
stub apt-get <<'END'
echo "$1 frontend=${DEBIAN_FRONTEND:-none}" >>"$LOG"
case $1 in install) exit 100 ;; esac
END

check() { # WHAT EXPECTED_CODE TEXT MISSING ALLOWED
  : >"$stubs/log"
  said=$(MISSING=$4 ALLOWED=$5 LOG=$stubs/log PATH=$stubs:$PATH sh "$deps" 2>&1 </dev/null)
  code=$?
  case "$code $said" in
    "$2 "*"$3"*) ;;
    *)
      echo "$1: wanted code $2 and '$3', got code $code and: $said"
      failed=1
      ;;
  esac
}
check "nothing is missing" 0 "" "" ""
check "only tests and benchmarks are missing" 0 "apt-get install libgtest-dev libbenchmark-dev" "libgtest-dev libbenchmark-dev" ""
check "a library is missing" 1 "apt-get install libzip-dev libbenchmark-dev" "libzip-dev libbenchmark-dev" ""
check "tests cannot be installed" 0 "could not install: libgtest-dev" "libgtest-dev" yes
check "a library cannot be installed" 1 "could not install: libzip-dev" "libzip-dev" yes
grep -q '^install frontend=noninteractive$' "$stubs/log" || {
  echo "apt-get install may ask: $(cat "$stubs/log")"
  failed=1
}
exit $failed
