#!/usr/bin/env bash
# Measures what the README claims, on this machine: medians of interleaved runs. Not part of the tests.
#   tests/measure.sh throughput [ROUNDS] | pipes [ROUNDS] | latency [LINES] | idle [SECONDS] | chunk [ROUNDS] | sync [ROUNDS] | rotation [SECONDS] | bounded [SECONDS [ROUNDS]] | grep [ROUNDS] | since [GIB] | ship [ROUNDS] | frame
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
cargo build --quiet --release --manifest-path "$root/Cargo.toml" --bins --examples --workspace
bin=${CARGO_TARGET_DIR:-$root/target}/release
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

median() { sort -n | awk '{v[NR]=$1} END {print v[int((NR+1)/2)]}'; }
# Nobody pays for the write-back of what another command wrote before.
seconds() { sync; hyperfine --runs 1 --style none --export-json run.json "$1" >/dev/null; sed -n 's/.*"median": \([0-9.e-]*\),*/\1/p' run.json; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN {printf "%.3f", a/b}'; }

# So many programs at once, each with so many MB of lines in a pipe: milliseconds until all is in one new file.
pipes_once() {
  local how=$1 count=$2 mb=$3 begun
  rm -f pipes.log pipes.log.mmlog
  sync
  begun=$(date +%s%N)
  for _ in $(seq "$count"); do
    case $how in
      cat) (cat "in.$mb" | cat >> pipes.log) & ;;
      append) (cat "in.$mb" | "$bin/mmlogctl" append pipes.log) & ;;
    esac
  done
  wait
  echo $((($(date +%s%N) - begun) / 1000000))
  [ "$(stat -c %s pipes.log)" = $((count * $(stat -c %s "in.$mb"))) ] || echo "$how: bytes are missing" >&2
}

pipes() {
  local rounds=${1:-7} mb count how
  seq -f '%019.0f' 20000 | awk '{printf "%s %s\n", $0, "..................................................................................................."}' > block
  for mb in 25 240 1000; do
    for _ in $(seq $((mb * 1000000 / $(stat -c %s block)))); do cat block; done > "in.$mb"
    for count in 1 2 4 8; do
      [ "$mb" = 1000 ] && [ "$count" -gt 2 ] && continue
      rm -f t.cat t.append
      for _ in $(seq "$rounds"); do
        for how in $(printf '%s\n' cat append | shuf); do pipes_once "$how" "$count" "$mb" >> "t.$how"; done
      done
      echo "$count x $mb MB: cat $(median < t.cat) ms, append $(median < t.append) ms: throughput $(ratio "$(median < t.cat)" "$(median < t.append)") of cat"
    done
    rm -f "in.$mb" pipes.log pipes.log.mmlog
  done
}

throughput() {
  local rounds=${1:-9}
  seq -f '%019.0f' 100000 | awk '{printf "%s %s\n", $0, "........................................................................................................................"}' | cut -c1-119 > block
  for _ in $(seq 84); do cat block; done > in
  echo "input: $(stat -c %s in) bytes, lines of $(head -1 in | wc -c) bytes; $rounds interleaved rounds, medians"
  for round in $(seq "$rounds"); do
    rm -f cat.log mm.log mm.log.mmlog
    # Who comes second finds the disk busy with the first's bytes: take turns.
    for turn in 0 1; do
      if [ $(((round + turn) % 2)) = 0 ]; then
        seconds "cat in | cat >> cat.log" >> t.cat_append
      else
        seconds "cat in | $bin/mmlogctl append mm.log" >> t.mm_append
      fi
    done
    seconds "cat cat.log | wc -c" >> t.cat_read
    seconds "$bin/mmlogctl cat mm.log | wc -c" >> t.mm_read
  done
  cmp in mm.log
  local a b c d
  a=$(median < t.cat_append) b=$(median < t.mm_append) c=$(median < t.cat_read) d=$(median < t.mm_read)
  echo "cmd | cat >> file        $a s"
  echo "cmd | mmlogctl append    $b s   throughput $(ratio "$a" "$b") of cat"
  echo "cat file | wc -c         $c s"
  echo "mmlogctl cat LOG | wc -c $d s   throughput $(ratio "$c" "$d") of cat"
  rm -f mm.log mm.log.mmlog
  (cat in; sleep 1) | "$bin/mmlogctl" append mm.log &
  sleep 0.2
  local peak=0 now
  while kill -0 $! 2>/dev/null; do
    now=$(awk '/RssAnon/ {print $2}' "/proc/$!/status" 2>/dev/null || true)
    [ "${now:-0}" -gt "$peak" ] && peak=$now
    sleep 0.02
  done
  echo "append: RssAnon at most $peak KiB (sampled every 20 ms)"
}

latency() { "$bin/examples/latency" "${1:-5000}"; }

idle() {
  local span=${1:-20} before after
  seq 1000 | "$bin/mmlogctl" append idle.log
  "$bin/mmlogctl" tail -f idle.log > /dev/null &
  sleep 1
  before=$(cat "/proc/$!"/task/*/schedstat | awk '{s += $1} END {printf "%d", s}')
  sleep "$span"
  after=$(cat "/proc/$!"/task/*/schedstat | awk '{s += $1} END {printf "%d", s}')
  kill $!
  awk -v ns=$((after - before)) -v s="$span" 'BEGIN {printf "idle tail -f: %.0f us of processor in %d s, %.4f %% of a core\n", ns/1e3, s, ns/s/1e7}'
}

# Each process waits for the durability of each message; syncs are counted by strace in a run of their own.
sync_shared() {
  local rounds=${1:-9} n each
  for n in 1 4 16 64; do
    each=$((n < 16 ? 800 / n : 100))
    for _ in $(seq "$rounds"); do
      "$bin/examples/durable" s.log "$n" "$each" write >> "s.write.$n"
      "$bin/examples/durable" s.log "$n" "$each" mmlog >> "s.mmlog.$n"
    done
    local w m calls
    w=$(median < "s.write.$n") m=$(median < "s.mmlog.$n")
    strace -f -c -e trace=fdatasync -o calls "$bin/examples/durable" s.log "$n" "$each" mmlog > /dev/null
    calls=$(awk '$NF == "fdatasync" {print $4}' calls)
    echo "$n processes: write+fdatasync $w/s, mmlog $m/s: $(ratio "$m" "$w") times; $((n * each)) messages, $calls fdatasync calls"
  done
}

# Writers at full speed and a rotation every 20 ms: how long the gate was closed, and what the appends took that met one.
rotation() {
  local seconds=${1:-10} writers
  for writers in 1 2 8; do
    echo "$writers writers"
    "$bin/examples/rotations" "$work/r.log" "$seconds" "$writers" 20
    rm -f r.log*
  done
}

# A log that bounds itself, with a follower: what its appends take against the same without a policy, interleaved; then so many
# seconds at segments of 1 MiB, with writers that are killed, and with one that is stopped. Where others are at work, in a session of
# its own with -15 in /proc/self/autogroup. (Not: at real-time priority. What prune waits for, the kernel's own threads, gets no turn.)
bounded() {
  local seconds=${1:-60} rounds=${2:-6} size how
  for _ in $(seq "$rounds"); do
    for size in 0 $((1 << 20)) $((64 << 20)); do
      bounded_once 5 "$size" calm | tee -a rounds
    done
  done
  for size in 0 $((1 << 20)) $((64 << 20)); do
    sed -n "s/^rotate-size $size: .* p99 \([0-9]*\) ns.*/\1/p" rounds | median > "p99.$size"
    echo "rotate-size $size: p99 $(cat "p99.$size") ns, $(ratio "$(cat "p99.$size")" "$(cat p99.0)") times that without a policy"
  done
  for how in calm kill stop; do bounded_once "$seconds" $((1 << 20)) "$how"; done
}
bounded_once() {
  sync
  "$bin/examples/bounded" "$work/b.log" "$1" 4 "$2" 3 128 "$3"
  rm -f b.log*
}

# The same bytes, in the page cache: rg over the data file with one thread, mmlogctl over the log; RG names another rg.
grep_log() {
  local rounds=${1:-9} rg=${RG:-rg} levels=(INFO INFO INFO INFO DEBUG INFO WARN INFO INFO ERROR) pattern turn n
  for n in $(seq 0 9999); do
    printf '2026-11-29T10:%02d:%02d.%06dZ %s request id=%08x user=%d path=/api/v1/items/%d status=%d took=%dus\n' $((n / 60 % 60)) $((n % 60)) \
      $((n * 7919 % 1000000)) "${levels[n % 10]}" $((n * 48271 % 65536)) $((n * 31 % 10000)) $((n * 17 % 100000)) $((n % 7 ? 200 : 500)) $((n * 6007 % 100000))
  done > block
  for n in $(seq $((1000000000 / $(stat -c %s block) + 1))); do cat block; done | "$bin/mmlogctl" append g.log
  echo "$(stat -c %s g.log) bytes; $("$rg" --version | head -1); $rounds interleaved rounds, medians"
  for pattern in nowhere ERROR 'took=6007us' 'ERROR|WARN' 'user=[0-9]+7 path' 'status=500'; do
    rm -f t.rg t.mm
    for n in $(seq "$rounds"); do
      for turn in 0 1; do
        if [ $(((n + turn) % 2)) = 0 ]; then
          seconds "$rg -a -j1 -c '$pattern' g.log || true" >> t.rg
        else
          seconds "$bin/mmlogctl grep -c '$pattern' g.log || true" >> t.mm
        fi
      done
    done
    echo "$pattern: rg $(median < t.rg) s, mmlogctl grep $(median < t.mm) s: $(ratio "$(median < t.mm)" "$(median < t.rg)") times"
  done
}

chunk() {
  local rounds=${1:-7} size len
  for _ in $(seq "$rounds"); do
    for size in 1 4 16 64; do
      for len in 128 4096; do
        rm -f chunk.log chunk.log.mmlog
        "$bin/examples/appends" chunk.log $((512 * 1024 * 1024 / len)) $len $((size << 20)) >> "c.$size.$len"
      done
    done
  done
  for len in 128 4096; do
    for size in 1 4 16 64; do
      echo "$len bytes, chunk $size MiB: $(median < "c.$size.$len") ns an append"
    done
  done
}

# A month's log, sparse but for its last ten minutes.
since() {
  local gib=${1:-100} args
  "$bin/examples/month" month.log "$gib"
  echo "$gib GiB, $(stat -c %s month.log) bytes, of which $(du -k month.log | cut -f1) KiB are on the disk; 25 runs each, medians"
  for args in "--since -1m" "--since 5m --until 4m"; do
    for _ in $(seq 25); do
      seconds "$bin/mmlogctl cat $args month.log > out" >> "t.since"
    done
    echo "cat $args: $(awk -v s="$(median < t.since)" 'BEGIN {printf "%.1f", s * 1e3}') ms, $(wc -l < out) lines, $(wc -c < out) bytes"
    rm t.since
  done
}

# One log of a GiB, behind, to one server on loopback, beside a client alone with the same fence: MB/s, medians of interleaved rounds.
# Servers are those of PATH, or NATS as NATS_SERVER says.
ship() {
  local rounds=${1:-3} mb=1000 kind unit n
  cargo build --quiet --release --manifest-path "$root/Cargo.toml" -p mmlog-ship --features all --bins --example raw
  seq -f '%019.0f a line of a log, of some length, as they are' 15000000 | head -c $((mb * 1000000)) | "$bin/mmlogctl" append s.log
  sync
  for n in $(seq "$rounds"); do
    for kind in nats nats-sync redis; do
      for unit in 65536 524288; do
        shipped_once "$kind" "$unit" ship >> "s.$kind.$unit.ship"
        shipped_once "$kind" "$unit" raw >> "s.$kind.$unit.raw"
      done
    done
  done
  for kind in nats nats-sync redis; do
    for unit in 65536 524288; do
      awk -v mb="$mb" -v s="$(median < "s.$kind.$unit.ship")" -v r="$(median < "s.$kind.$unit.raw")" -v k="$kind" -v u="$unit" \
        'BEGIN {printf "%s, units of %d KiB: ship %.0f MB/s, raw client %.0f MB/s: %.2f of it\n", k, u / 1024, mb / s, mb / r, r / s}'
    done
  done
}

# KIND UNIT WHO: seconds until a server that has nothing has all of it.
shipped_once() {
  local kind=$1 unit=$2 who=$3 port=$((20000 + RANDOM % 10000)) begun server to raw
  rm -rf store s.log.mmlog-ship-*
  mkdir store
  case $kind in
    redis)
      redis-server --bind 127.0.0.1 --port $port --dir store --appendonly yes --save '' >server.out 2>&1 & server=$!
      to=redis://127.0.0.1:$port/logs raw="redis redis://127.0.0.1:$port/ logs"
      ;;
    *)
      printf 'listen: 127.0.0.1:%s\njetstream { store_dir: "%s/store"%s }\n' $port "$work" "$([ "$kind" = nats ] || printf ', sync_interval: always')" > conf
      "${NATS_SERVER:-nats-server}" -c conf >server.out 2>&1 & server=$!
      to="nats://127.0.0.1:$port/logs?create=1" raw="nats 127.0.0.1:$port logs"
      ;;
  esac
  until (: < /dev/tcp/127.0.0.1/$port) 2>/dev/null; do sleep 0.05; done
  sleep 0.2
  begun=$(date +%s%N)
  if [ "$who" = ship ]; then
    "$bin/mmlogctl-ship" ship s.log --to "$to" --unit "$unit" --until-now --name m 2>ship.out || cat ship.out >&2
  else
    # Words of their own.
    # shellcheck disable=SC2086
    "$bin/examples/raw" $raw "$unit" $((mb * 1000000)) >/dev/null
  fi
  awk -v ns=$(($(date +%s%N) - begun)) 'BEGIN {printf "%.3f\n", ns / 1e9}'
  kill $server; wait $server 2>/dev/null || :
  "$bin/mmlogctl" prune --forget ship:m s.log >/dev/null 2>&1 || :
}

# A frame of inspect, of a log with 99 writers in trouble, 256 followers and 1024 holes.
frame() {
  cargo test --quiet --release --manifest-path "$root/Cargo.toml" -p mmlogctl --lib -- --ignored --nocapture how_long_a_frame_takes |
    grep '^a frame'
}

command=${1:-throughput}
[ "$command" = sync ] && command=sync_shared
[ "$command" = grep ] && command=grep_log
"$command" "${@:2}"
